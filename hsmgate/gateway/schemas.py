"""The values of the HTTP surface as JSON Schema, for the OpenAPI document.

Requests are written out here, because what their structs take is laxer than what is right: a struct knows no "exactly
one of". Answers are taken from the structs that are encoded. A null is the same as an absent member, except where a
member is required.
"""

from typing import Any, get_args

import msgspec

from hsmgate.domain.curves import CURVES
from hsmgate.domain.digests import DIGESTS
from hsmgate.domain.mechanisms import ML_DSA_SIGNATURE_SIZES
from hsmgate.gateway.keyring import LONGEST_NAME
from hsmgate.gateway.sobjects import RSA_BITS, KeyOperation, Sobject
from hsmgate.gateway.status import StatusAnswer

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
UUID: Schema = {
    "type": "string",
    "format": "uuid",
    "pattern": "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$",
}
BASE64: Schema = {
    "type": "string",
    "contentEncoding": "base64",
    "pattern": "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
}
SOME_BASE64: Schema = BASE64 | {"minLength": 4}
NAME: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": LONGEST_NAME,
    "pattern": r"^[^\n\x00]*[^\s\x00][^\n\x00]*$",
}
HASH: Schema = {"type": "string", "enum": [*DIGESTS], "description": "In any case."}
BOOLEAN: Schema = {"type": "boolean"}
STATUS: Schema = {"type": "integer", "enum": [400, 403, 404, 409, 422, 429, 500, 503, 504]}


