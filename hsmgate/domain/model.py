"""The values that everything else speaks in: keys, and how an item wants to be signed."""

from enum import StrEnum

import msgspec


class KeyType(StrEnum):
    """What a private key can be for us, told from CKA_KEY_TYPE and, on Edwards curves, CKA_EC_PARAMS."""

    RSA = "RSA"
    EC = "EC"
    ED25519 = "Ed25519"
    ED448 = "Ed448"
    DSA = "DSA"
    ML_DSA = "ML-DSA"
    SLH_DSA = "SLH-DSA"
    HSS = "HSS"
    XMSS = "XMSS"
    XMSSMT = "XMSSMT"
    OTHER = "other"


ONE_TIME = frozenset({KeyType.HSS, KeyType.XMSS, KeyType.XMSSMT})
"""Keys that each signature uses a part of, for good: what may have been signed is never run again."""


class KeyNotes(msgspec.Struct, frozen=True, array_like=True):
    """What PKCS#11 has no attribute for, kept beside a key on its token.

    created_at: seconds since 1970, 0 where nobody knows.
    operations: DSM's words for what it may do; None for whatever its attributes allow.
    metadata: pairs that callers put there.
    """

    created_at: int = 0
    enabled: bool = True
    operations: list[str] | None = None
    description: str = ""
    metadata: dict[str, str] = {}


class KeyInfo(msgspec.Struct, frozen=True, array_like=True):
    """A private key on a token, as its signer saw it.

    ref: 16 bytes that tell this key from every other; equal in all signers, and on a copy of the key on another token.
    kid: the UUID the API knows it by, lower case.
    name: CKA_LABEL, or None where that is empty or not UTF-8.
    variant: the curve's name (see `hsmgate.domain.curves`), the ML-DSA parameter set's ("MlDsa65"), or for DSA the bits
        of q; None where there is none, or it is unknown.
    bits: length of the modulus or of a coordinate, 0 where unknown.
    public_key: DER SubjectPublicKeyInfo, or None where the token shows no public part.
    may_sign: CKA_SIGN.
    always_authenticate: CKA_ALWAYS_AUTHENTICATE.
    mechanisms: CKA_ALLOWED_MECHANISMS, the CKM_… numbers that it may be used with; None where it tells of none.
    notes: what is kept beside it.
    """

    ref: bytes
    kid: str
    name: str | None
    type: KeyType
    variant: str | None
    bits: int
    public_key: bytes | None
    may_sign: bool = True
    always_authenticate: bool = False
    mechanisms: frozenset[int] | None = None
    notes: KeyNotes = KeyNotes()

    @property
    def kind(self) -> str:
        """Its type and size in words: "RSA 2048", "NistP256", "ML-DSA MlDsa65"."""
        if self.type is KeyType.EC and self.variant:
            return self.variant
        return f"{self.type} {self.bits or self.variant or ''}".rstrip()


class Mode(msgspec.Struct, frozen=True, array_like=True):
    """The `mode` member: the padding's name, and the MGF1 hash as the caller wrote it where there was one."""

    name: str
    mgf_hash: str | None = None


LONGEST_CONTEXT = 255
"""Bytes of ML-DSA's context (FIPS 204, section 5.2)."""


class SignParams(msgspec.Struct, frozen=True, array_like=True):
    """All that decides the mechanism, apart from the key: the members of an item but `key` and the bytes.

    prehashed: the item's bytes came as `hash`, not as `data`.
    context: at most LONGEST_CONTEXT bytes.
    """

    hash_alg: str | None
    prehashed: bool
    mode: Mode | None = None
    deterministic: bool = False
    context: bytes | None = None
