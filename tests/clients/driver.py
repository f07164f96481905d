"""Runs in the clients' environment: calls the library `sdkms` once for each line of standard input, a JSON object.

    {"call": METHOD, "arguments": {…}, "scheme": "Basic" or "Bearer", "credentials": TEXT}

The argument `body` is made into the library's models. The answer is a line of JSON: {"returned": …}, or
{"raised": STATUS or null, "text": …}. Arguments of the program: the gateway's URL and its CA's certificate.
"""

import base64
import json
import sys
from collections.abc import Mapping
from typing import Any

# Each method's class, and the model of its body.
METHODS: dict[str, tuple[str, str]] = {
    "authorize": ("AuthenticationApi", ""),
    "refresh": ("AuthenticationApi", ""),
    "terminate": ("AuthenticationApi", ""),
    "get_server_version": ("AuthenticationApi", ""),
    "batch_sign": ("SignAndVerifyApi", "SignRequestEx"),
    "batch_verify": ("SignAndVerifyApi", "VerifyRequestEx"),
    "sign": ("SignAndVerifyApi", "SignRequest"),
    "sign_ex": ("SignAndVerifyApi", "SignRequestEx"),
    "verify": ("SignAndVerifyApi", "VerifyRequest"),
    "verify_ex": ("SignAndVerifyApi", "VerifyRequestEx"),
    "compute_digest": ("DigestApi", "DigestRequest"),
    "get_security_objects": ("SecurityObjectsApi", ""),
    "get_security_object": ("SecurityObjectsApi", ""),
    "get_security_object_ex": ("SecurityObjectsApi", "SobjectDescriptor"),
    "generate_security_object": ("SecurityObjectsApi", "SobjectRequest"),
    "import_security_object": ("SecurityObjectsApi", "SobjectRequest"),
    "update_security_object": ("SecurityObjectsApi", "SobjectRequest"),
    "delete_security_object": ("SecurityObjectsApi", ""),
}


def main(url: str, ca: str) -> None:
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line), url, ca)), flush=True)


def _answer(order: Mapping[str, Any], url: str, ca: str) -> dict[str, Any]:
    from sdkms import v1  # type: ignore[import-not-found]
    from sdkms.v1.rest import ApiException  # type: ignore[import-not-found]

    if order["call"] == "digest names":
        return {"returned": [member.value for name, member in vars(v1.DigestAlgorithm).items() if name.isupper()]}
    client = _client(order, url, ca)
    api, model = METHODS[order["call"]]
    arguments = dict(order["arguments"])
    if "body" in arguments:
        arguments["body"] = _value(
            f"list[{model}]" if isinstance(arguments["body"], list) else model, arguments["body"]
        )
    try:
        returned = getattr(getattr(v1, api)(api_client=client), order["call"])(**arguments)
    except ApiException as error:
        return {"raised": error.status, "text": error.body}
    except Exception as error:  # noqa: BLE001 - the library breaks in ways of its own
        return {"raised": None, "text": f"{type(error).__name__}: {error}"}
    # The library's own way from models to JSON; it leaves out members that are None.
    return {"returned": client.sanitize_for_serialization(returned)}


def _client(order: Mapping[str, Any], url: str, ca: str) -> Any:
    from sdkms import v1

    configuration = v1.configuration.Configuration()
    configuration.host = url
    configuration.ssl_ca_cert = ca
    if order["call"] == "authorize":
        configuration.app_api_key = order["credentials"]
    else:
        configuration.api_key["Authorization"] = order["credentials"]
        configuration.api_key_prefix["Authorization"] = order["scheme"]
    return v1.ApiClient(configuration=configuration)


def _value(kind: str, value: Any) -> Any:
    """What the library calls `kind`, of what it is in JSON."""
    from sdkms import v1

    if kind == "bytearray":
        return bytearray(base64.b64decode(value, validate=True))
    if kind.startswith("list["):
        return [_value(kind[len("list[") : -1], element) for element in value]
    model = getattr(v1, kind, None)
    if model is None:
        return value
    if not isinstance(value, dict):
        return model(value)
    names = {in_json: name for name, in_json in model.attribute_map.items()}
    return model(**{names[key]: _value(model.swagger_types[names[key]], member) for key, member in value.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
