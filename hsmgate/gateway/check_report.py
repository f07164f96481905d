"""What `hsmgate check` found, for people and for scripts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hsmgate.domain.capabilities import Capabilities
from hsmgate.domain.ckm import ckm_name
from hsmgate.domain.model import KeyInfo, KeyType
from hsmgate.ipc.messages import Opened


@dataclass(frozen=True, slots=True)
class TokenReport:
    """A token: what it said when it was opened, or why it could not be."""

    name: str
    opened: Opened | str


@dataclass(slots=True)
class Report:
    """What was found.

    good: whether `serve` could start, and have all tokens that are required.
    warnings: files that others may read or change. listening: why it could not listen. problems: the rest.
    """

    good: bool = True
    warnings: list[str] = field(default_factory=list)
    listening: list[str] = field(default_factory=list)
    tokens: list[TokenReport] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """For people."""
        for warning in self.warnings:
            yield f"warning: {warning}"
        yield from self.listening
        for token in self.tokens:
            if isinstance(token.opened, str):
                yield f"token {token.name}: {token.opened}"
            else:
                yield from _lines(token.name, token.opened)
        for problem in self.problems:
            yield f"problem: {problem}"

    def members(self) -> dict[str, Any]:
        """For scripts, as what JSON can hold."""
        return {
            "good": self.good,
            "warnings": self.warnings,
            "problems": self.listening + self.problems,
            "tokens": [_members(token) for token in self.tokens],
        }


def _lines(name: str, opened: Opened) -> Iterator[str]:
    yield f"token {name}: {opened.library}"
    for slot in opened.slots:
        mark = "*" if slot.chosen else " "
        yield f"  {mark} slot {slot.slot_id}: '{slot.label}', serial {slot.serial}, {slot.manufacturer} {slot.model}"
    yield from _capability_lines(opened.capabilities)
    for key in _sorted(opened):
        remark = "; ".join(_remarks(key))
        yield f"  key {key.kid} '{key.name or ''}' {key.kind}{f': {remark}' if remark else ''}"


def _capability_lines(token: Capabilities) -> Iterator[str]:
    """What was shown; of the token's own PSS, with two hashes each, only how much."""
    pss = {name for name in token.shown if name.startswith("RSA PSS")}
    yield f"  {'was seen to do' if token.tried else 'lists'}: {', '.join(sorted(token.shown - pss)) or 'nothing'}"
    both = sum(name.split()[2] == name.split()[4] for name in pss)
    yield f"    its own RSA PSS: {both} hashes with themselves in MGF1, {len(pss) - both} pairs of different ones"
    yield f"  takes as inline keys: {', '.join(sorted(token.inline)) or 'none'}"


def _members(token: TokenReport) -> dict[str, Any]:
    opened = token.opened
    if isinstance(opened, str):
        return {"name": token.name, "error": opened}
    slots = [
        {
            "slot_id": slot.slot_id,
            "label": slot.label,
            "serial": slot.serial,
            "manufacturer": slot.manufacturer,
            "model": slot.model,
            "chosen": slot.chosen,
        }
        for slot in opened.slots
    ]
    keys = [
        {"kid": key.kid, "name": key.name, "type": key.kind, "remarks": [*_remarks(key)]} for key in _sorted(opened)
    ]
    can = opened.capabilities
    return {
        "name": token.name,
        "library": opened.library,
        "slots": slots,
        "tried": can.tried,
        "can": sorted(can.shown),
        "inline": sorted(can.inline),
        "keys": keys,
    }


def _sorted(opened: Opened) -> list[KeyInfo]:
    return sorted(opened.keys.keys, key=lambda key: (key.name or "", key.kid))


def _remarks(key: KeyInfo) -> Iterator[str]:
    """Why it cannot be used, or not like others."""
    if not key.may_sign:
        yield "it may not sign (CKA_SIGN is false)"
    if key.always_authenticate:
        yield "it gets the PIN at every signature (CKA_ALWAYS_AUTHENTICATE)"
    if key.mechanisms is not None:
        names = ", ".join(ckm_name(number) for number in sorted(key.mechanisms))
        yield f"it allows {names} (CKA_ALLOWED_MECHANISMS)"
    if key.type is KeyType.OTHER or (key.type is KeyType.EC and key.variant is None):
        yield "its type or curve is not known here"
