"""The paths of the HTTP surface in OpenAPI's words, by the tags that they are shown under."""

from typing import Any

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
from hsmgate.gateway.schemas import BASE64, TEXT, UUID, array, ref

_CALLER = (401, 500, 503)
_BODY = (400, *_CALLER, 408, 413)
_KEY = (403, 404, 409)
_TOKEN = (422, 504)

_KID = {"name": "kid", "in": "path", "required": True, "schema": UUID}
_SHOWN = answer(200, "The key.", ref("Sobject"), LINKS)

Paths = dict[str, dict[str, Any]]


def paths() -> Paths:
    """Every path, with the tags of its operations."""
    return {
        **_tagged("Signing", _batches() | _items()),
        **_tagged("Keys", _keys() | _key()),
        **_tagged("Sessions", _sessions()),
        **_tagged("Gateway", _health() | _pages()),
    }


def _tagged(tag: str, described: Paths) -> Paths:
    for item in described.values():
        for method in item.keys() - {"parameters"}:
            item[method]["tags"] = [tag]
    return described


def _batches() -> Paths:
    """Batches: what is wrong with an item is its own answer, so a call has no errors of keys."""
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
    }


def _items() -> Paths:
    """One item, whose errors are those of the call; and hashing, which wants no key."""
    single = (*_BODY, *_KEY, *_TOKEN, 429)
    return {
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
            "parameters": [_KID],
            "post": operation(
                "signWithKey",
                "Sign one item with the key of the path",
                answer(200, "Signed.", ref("Signature"), SIGNED_LINKS),
                single,
                body=ref("SignItemOfPath"),
            ),
        },
        "/crypto/v1/keys/{kid}/verify": {
            "parameters": [_KID],
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
    }


def _keys() -> Paths:
    """All keys, and new ones."""
    made = answer(201, "The key; a transient one has `transient_key` and no `kid`.", ref("Sobject"), LINKS)
    return {
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
                "findKey", "One key, by a descriptor", _SHOWN, (*_BODY, *_KEY, 422), ref("TokenDescriptor")
            )
        },
    }


def _key() -> Paths:
    """One key by its kid, and the public half of one that all may see."""
    return {
        "/crypto/v1/keys/{kid}": {
            "parameters": [_KID],
            "get": operation("getKey", "One key", _SHOWN, (400, *_CALLER, 404, 409)),
            "patch": operation("changeKey", "Change a key", _SHOWN, (*_BODY, *_KEY, *_TOKEN), ref("KeyChange")),
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
    }


def _sessions() -> Paths:
    """Sessions."""
    return {
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
    }


def _health() -> Paths:
    """For load balancers and monitoring: no credentials."""
    return {
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
    }


def _pages() -> Paths:
    """What describes the gateway, and the pages that show it: no credentials."""
    return {
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


def _plain(text: str) -> dict[str, Any]:
    """A good answer in plain text."""
    return {"200": {"description": text, "content": {"text/plain": {"schema": TEXT}}}}
