"""Plans: what C_SignInit and C_Sign get, and what becomes of what they give."""

from collections.abc import Callable
from dataclasses import dataclass

LARGEST_SIGNATURE = 128 * 1024
"""Bytes: more than any mechanism of PKCS#11 3.2 gives."""


Transform = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class PssParameter:
    """CK_RSA_PKCS_PSS_PARAMS (PKCS#11 3.2, section 6.1.8).

    hash, mgf: CKM_… and CKG_MGF1_… numbers.
    salt_size: bytes.
    """

    hash: int
    mgf: int
    salt_size: int


@dataclass(frozen=True, slots=True)
class EddsaParameter:
    """CK_EDDSA_PARAMS (PKCS#11 3.2, section 6.3.15), without a context."""

    prehash: bool


@dataclass(frozen=True, slots=True)
class ContextParameter:
    """CK_SIGN_ADDITIONAL_CONTEXT, or CK_HASH_SIGN_ADDITIONAL_CONTEXT where there is a hash (PKCS#11 3.2, section 6.67).

    hash: CKM_… of the hash that the digest was made with.
    """

    hedge: int
    context: bytes
    hash: int | None = None


Parameter = PssParameter | EddsaParameter | ContextParameter | None
"""What goes with a mechanism. Only the caller of C can pack it: there may be pointers in it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to sign any item of the same parameters with the same key.

    prepare: the item's bytes to what C_Sign gets; raises BadItem where the bytes cannot be right.
    signature_size: the most bytes that C_Sign will give; exactly what it gives, but for SLH-DSA and one-time keys.
    finish: what C_Sign gave to what the caller gets.
    once: the key is used up by signing, so nothing that may have been signed is signed again.
    raw: where the token hashes too, the plan that makes the same signature of a digest; what it is verified by.
    """

    mechanism: int
    parameter: Parameter
    prepare: Transform
    signature_size: int
    finish: Transform = bytes
    once: bool = False
    raw: "Plan | None" = None
