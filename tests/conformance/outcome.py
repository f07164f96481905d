"""What became of a cell: a signature that verifies, an error that says why, or neither, which is BAD."""

import base64
import re
from dataclasses import dataclass
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature

from tests.conformance.digests import HASHES
from tests.conformance.matrix import Cell
from tests.conformance.verify import verify

REFUSALS = frozenset({400, 403, 404, 409, 422})
"""The statuses that say why an item cannot be signed. 500, 503 and 504 say that signing was tried and went wrong."""

MEMBERS = ("key", "hash_alg", "hash", "data", "mode", "deterministic_signature", "context")

# A member, or several, or a member of a member; then the reason.
_REASON = re.compile(rf"(?:{'|'.join(MEMBERS)})(?:[.,][ .\w]*)?: \S.{{3,}}", re.DOTALL)
_HASH_NAME = re.compile(rf"\b(?:{'|'.join(sorted(HASHES, key=len, reverse=True))})\b")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """kind: as below. status, text: of an error; of a BAD one, what is wrong with it."""

    kind: Literal["verified", "error", "BAD"]
    status: int = 200
    text: str = ""


VERIFIED = Outcome("verified")


def judge(cell: Cell, item: dict[str, Any], answers: list[Any]) -> Outcome:
    """The outcome of a cell from its answers: two where a deterministic signature was asked for, else one."""
    outcomes = {_judge_one(cell, item, answer) for answer in answers}
    bad = next((outcome for outcome in outcomes if outcome.kind == "BAD"), None)
    if bad:
        return bad
    if len(outcomes) != 1:
        return Outcome("BAD", 0, "the same item twice was answered differently")
    outcome = outcomes.pop()
    if outcome is VERIFIED and len({answer["body"]["signature"] for answer in answers}) != 1:
        return Outcome("BAD", 200, "deterministic_signature: two signatures of the same item differ")
    return outcome


def _judge_one(cell: Cell, item: dict[str, Any], answer: Any) -> Outcome:
    match answer:
        case {"status": int(status), "error": str(text), **rest} if not rest:
            if status in REFUSALS and _REASON.fullmatch(text):
                return Outcome("error", status, _same_for_all(text))
            return Outcome("BAD", status, f"no reason of the item's: {_same_for_all(text)}")
        case {"status": 200, "body": {"signature": str(signature), **rest}, **others} if not others:
            if rest.get("kid") != cell.key.kid:
                return Outcome("BAD", 200, f"the kid is {'missing' if cell.key.kid else 'not to be there, or wrong'}")
            return _verify(cell, item, signature)
        case _:
            return Outcome("BAD", 0, f"neither a signature nor an error: {str(answer)[:200]}")


def _verify(cell: Cell, item: dict[str, Any], signature: str) -> Outcome:
    try:
        verify(cell.key.public, item, base64.b64decode(signature, validate=True))
    except (InvalidSignature, ValueError) as error:
        return Outcome("BAD", 200, f"the signature does not verify: {error}")
    return VERIFIED


def _same_for_all(text: str) -> str:
    """The text without what differs from item to item, so that it can be counted."""
    return _UUID.sub("KID", _HASH_NAME.sub("HASH", text))
