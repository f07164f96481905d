"""What is crossed with what: the cells of the matrix, as data.

A cell is a key, named in one way, and one choice for every other member of an item.
"""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from tests.conformance.digests import HASHES
from tests.conformance.keys import Key
from tests.gateway_process import b64

Width = Literal["full", "thin", "sample"]

ABSENT = "–"
PAYLOADS = ("data", "hash")
HASH_NAMES: tuple[str, ...] = (ABSENT, *HASHES)

PSS_MGF = {f"PSS, MGF1 {name}": {"PSS": {"mgf": {"mgf1": {"hash": name}}}} for name in HASHES}
ML_DSA_MODES = {variant: {"variant": variant} for variant in ("PURE", "PRE_HASH", "EXTERNAL_MU")}

Modes = dict[str, dict[str, Any] | None]

_RSA: Modes = {ABSENT: None, "PKCS1_V15": {"PKCS1_V15": {}}, "PSS": {"PSS": {}}, **PSS_MGF}
_ONE_WRONG: Modes = {ABSENT: None, "PKCS1_V15": {"PKCS1_V15": {}}}
MODES: dict[str, Modes] = {
    "RSA": {**_RSA, "PURE": ML_DSA_MODES["PURE"]},
    "ML-DSA": {ABSENT: None, **ML_DSA_MODES, "PSS": {"PSS": {}}},
    **dict.fromkeys(("EC", "Ed25519", "Ed448", "DSA"), _ONE_WRONG),
}
"""By key type, the modes that are asked for; the last of each is one that the type has not."""

DETERMINISTIC = {ABSENT: None, "false": False, "true": True}
CONTEXT = {ABSENT: None, "given": b"conformance", "256 bytes": bytes(256)}


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination; the members are keys of the tables above."""

    token: str
    key: Key
    hash_alg: str
    payload: str
    mode: str
    deterministic: str
    context: str

    @property
    def is_plain(self) -> bool:
        """Whether nothing is asked for that is only sometimes possible: what the page's main tables show."""
        return self.deterministic != "true" and self.context == ABSENT

    def item(self, number: int) -> dict[str, Any]:
        """The item of a batch; no two numbers sign the same bytes."""
        asked: dict[str, Any] = {"key": self.key.descriptor}
        if self.hash_alg != ABSENT:
            asked["hash_alg"] = self.hash_alg
        message = b"item %d" % number
        if self.mode == "EXTERNAL_MU" and (self.payload == "data" or self.hash_alg == ABSENT):
            message = hashlib.shake_256(message).digest(64)
        elif self.payload == "hash":
            message = HASHES["SHA256" if self.hash_alg == ABSENT else self.hash_alg].compute(message)
        asked[self.payload] = b64(message)
        mode, context = MODES[self.key.type][self.mode], CONTEXT[self.context]
        deterministic = DETERMINISTIC[self.deterministic]
        if mode is not None:
            asked["mode"] = mode
        if deterministic is not None:
            asked["deterministic_signature"] = deterministic
        if context is not None:
            asked["context"] = b64(context)
        return asked


def cells(token: str, key: Key, width: Width) -> Iterator[Cell]:
    """The cells of a key.

    full: everything crossed with everything. thin: of `deterministic_signature` and `context` one at a time, and with
    each hash and payload four of the MGF hashes, so that over all hashes each of these comes up with each payload.
    sample: two MGF hashes, both members absent, and then one of their values, another with each hash and payload.
    """
    modes = MODES[key.type]
    for index, (hash_alg, payload) in enumerate(itertools.product(HASH_NAMES, PAYLOADS)):
        picked = _some_mgf(index, 4 if width == "thin" else 2)
        members = {"full": _CROSSED, "thin": _ONE_AT_A_TIME, "sample": (_ONE_AT_A_TIME[0], _one_of_all(index))}[width]
        for mode, (deterministic, context) in itertools.product(modes, members):
            if width == "full" or mode not in PSS_MGF or mode in picked:
                yield Cell(token, key, hash_alg, payload, mode, deterministic, context)


_CROSSED = tuple(itertools.product(DETERMINISTIC, CONTEXT))
_ONE_AT_A_TIME = tuple(members for members in _CROSSED if ABSENT in members)


def _one_of_all(index: int) -> tuple[str, str]:
    # Payloads alternate with the index, so its half is what counts for each of them.
    return _ONE_AT_A_TIME[1 + index // 2 % (len(_ONE_AT_A_TIME) - 1)]


def _some_mgf(index: int, count: int) -> set[str]:
    names = [*PSS_MGF]
    return {names[(count * index + step) % len(names)] for step in range(count)}
