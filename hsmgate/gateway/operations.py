"""What the OpenAPI document's operations are made of: answers, links, parameters."""

from typing import Any

from hsmgate.gateway.examples import EXAMPLES, HELLO
from hsmgate.gateway.listing import MOST
from hsmgate.gateway.schemas import TEXT, Schema, array, ref

_ERRORS = {
    400: "The request is wrong in itself; the text names the member or the parameter.",
    401: "No valid credentials.",
    403: "The key or the app does not allow it.",
    404: "No such key, or none that this app may use.",
    408: "The body was too long in coming.",
    409: "More than one key answers to that name or kid, or the name of a new key is taken.",
    413: "The body is larger than max_body, or has more than max_items.",
    422: "The token, or this version, cannot do the combination.",
    429: "The app has come to a limit of its own; try again.",
    500: "The token failed, or the gateway did.",
    501: "Transient keys are not imported.",
    503: "No signer could be had, or no keys to verify the JWT with; try again.",
    504: "The time was up.",
}

_RETRY = {
    "headers": {
        "Retry-After": {"description": "Seconds; wherever there is a 429 or a 503.", "schema": {"type": "integer"}}
    }
}
_HEADERS = {
    401: {"headers": {"WWW-Authenticate": {"description": "The schemes of Authorization.", "schema": TEXT}}},
    429: _RETRY,
    503: _RETRY,
}


def operation(
    name: str,
    summary: str,
    success: dict[str, Any],
    errors: tuple[int, ...],
    body: Schema | None = None,
    *,
    parameters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """An operation with its one good answer and its errors, which are plain text."""
    made: dict[str, Any] = {"operationId": name, "summary": summary}
    if parameters:
        made["parameters"] = parameters
    if body:
        content = {"schema": body, "example": EXAMPLES[name]}
        made["requestBody"] = {"required": True, "content": {"application/json": content}}
    text = {"text/plain": {"schema": TEXT}}
    made["responses"] = success | {
        str(status): {"description": _ERRORS[status], "content": text} | _HEADERS.get(status, {})
        for status in sorted(errors)
    }
    return made


def open_operation(
    name: str,
    summary: str,
    success: dict[str, Any],
    errors: tuple[int, ...] = (),
    *,
    parameters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """An operation that asks for no credentials."""
    return operation(name, summary, success, errors, parameters=parameters) | {"security": []}


def answer(status: int, text: str, schema: Schema, links: dict[str, Any] | None = None) -> dict[str, Any]:
    """A good answer in JSON, and what may follow from it."""
    made = {"description": text, "content": {"application/json": {"schema": schema}}}
    return {str(status): made | ({"links": links} if links else {})}


def answers(text: str, item: str) -> dict[str, Any]:
    """The good answer to a batch."""
    made = answer(200, f"The answers. {text}", array(ref(item)))
    return {status: response | _RETRY for status, response in made.items()}


def page(name: str, summary: str, content_type: str, errors: tuple[int, ...] = ()) -> dict[str, Any]:
    """A page for people, or a part of one, which a browser need not load again if it has it."""
    success = {
        "200": {"description": "It.", "content": {content_type: {"schema": TEXT}}},
        "304": {"description": "The same that the browser has (If-None-Match)."},
    }
    return open_operation(name, summary, success, errors)


def nothing(text: str) -> dict[str, Any]:
    """A good answer without content."""
    return {"204": {"description": text}}


def _links(kid: str) -> dict[str, Any]:
    """What can be done with the key whose kid is there in the answer."""
    return {
        name: {"operationId": name, "parameters": {"kid": kid}}
        for name in ("getKey", "changeKey", "signWithKey", "verifyWithKey", "deleteKey")
    }


LINKS = _links("$response.body#/kid") | {
    "signHello": {
        "operationId": "signWithKey",
        "description": "RSA and EC keys sign this.",
        "parameters": {"kid": "$response.body#/kid"},
        "requestBody": HELLO,
    },
    "sign": {
        "operationId": "sign",
        "description": "A transient key is brought along.",
        "requestBody": {"key": {"transient_key": "$response.body#/transient_key"}, **HELLO},
    },
}
SIGNED_LINKS = {
    "verifySignature": {
        "operationId": "verifyWithKey",
        "parameters": {"kid": "$request.path.kid"},
        "requestBody": {
            "hash_alg": "$request.body#/hash_alg",
            "data": "$request.body#/data",
            "signature": "$response.body#/signature",
        },
    }
}
FIRST_LINKS = _links("$response.body#/0/kid")


def _parameter(name: str, text: str, schema: Schema) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": text, "schema": schema, "allowEmptyValue": True}


_NUMBER: Schema = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
LISTING = [
    _parameter("name", "Only keys of that name.", TEXT),
    _parameter("obj_type", "Only keys of that type: RSA, EC, DSA, MLDSA, LMS, XMSS.", TEXT),
    _parameter("limit", f"At most so many, and never more than {MOST}.", _NUMBER),
    _parameter("offset", "Without the first so many.", _NUMBER),
    _parameter(
        "sort",
        "A member, and whether it rises or falls.",
        TEXT | {"pattern": "^((kid|name|created_at)(:(asc|desc)?)?)?$"},
    ),
    _parameter("start", "The value of what is sorted by to go on after.", TEXT),
    _parameter("with_metadata", "`true`: with counts, as an object. Anything else is as good as absent.", TEXT),
]
STATUS = [
    _parameter(
        "since", "Only the seconds of the history after the first so many; where that is long ago, all.", _NUMBER
    )
]
