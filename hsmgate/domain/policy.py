"""What an app may do, with which keys, and how much of it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from hsmgate.domain.digests import find_digest
from hsmgate.domain.model import KeyType, SignParams
from hsmgate.errors import NotPermitted

PADDINGS = ("PKCS1_V15", "PSS")
PAYLOADS = ("data", "hash")


@dataclass(frozen=True, slots=True)
class SigningRules:
    """How an app may have something signed. None of them binds verifying: old signatures stay verifiable.

    hashes: the contract's names of those it may ask for, MGF1's too; None for all.
    paddings: of RSA keys.
    payloads: whether it may send the `data`, or only its `hash`.
    """

    hashes: frozenset[str] | None = None
    paddings: frozenset[str] = frozenset(PADDINGS)
    payloads: frozenset[str] = frozenset(PAYLOADS)

    def check(self, params: SignParams) -> None:
        """See that an item may be signed, as far as it says itself how: no key is needed to tell.

        Raises NotPermitted, which names the member, or BadItem for a hash that nobody knows.
        """
        payload, other = ("hash", "data") if params.prehashed else ("data", "hash")
        if payload not in self.payloads:
            raise NotPermitted(f"{payload}: this app may not sign it, only `{other}`")
        if self.hashes is not None and params.hash_alg is not None:
            self._check_hash(params.hash_alg, "hash_alg", self.hashes)
        elif self.hashes is not None and params.prehashed:
            # Ed25519ph and Ed448ph would take it, and have hashes of their own.
            raise NotPermitted("hash_alg: missing, and this app may not sign a `hash` without saying what made it")
        if params.mode is None:
            return
        if params.mode.name in PADDINGS and params.mode.name not in self.paddings:
            raise NotPermitted(f"mode: this app may not use {params.mode.name}")
        if self.hashes is not None and params.mode.mgf_hash is not None:
            self._check_hash(params.mode.mgf_hash, "mode.PSS.mgf.mgf1.hash", self.hashes)

    def check_default(self, params: SignParams, key_type: KeyType) -> None:
        """See that it may use the padding that an RSA key has where the item names none. Raises NotPermitted."""
        if key_type is KeyType.RSA and params.mode is None and "PKCS1_V15" not in self.paddings:
            raise NotPermitted("mode: missing, and this app may not use PKCS1_V15, which that stands for")

    @staticmethod
    def _check_hash(name: str, member: str, allowed: frozenset[str]) -> None:
        digest = find_digest(name, member)
        if digest.name not in allowed:
            raise NotPermitted(f"{member}: this app may not use {digest.name}")


@dataclass(frozen=True, slots=True)
class Limits:
    """How many items an app may have signed and verified. None for as many as it likes."""

    per_second: int | None = None
    in_flight: int | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """The operations an app may ask for, the keys it may use, how it may sign with them, and how much.

    limits: None where there is no limit.
    """

    operations: frozenset[str]
    _names: re.Pattern[str]
    _kids: frozenset[str]
    rules: SigningRules = SigningRules()
    limits: Limits | None = None

    @classmethod
    def of(
        cls,
        keys: Iterable[str],
        operations: Iterable[str],
        rules: SigningRules = SigningRules(),
        limits: Limits = Limits(),
    ) -> Self:
        """keys: names, in which * stands for anything and ? for one character, or kids."""
        keys = tuple(keys)
        names = re.compile("|".join(map(_expression, keys)) or r"(?!)", re.DOTALL)
        limited = limits if limits != Limits() else None
        return cls(frozenset(operations), names, frozenset(key.lower() for key in keys), rules, limited)

    @property
    def scope(self) -> tuple[re.Pattern[str], frozenset[str]]:
        """Equal for grants that cover the same keys in the same words."""
        return self._names, self._kids

    def covers(self, name: str | None, kid: str) -> bool:
        """Whether it may use the key of that name and kid."""
        return kid in self._kids or self._names.fullmatch(name or "") is not None


def _expression(pattern: str) -> str:
    """The regular expression of a key pattern; it takes time by the length of what is matched, and no power of it.

    What stands between two stars is found where it comes first: were that undone to look further on (hence the atomic
    groups), whatever follows would have less to be found in.
    """
    first, *others = (re.escape(piece).replace(r"\?", ".") for piece in pattern.split("*"))
    if not others:
        return first
    *between, last = others
    return first + "".join(f"(?>.*?{piece})" for piece in between if piece) + ".*" + last
