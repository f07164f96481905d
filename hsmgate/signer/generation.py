"""What it takes to generate a key pair of a kind."""

from asn1crypto.core import ObjectIdentifier

from hsmgate.domain import cka
from hsmgate.domain.ckm import (
    CKM_EC_EDWARDS_KEY_PAIR_GEN,
    CKM_EC_KEY_PAIR_GEN,
    CKM_HSS_KEY_PAIR_GEN,
    CKM_ML_DSA_KEY_PAIR_GEN,
    CKM_RSA_PKCS_KEY_PAIR_GEN,
    CKM_SLH_DSA_KEY_PAIR_GEN,
    CKM_XMSS_KEY_PAIR_GEN,
    CKM_XMSSMT_KEY_PAIR_GEN,
)
from hsmgate.domain.curves import CURVES
from hsmgate.domain.mechanisms import ML_DSA_PARAMETER_SETS
from hsmgate.domain.model import KeyType
from hsmgate.signer.sessions import Session, Template
from hsmgate.signer.structs import mechanism

CKA_HSS_LEVELS = 0x617
CKA_HSS_LMS_TYPES = 0x61A
CKA_HSS_LMOTS_TYPES = 0x61B

# RFC 8554, sections 4.1 and 5.1; PKCS#11 3.2, sections 6.67 and 6.68; RFC 8391, section 8.
LMOTS_SHA256_N32_W8 = 4
LMS_SHA256_M32_H5 = 5
CKP_ML_DSA_44 = 1
CKP_SLH_DSA_SHA2_128F = 3
CKP_XMSS_SHA2_10_256 = 1
CKP_XMSSMT_SHA2_20_2_256 = 1

RSA_PUBLIC_EXPONENT = (65537).to_bytes(3, "big")


def generate_rsa(session: Session, bits: int, public: Template, private: Template) -> tuple[int, int]:
    """The handles of a new RSA key pair, public and private, with those attributes too. Raises CryptokiError."""
    own: Template = {cka.CKA_MODULUS_BITS: bits, cka.CKA_PUBLIC_EXPONENT: RSA_PUBLIC_EXPONENT}
    return session.generate_key_pair(mechanism(CKM_RSA_PKCS_KEY_PAIR_GEN), {**own, **public}, private)


_ONE_HSS_TREE: Template = {
    CKA_HSS_LEVELS: 1,
    CKA_HSS_LMS_TYPES: LMS_SHA256_M32_H5,
    CKA_HSS_LMOTS_TYPES: LMOTS_SHA256_N32_W8,
}
_SMALLEST: dict[KeyType, tuple[int, Template]] = {
    KeyType.SLH_DSA: (CKM_SLH_DSA_KEY_PAIR_GEN, {cka.CKA_PARAMETER_SET: CKP_SLH_DSA_SHA2_128F}),
    KeyType.HSS: (CKM_HSS_KEY_PAIR_GEN, _ONE_HSS_TREE),
    KeyType.XMSS: (CKM_XMSS_KEY_PAIR_GEN, {cka.CKA_PARAMETER_SET: CKP_XMSS_SHA2_10_256}),
    KeyType.XMSSMT: (CKM_XMSSMT_KEY_PAIR_GEN, {cka.CKA_PARAMETER_SET: CKP_XMSSMT_SHA2_20_2_256}),
    KeyType.ML_DSA: (CKM_ML_DSA_KEY_PAIR_GEN, {cka.CKA_PARAMETER_SET: CKP_ML_DSA_44}),
}


def generate_smallest(session: Session, kind: KeyType, public: Template, private: Template) -> tuple[int, int]:
    """The handles of a new key pair of a post-quantum kind, of the set that is made fastest. Raises CryptokiError."""
    generator, own = _SMALLEST[kind]
    return session.generate_key_pair(mechanism(generator), {**own, **public}, private)


def generate_ml_dsa(session: Session, variant: str, public: Template, private: Template) -> tuple[int, int]:
    """The handles of a new ML-DSA key pair of that parameter set ("MlDsa65"). Raises CryptokiError."""
    number = next(number for number, name in ML_DSA_PARAMETER_SETS.items() if name == variant)
    own: Template = {cka.CKA_PARAMETER_SET: number}
    return session.generate_key_pair(mechanism(CKM_ML_DSA_KEY_PAIR_GEN), {**own, **public}, private)


def generate_ec(session: Session, curve: str, public: Template, private: Template) -> tuple[int, int]:
    """The handles of a new key pair on a curve of `hsmgate.domain.curves`. Raises CryptokiError."""
    edwards = curve in (KeyType.ED25519, KeyType.ED448)
    generator = CKM_EC_EDWARDS_KEY_PAIR_GEN if edwards else CKM_EC_KEY_PAIR_GEN
    own: Template = {cka.CKA_EC_PARAMS: ObjectIdentifier(CURVES[curve].oid).dump()}
    return session.generate_key_pair(mechanism(generator), {**own, **public}, private)
