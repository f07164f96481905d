"""Numbers and names of mechanisms (PKCS#11 3.2, pkcs11t.h)."""

CKM_RSA_PKCS_KEY_PAIR_GEN = 0x0000
CKM_RSA_PKCS = 0x0001
CKM_RSA_X_509 = 0x0003
CKM_RSA_PKCS_PSS = 0x000D
CKM_DSA = 0x0011
CKM_ML_DSA_KEY_PAIR_GEN = 0x001C
CKM_ML_DSA = 0x001D
CKM_HASH_ML_DSA = 0x001F
CKM_SLH_DSA_KEY_PAIR_GEN = 0x002D
CKM_SLH_DSA = 0x002E
CKM_SHA256_HMAC = 0x0251
CKM_GENERIC_SECRET_KEY_GEN = 0x0350
CKM_EC_KEY_PAIR_GEN = 0x1040
CKM_ECDSA = 0x1041
CKM_EC_EDWARDS_KEY_PAIR_GEN = 0x1055
CKM_EDDSA = 0x1057
CKM_AES_KEY_GEN = 0x1080
CKM_HSS_KEY_PAIR_GEN = 0x4032
CKM_HSS = 0x4033
CKM_XMSS_KEY_PAIR_GEN = 0x4034
CKM_XMSSMT_KEY_PAIR_GEN = 0x4035
CKM_XMSS = 0x4036
CKM_XMSSMT = 0x4037

WRAPPING_MECHANISMS = (0x210B, 0x210A, 0x2109)
"""CKM_AES_KEY_WRAP_KWP, _PAD and CKM_AES_KEY_WRAP, the best first (RFC 5649, RFC 3394)."""

RSA_PKCS_HASHING = {
    "SHA1": 0x0006,
    "SHA224": 0x0046,
    "SHA256": 0x0040,
    "SHA384": 0x0041,
    "SHA512": 0x0042,
    "SHA3_224": 0x0066,
    "SHA3_256": 0x0060,
    "SHA3_384": 0x0061,
    "SHA3_512": 0x0062,
    "RIPEMD160": 0x0008,
}
RSA_PSS_HASHING = {
    "SHA1": 0x000E,
    "SHA224": 0x0047,
    "SHA256": 0x0043,
    "SHA384": 0x0044,
    "SHA512": 0x0045,
    "SHA3_224": 0x0067,
    "SHA3_256": 0x0063,
    "SHA3_384": 0x0064,
    "SHA3_512": 0x0065,
}
_SHA = ("SHA1", "SHA224", "SHA256", "SHA384", "SHA512")
_SHA3 = ("SHA3_224", "SHA3_256", "SHA3_384", "SHA3_512")
ECDSA_HASHING = dict(zip((*_SHA, *_SHA3), range(0x1042, 0x104B), strict=True))
DSA_HASHING = dict(zip((*_SHA, *_SHA3), (*range(0x12, 0x17), *range(0x18, 0x1C)), strict=True))
"""The mechanisms that hash and sign in one, by the contract's name of the hash."""

_NAMES = {
    **{number: name for name, number in [*globals().items()] if name.startswith("CKM_")},
    **{number: f"CKM_{name}_RSA_PKCS" for name, number in RSA_PKCS_HASHING.items()},
    **{number: f"CKM_{name}_RSA_PKCS_PSS" for name, number in RSA_PSS_HASHING.items()},
    **{number: f"CKM_ECDSA_{name}" for name, number in ECDSA_HASHING.items()},
    **{number: f"CKM_DSA_{name}" for name, number in DSA_HASHING.items()},
}


CKM_NAMES = frozenset(_NAMES.values())
"""Every name that there is here."""


def ckm_name(number: int) -> str:
    """The CKM_… name of a mechanism that is here by it, else the number."""
    return _NAMES.get(number, f"CKM 0x{number:08X}")
