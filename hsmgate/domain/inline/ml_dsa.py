"""ML-DSA keys."""

import hashlib
from dataclasses import dataclass

from hsmgate.domain import cka
from hsmgate.domain.asn1 import ml_dsa_public_key
from hsmgate.domain.inline.model import InlineKey, check_public, derive, public_bits
from hsmgate.domain.inline.pkcs8 import OCTET_STRING, SEQUENCE, PrivateKey, elements, encode, oid, require


@dataclass(frozen=True, slots=True)
class _MlDsa:
    """A parameter set (FIPS 204, section 4): CKP_ML_DSA_…, the matrix's size, and the bytes of both keys."""

    variant: str
    ckp: int
    rows: int
    columns: int
    private_size: int
    public_size: int


ML_DSA = {
    oid("2.16.840.1.101.3.4.3.17"): _MlDsa("MlDsa44", 1, 4, 4, 2560, 1312),
    oid("2.16.840.1.101.3.4.3.18"): _MlDsa("MlDsa65", 2, 6, 5, 4032, 1952),
    oid("2.16.840.1.101.3.4.3.19"): _MlDsa("MlDsa87", 3, 8, 7, 4896, 2592),
}
_SEED_SIZE = 32


def parse_ml_dsa(private: PrivateKey) -> InlineKey:
    """RFC 9881, section 6.

    Both the seed and the expanded key go into the object where both are there, as PKCS#11 3.2 asks for: there are
    tokens that know only the one or only the other.
    """
    parameter_set = ML_DSA[private.algorithm]
    require(private.parameters == b"", "has ML-DSA parameters, which there are none of")
    seed, expanded = _seed_and_expanded(private.body)
    require(seed is None or len(seed) == _SEED_SIZE, f"is an ML-DSA key whose seed has not {_SEED_SIZE} bytes")
    size = parameter_set.private_size
    require(expanded is None or len(expanded) == size, f"is a {parameter_set.variant} key of other than {size} bytes")
    spki = _ml_dsa_public(private, parameter_set, seed)
    if spki is not None and expanded is not None:
        _check_expanded(parameter_set, seed, expanded, public_bits(spki))
    attributes: dict[int, bytes | int] = {cka.CKA_KEY_TYPE: cka.CKK_ML_DSA, cka.CKA_PARAMETER_SET: parameter_set.ckp}
    if seed is not None:
        attributes[cka.CKA_SEED] = seed
    if expanded is not None:
        attributes[cka.CKA_VALUE] = expanded
    return InlineKey("ML-DSA", parameter_set.variant, 0, spki, attributes)


def _seed_and_expanded(body: bytes) -> tuple[bytes | None, bytes | None]:
    """The CHOICE: seed [0], expandedKey OCTET STRING, or a SEQUENCE of two OCTET STRINGs."""
    parts = elements(body)
    require(len(parts) == 1, "is no ML-DSA key")
    tag, content = parts[0].tag, parts[0].content
    if tag == 0x80:
        return content, None
    if tag == OCTET_STRING:
        return None, content
    require(tag == SEQUENCE, "is no ML-DSA key")
    both = elements(content)
    require([part.tag for part in both] == [OCTET_STRING, OCTET_STRING], "is no ML-DSA key")
    return both[0].content, both[1].content


def _ml_dsa_public(private: PrivateKey, parameter_set: _MlDsa, seed: bytes | None) -> bytes | None:
    """SubjectPublicKeyInfo, from the seed or else from PKCS#8's `publicKey`.

    It could be told from the expanded key too, but only by doing ML-DSA's arithmetic here.
    """
    if seed is not None:
        spki = derive(private.algorithm, encode(0x80, seed), "ML-DSA")
        check_public(private.public, spki)
        return spki
    if private.public is None:
        return None
    size = parameter_set.public_size
    require(len(private.public) == size, f"is a {parameter_set.variant} key whose public key has not {size} bytes")
    return ml_dsa_public_key(parameter_set.variant, private.public)


def _check_expanded(parameter_set: _MlDsa, seed: bytes | None, expanded: bytes, public: bytes) -> None:
    """FIPS 204, algorithms 6 and 24: the expanded key starts with ρ‖K‖tr, and tr is the public key's hash.

    The vectors after them are not checked. If they are wrong, so are the signatures.
    """
    tr = hashlib.shake_256(public).digest(64)
    belongs = expanded[:32] == public[:32] and expanded[64:128] == tr
    if seed is not None:
        stretched = hashlib.shake_256(seed + bytes((parameter_set.rows, parameter_set.columns))).digest(128)
        belongs = belongs and expanded[32:64] == stretched[96:]
    require(belongs, "is wrong: the parts of the ML-DSA key do not belong together")