def ref(name: str) -> Schema:
    """The schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Schema) -> Schema:
    """An array of such items."""
    return {"type": "array", "items": items}


def record(required: dict[str, Schema], **more: Any) -> Schema:
    """An object that has all these members."""
    return {"type": "object", "properties": required, "required": [*required], **more}


def nullable(schema: Schema) -> Schema:
    """The same, or null, which stands for an absent member."""
    if "type" not in schema or "oneOf" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    more = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return schema | {"type": [schema["type"], "null"]} | more


def _optional(members: dict[str, Schema], **more: Any) -> Schema:
    return {"type": "object", "properties": {name: nullable(member) for name, member in members.items()}, **more}


def _exactly_one(members: dict[str, Schema]) -> list[Schema]:
    """The alternatives of which one has its member there and not null."""
    return [{"required": [name], "properties": {name: member}} for name, member in members.items()]


def _key_type(name: str, **members: Schema) -> Schema:
    return {"properties": {"obj_type": {"const": name}, **members}, "required": [*members]}


_FORMS = {
    "kid": UUID,
    "name": NAME,
    "transient_key": SOME_BASE64,
    "inline": record({"value": SOME_BASE64, "obj_type": {"type": "string", "enum": ["RSA", "EC", "DSA", "MLDSA"]}}),
}
_PAYLOAD = {"data": BASE64, "hash": BASE64}
_EMPTY: Schema = {"type": "object"}
_MGF = _optional({"mgf": record({"mgf1": record({"hash": HASH})})})
_MODES = {
    "PSS": _MGF,
    "PKCS1_V15": _EMPTY,
    "variant": {"type": "string", "enum": ["PURE", "PRE_HASH", "EXTERNAL_MU"]},
}
_ITEM = {
    "hash_alg": HASH | {"enum": [*DIGESTS, ""]},
    **_PAYLOAD,
    "mode": _optional(_MODES, oneOf=_exactly_one(_MODES)),
    "deterministic_signature": BOOLEAN,
    "context": BASE64 | {"maxLength": 340, "description": "ML-DSA only: up to 255 bytes."},
}
_SIGNATURE = {"signature": BASE64}
_NO_KEY = {"key": {"type": "null"}}
_PARAM_SET = record({"param_set": {"type": "string", "enum": [*ML_DSA_SIGNATURE_SIZES]}})
_OPTIONS: dict[str, Schema] = {
    "key_size": {"type": "integer", "description": "RSA: bits"},
    "elliptic_curve": TEXT,
    "mldsa": record({"param_set": TEXT}),
    "value": BASE64,
    "obj_type": TEXT,
    "transient": BOOLEAN,
}
_NOTES: dict[str, Schema] = {
    "name": NAME,
    "description": TEXT,
    "enabled": BOOLEAN,
    "key_ops": array({"type": "string", "enum": [*get_args(KeyOperation)]}),
    "custom_metadata": {"type": "object", "additionalProperties": TEXT},
}
_SOBJECT_REQUEST = _OPTIONS | _NOTES
_MADE = [
    _key_type("RSA", key_size={"type": "integer", "enum": [*RSA_BITS]}),
    _key_type("EC", elliptic_curve={"type": "string", "enum": [*CURVES]}),
    _key_type("MLDSA", mldsa=_PARAM_SET),
]
_TRANSIENT = {"properties": {"transient": {"const": True}}, "required": ["transient"]}
_NAMED = {"properties": {"name": NAME, "transient": {"enum": [False, None]}}, "required": ["name"]}
_IMPORTED = {
    "value": SOME_BASE64,
    "obj_type": {"type": "string", "enum": ["RSA", "EC", "DSA", "MLDSA"]},
    "name": NAME,
}


def schemas() -> dict[str, Schema]:
    """All schemas that have a name, by it."""
    verdict = record({"result": BOOLEAN})
    error = record({"status": STATUS, "error": TEXT})
    return {
        "Descriptor": _optional(_FORMS, oneOf=_exactly_one(_FORMS)),
        "TokenDescriptor": _token_descriptor(),
        "SignItem": _item({"key": ref("Descriptor")}),
        "SignItemOfPath": _item({}, **_NO_KEY),
        "VerifyItem": _item({"key": ref("Descriptor"), **_SIGNATURE}),
        "VerifyItemOfPath": _item(_SIGNATURE, **_NO_KEY),
        "Signature": _with_kid(record({"signature": BASE64})),
        "Verdict": _with_kid(verdict),
        "SignAnswer": {"oneOf": [record({"status": {"const": 200}, "body": ref("Signature")}), error]},
        "VerifyAnswer": {"oneOf": [record({"status": {"const": 200}, "body": ref("Verdict")}), error]},
        "DigestRequest": record({"alg": HASH, "data": BASE64}),
        "Digest": record({"digest": BASE64}),
        "NewKey": _optional(
            _SOBJECT_REQUEST, required=["obj_type"], allOf=[{"oneOf": _MADE}, {"oneOf": [_TRANSIENT, _NAMED]}]
        ),
        "ImportedKey": _imported(),
        "KeyChange": _optional(_SOBJECT_REQUEST),
        "Page": record(
            {
                "metadata": record({"total_count": {"type": "integer"}, "filtered_count": {"type": "integer"}}),
                "items": array(ref("Sobject")),
            }
        ),
        "Session": record(
            {
                "token_type": {"const": "Bearer"},
                "expires_in": {"type": "integer"},
                "access_token": TEXT,
                "entity_id": UUID,
                "allowed_mfa_methods": array(TEXT),
            }
        ),
        "Version": record(
            {
                "version": TEXT,
                "api_version": TEXT,
                "server_mode": TEXT,
                "fips_level": {"type": ["integer", "null"]},
                "hsmgate_version": TEXT,
            }
        ),
        **_sobject(),
        **_status(),
    }


def _item(required: dict[str, Schema], **more: Schema) -> Schema:
    item = _optional(_ITEM, required=[*required], oneOf=_exactly_one(_PAYLOAD))
    item["properties"] |= required | more
    return item


def _token_descriptor() -> Schema:
    """A descriptor of what the token knows: not an inline key."""
    forms = {name: form for name, form in _FORMS.items() if name != "inline"}
    descriptor = _optional(forms, oneOf=_exactly_one(forms))
    descriptor["properties"]["inline"] = {"type": "null"}
    return descriptor


def _imported() -> Schema:
    key = _optional(_SOBJECT_REQUEST, required=[*_IMPORTED])
    key["properties"] |= _IMPORTED | {"transient": {"enum": [False, None]}}
    return key


def _with_kid(schema: Schema) -> Schema:
    """What names its key, unless the caller brought it."""
    schema["properties"]["kid"] = UUID
    return schema


def _sobject() -> dict[str, Schema]:
    """The sobject and what it is made of, as they are encoded: what is None is left out, so there is no null."""
    _, components = msgspec.json.schema_components([Sobject], ref_template="#/components/schemas/{name}")
    found: dict[str, Schema] = {}
    for name, schema in components.items():
        members = {member: _present(of) for member, of in schema["properties"].items()}
        found[name] = schema | {"properties": members}
    properties = found["Sobject"]["properties"]
    for member in ("acct_id", "group_id", "kid"):
        properties[member] = UUID
    for member in ("created_at", "lastused_at", "deactivation_date"):
        properties[member] = {"type": "string", "pattern": r"^[0-9]{8}T[0-9]{6}Z$"}
    found["Sobject"]["description"] = "A key. Times are YYYYMMDDTHHMMSSZ; what PKCS#11 does not tell is that of 1970."
    return found


def _status() -> dict[str, Schema]:
    """The status as it is encoded, where a null is a null."""
    _, components = msgspec.json.schema_components([StatusAnswer], ref_template="#/components/schemas/{name}")
    return components


def _present(schema: Schema) -> Schema:
    alternatives = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    return alternatives[0] if len(alternatives) == 1 else schema
