"""The OpenAPI 3.1 document of the HTTP surface. Every route has its entry in `_paths`; a test sees to that."""

from typing import Any

import hsmgate
from hsmgate.gateway.operations import (
    FIRST_LINKS,
    LINKS,
    LISTING,
    SIGNED_LINKS,
    STATUS,
    answer,
    answers,
    nothing,
    open_operation,
    operation,
    page,
)
from hsmgate.gateway.pages import PARTS
from hsmgate.gateway.schemas import BASE64, TEXT, UUID, array, ref, schemas

_CALLER = (401, 500, 503)
_BODY = (400, *_CALLER, 408, 413)
_KEY = (403, 404, 409)
_TOKEN = (422, 504)
_CREDENTIALS: list[dict[str, list[str]]] = [{"api_key": []}, {"bearer": []}, {"certificate": []}]


def openapi() -> dict[str, Any]:
    """The document. It says what every gateway of this version does, whatever its config."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hsmgate",
            "version": hsmgate.__version__,
            "description": "Fortanix DSM's signing API in front of any PKCS#11 HSM. "
            "In requests null is the same as an absent member, and members that are not described are passed over. "
            "Errors of a call are a status and plain text; a method that a path does not have is a 405 with Allow.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": _CREDENTIALS,
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": _tagged(_paths()),
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "api_key": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The API key, which is base64 of the app's id, a colon and its secret.",
                },
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A session token, an identity provider's JWT, or the API key.",
                },
                "certificate": {
                    "type": "mutualTLS",
                    "description": "A client certificate that the config knows as an app.",
                },
            },
        },
    }


_TAGS = {
    "Signing": "Sign, verify, hash.",
    "Keys": "Find, make, change and destroy keys.",
    "Sessions": "Short-lived tokens for other credentials.",
    "Gateway": "The gateway itself.",
}


def _tagged(paths: dict[str, Any]) -> dict[str, Any]:
    """The same, every operation with the tag of its path."""
    for path, item in paths.items():
        for method in item.keys() - {"parameters"}:
            item[method]["tags"] = [_tag(path)]
    return paths


def _tag(path: str) -> str:
    if path.startswith("/sys/v1/session/"):
        return "Sessions"
    if not path.startswith("/crypto/"):
        return "Gateway"
    return "Signing" if path.endswith(("sign", "verify", "digest")) else "Keys"


def _plain(text: str) -> dict[str, Any]:
    """A good answer in plain text."""
    return {"200": {"description": text, "content": {"text/plain": {"schema": TEXT}}}}


def _paths() -> dict[str, Any]:
    kid = {"name": "kid", "in": "path", "required": True, "schema": UUID}
    single = (*_BODY, *_KEY, *_TOKEN, 429)
    made = answer(201, "The key; a transient one has `transient_key` and no `kid`.", ref("Sobject"), LINKS)
    shown = answer(200, "The key.", ref("Sobject"), LINKS)
    return {
        "/crypto/v1/keys/batch/sign": {
            "post": operation(
                "batchSign",
                "Sign a batch: an answer for each item, in order, whatever became of the others",
                answers("What is wrong with an item is said in its own.", "SignAnswer"),
                _BODY,
                body=array(ref("SignItem")),
            )
        },
        "/crypto/v1/keys/batch/verify": {
            "post": operation(
                "batchVerify",
                "Verify a batch: an answer for each item, in order, whatever became of the others",
                answers("A wrong signature is a result, no error.", "VerifyAnswer"),
                _BODY,
                body=array(ref("VerifyItem")),
            )
        },
        "/crypto/v1/sign": {
            "post": operation(
                "sign", "Sign one item", answer(200, "Signed.", ref("Signature")), single, body=ref("SignItem")
            )
        },
        "/crypto/v1/verify": {
            "post": operation(
                "verify", "Verify one item", answer(200, "Right or wrong.", ref("Verdict")), single, ref("VerifyItem")
            )
        },
        "/crypto/v1/keys/{kid}/sign": {
            "parameters": [kid],
            "post": operation(
                "signWithKey",
                "Sign one item with the key of the path",
                answer(200, "Signed.", ref("Signature"), SIGNED_LINKS),
                single,
                body=ref("SignItemOfPath"),
            ),
        },
        "/crypto/v1/keys/{kid}/verify": {
            "parameters": [kid],
            "post": operation(
                "verifyWithKey",
                "Verify one item with the key of the path",
                answer(200, "Right or wrong.", ref("Verdict")),
                single,
                body=ref("VerifyItemOfPath"),
            ),
        },
        "/crypto/v1/digest": {
            "post": operation(
                "digest", "Hash only", answer(200, "Hashed.", ref("Digest")), (*_BODY, 422), ref("DigestRequest")
            )
        },
        "/crypto/v1/keys": {
            "get": operation(
                "listKeys",
                "The keys that the app may use",
                answer(200, "The keys.", {"oneOf": [array(ref("Sobject")), ref("Page")]}, FIRST_LINKS),
                (400, *_CALLER),
                parameters=LISTING,
            ),
            "post": operation("createKey", "Make a key", made, (*_BODY, 403, 404, 409, *_TOKEN), ref("NewKey")),
            "put": operation(
                "importKey",
                "Put a key that was made elsewhere on the token",
                made,
                (*_BODY, 403, 404, 409, 501, *_TOKEN),
                body=ref("ImportedKey"),
            ),
        },
        "/crypto/v1/keys/info": {
            "post": operation(
                "findKey", "One key, by a descriptor", shown, (*_BODY, *_KEY, 422), ref("TokenDescriptor")
            )
        },
        "/crypto/v1/keys/{kid}": {
            "parameters": [kid],
            "get": operation("getKey", "One key", shown, (400, *_CALLER, 404, 409)),
            "patch": operation("changeKey", "Change a key", shown, (*_BODY, *_KEY, *_TOKEN), ref("KeyChange")),
            "delete": operation("deleteKey", "Destroy a key", nothing("It is gone."), (400, *_CALLER, *_KEY, *_TOKEN)),
        },
        "/crypto/v1/pubkey/{acct_id}/{name}": {
            "parameters": [
                {"name": "acct_id", "in": "path", "required": True, "schema": UUID},
                {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}},
            ],
            "get": open_operation(
                "publicKey",
                "The public key of a key that the config publishes",
                answer(200, "DER, by its kid.", {"type": "object", "additionalProperties": BASE64}),
                (404,),
            ),
        },
        "/sys/v1/session/auth": {
            "post": operation(
                "startSession",
                "A session token for any other credential",
                answer(200, "The session.", ref("Session")),
                _CALLER,
            )
        },
        "/sys/v1/session/refresh": {
            "post": operation("refreshSession", "Count as use of the session", nothing("Counted."), _CALLER)
        },
        "/sys/v1/session/terminate": {
            "post": operation("endSession", "End the session", nothing("It is over."), _CALLER)
        },
        "/sys/v1/health": {
            "get": open_operation("health", "Whether a signer is ready", nothing("One is."), (503,)),
        },
        "/sys/v1/version": {
            "get": open_operation("version", "What this is", answer(200, "The version.", ref("Version"))),
        },
        "/livez": {
            "get": open_operation("live", "Whether the gateway lives", _plain("It does.")),
        },
        "/readyz": {
            "get": open_operation(
                "ready", "Whether every token that is needed has signed lately", _plain("All have."), (503,)
            ),
        },
        "/metrics": {
            "get": open_operation("metrics", "Metrics for Prometheus", _plain("In its text format.")),
        },
        "/openapi.json": {
            "get": open_operation("openapi", "This document", answer(200, "The document.", {"type": "object"})),
        },
        "/status.json": {
            "get": open_operation(
                "status",
                "How the gateway is: tokens, signers, rates, errors; nothing of names or callers",
                answer(200, "How it is, with the last minutes second by second.", ref("StatusAnswer")),
                (400,),
                parameters=STATUS,
            )
        },
        "/status": {"get": page("statusPage", "The same for people, drawn again and again", "text/html")},
        "/docs": {"get": page("docs", "This document for people, with forms to try it", "text/html")},
        "/web/{file}": {
            "parameters": [
                {"name": "file", "in": "path", "required": True, "schema": {"type": "string", "enum": PARTS}},
            ],
            "get": page("pagePart", "A script or a style sheet of the pages", "text/*", (404,)),
        },
    }
