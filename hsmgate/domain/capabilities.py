"""What a token was seen to do, by name.

A mechanism list says what a token has heard of; a capability here was shown by a signature that verified, or is taken
from the list where a token does not let us try.
"""

from collections.abc import Iterable
from typing import Self

import msgspec

RSA_PKCS1 = "RSA PKCS1_V15"
RSA_RAW = "RSA raw"
ECDSA = "ECDSA"
DSA = "DSA"
ML_DSA_CONTEXT = "ML-DSA context"
ML_DSA_DETERMINISTIC = "ML-DSA deterministic"
ML_DSA_PREHASH = "ML-DSA pre-hash"
SLH_DSA = "SLH-DSA"


def rsa_pss(digest: str, mgf: str) -> str:
    """The token's own PSS with that hash and that hash for MGF1."""
    return f"RSA PSS {digest} MGF1 {mgf}"


def edwards(curve: str) -> str:
    """Pure EdDSA on the curve, without a parameter."""
    return curve


def edwards_with_parameter(curve: str) -> str:
    """Pure EdDSA on the curve, where the token wants a CK_EDDSA_PARAMS."""
    return f"{curve} with parameter"


def edwards_prehash(curve: str) -> str:
    """Ed25519ph or Ed448ph, signing a digest that was made outside."""
    return f"{curve}ph"


def wrapping(mechanism: int) -> str:
    """Keys wrapped by that mechanism come back as signing keys, and as nothing else."""
    return f"wrapping 0x{mechanism:X}"


INLINE_KINDS = {
    "RSA": frozenset({"RSA"}),
    "EC": frozenset({"EC", "Ed25519", "Ed448"}),
    "DSA": frozenset({"DSA"}),
    "MLDSA": frozenset({"MlDsa44", "MlDsa65", "MlDsa87"}),
}
"""By the `obj_type` of an inline key, the kinds of `Capabilities.inline` that it may be."""


class Capabilities(msgspec.Struct, frozen=True, array_like=True):
    """What a token can do.

    mechanisms: the CKM_… numbers that it lists.
    shown: names of this module.
    inline: the kinds of private key that it took as session objects.
    tried: False where the token let us try nothing, so that `shown` is what its list promises.
    """

    mechanisms: frozenset[int]
    shown: frozenset[str]
    inline: frozenset[str] = frozenset()
    tried: bool = True

    @classmethod
    def of(cls, mechanisms: Iterable[int], shown: Iterable[str], inline: Iterable[str] = ()) -> Self:
        """From any collections."""
        return cls(frozenset(mechanisms), frozenset(shown), frozenset(inline))

    def can(self, name: str) -> bool:
        """Whether it was shown."""
        return name in self.shown
