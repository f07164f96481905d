"""A private key that was read, and what reading one of any type takes."""

from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from hsmgate.domain import cka
from hsmgate.domain.inline.pkcs8 import (
    OCTET_STRING,
    SEQUENCE,
    elements,
    encode,
    integers,
    require,
    sole,
    whole_bytes,
)
from hsmgate.errors import Unsupported


@dataclass(frozen=True, slots=True, repr=False)
class InlineKey:
    """A private key whose numbers fit together.

    kind: "RSA", "EC", "Ed25519", "Ed448", "DSA" or "ML-DSA".
    variant: the curve's name as in `hsmgate.domain.curves`, or "MlDsa44", "MlDsa65" or "MlDsa87".
    bits: length of the modulus, of a coordinate or of p; 0 for ML-DSA.
    public_key: DER SubjectPublicKeyInfo; None only for an ML-DSA key that came without its seed and public key.
    attributes: CKA_KEY_TYPE, CKA_PARAMETER_SET and the key material, by CKA_ number.
    """

    kind: str
    variant: str | None
    bits: int
    public_key: bytes | None
    attributes: dict[int, bytes | int]

    def __repr__(self) -> str:
        return f"InlineKey({self.kind}, {self.variant}, {self.bits} bits)"


_SHARED = (
    *(cka.CKA_KEY_TYPE, cka.CKA_MODULUS, cka.CKA_PUBLIC_EXPONENT, cka.CKA_EC_PARAMS),
    *(cka.CKA_PRIME, cka.CKA_SUBPRIME, cka.CKA_BASE, cka.CKA_PARAMETER_SET),
)
"""What a public key object has too, of a private one's attributes."""


def public_attributes(key: InlineKey) -> dict[int, bytes | int]:
    """CKA_KEY_TYPE, domain and value of the public key object that belongs to it.

    Raises Unsupported where the public key is not known.
    """
    if key.public_key is None:
        raise Unsupported("value: its public key cannot be told from it; send the seed too")
    bits = public_bits(key.public_key)
    value: dict[int, bytes | int] = {}
    match key.kind:
        case "EC" | "Ed25519" | "Ed448":
            value[cka.CKA_EC_POINT] = encode(OCTET_STRING, bits)
        case "DSA":
            value[cka.CKA_VALUE] = unsigned(integers(bits)[0])
        case "ML-DSA":
            value[cka.CKA_VALUE] = bits
        case _:
            pass
    return {number: key.attributes[number] for number in _SHARED if number in key.attributes} | value


def derive(algorithm: bytes, body: bytes, name: str) -> bytes:
    """SubjectPublicKeyInfo of a private key that is nothing but a seed of the right length."""
    pkcs8 = encode(SEQUENCE, b"\x02\x01\0", encode(SEQUENCE, algorithm), encode(OCTET_STRING, body))
    try:
        public = load_der_private_key(pkcs8, None).public_key()
        return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (UnsupportedAlgorithm, ValueError):
        # Any such seed is a key: it can only be that the cryptography or the OpenSSL here is too old.
        raise Unsupported(f"key.inline.value: {name} is not known to the OpenSSL of this installation") from None


def check_public(given: bytes | None, spki: bytes) -> None:
    """Raise Malformed if a `subjectPublicKey` came along and is not the one of `spki`."""
    belongs = given in (None, public_bits(spki))
    require(belongs, "is wrong: the public key does not belong to the private key")


def public_bits(spki: bytes) -> bytes:
    """The `subjectPublicKey` of a SubjectPublicKeyInfo."""
    return whole_bytes(elements(sole(spki, SEQUENCE))[1].content)


def unsigned(number: int) -> bytes:
    """The number in as few bytes as it takes, big-endian: PKCS#11's "Big integer"."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
