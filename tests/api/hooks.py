"""What schemathesis is to do differently for this gateway. It loads this as SCHEMATHESIS_HOOKS says."""

import os
import re
from collections import deque
from typing import Any

import requests
import schemathesis

from hsmgate.gateway.sobjects import RSA_BITS

SIGNING_KID = os.environ["HSMGATE_SIGNING_KID"]
CHANGING_KID = os.environ["HSMGATE_CHANGING_KID"]
NO_KID = "00000000-0000-4000-8000-000000000000"
A_KID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
KIDS = {
    "GET /crypto/v1/keys/{kid}": SIGNING_KID,
    "POST /crypto/v1/keys/{kid}/sign": SIGNING_KID,
    "POST /crypto/v1/keys/{kid}/verify": SIGNING_KID,
    "PATCH /crypto/v1/keys/{kid}": CHANGING_KID,
}
KEYS_KEPT = 100
"""Of those that were made: with thousands of them, SoftHSM takes seconds to list its keys."""

made: deque[str] = deque()


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """What comes by chance nearly always ends at a 404, so kids that were made up become those of keys."""
    made_up = case.meta is not None and case.meta.phase.name.value != "stateful"
    kid = KIDS.get(case.operation.label)
    if made_up and kid and A_KID.fullmatch(str(case.path_parameters.get("kid"))):
        case.path_parameters["kid"] = kid
    # Kids that were seen are used again: these two keys are to last.
    given = case.path_parameters.get("kid")
    if case.method == "DELETE" and given in (SIGNING_KID, CHANGING_KID):
        case.path_parameters["kid"] = NO_KID
    if case.method == "PATCH" and given == SIGNING_KID:
        case.path_parameters["kid"] = CHANGING_KID
    if isinstance(case.body, list):
        case.body = [_better(item) for item in case.body]
    else:
        case.body = _better(case.body)


@schemathesis.hook
def after_call(
    context: schemathesis.HookContext, case: schemathesis.Case[Any], response: schemathesis.Response
) -> None:
    """Of the keys that were made on the token the oldest go, so that there are never many."""
    if case.operation.path != "/crypto/v1/keys" or response.status_code != 201:
        return
    kid = response.json().get("kid")
    if kid is not None:
        made.append(kid)
    if len(made) > KEYS_KEPT:
        headers = {"Authorization": f"Basic {os.environ['HSMGATE_API_KEY']}"}
        requests.delete(f"{response.request.url}/{made.popleft()}", headers=headers, timeout=30)


def _better(body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    if body.get("key_size") in RSA_BITS:
        # One of 8192 bits takes SoftHSM half a minute.
        body = body | {"key_size": min(RSA_BITS)}
    key = body.get("key")
    if isinstance(key, dict) and A_KID.fullmatch(str(key.get("kid"))):
        body = body | {"key": key | {"kid": SIGNING_KID}}
    return body
