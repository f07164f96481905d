"""The hash algorithms of the contract, and what each is called in PKCS#11 and ASN.1.

Names: seed page, `hash_alg`. Numbers: PKCS#11 3.2, pkcs11t.h. DigestInfo prefixes: RFC 8017, section 9.2, note 1.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from hsmgate.errors import BadItem, Unsupported


@dataclass(frozen=True, slots=True)
class Digest:
    """One hash algorithm.

    size: bytes of a digest.
    compute: data to digest.
    digest_info: what stands before the digest in a DER DigestInfo.
    ckm: CKM_… of the bare hash, as a PSS parameter names it.
    ckg: CKG_MGF1_… of MGF1 over it.
    """

    name: str
    size: int
    compute: Callable[[bytes], bytes]
    digest_info: bytes
    ckm: int
    ckg: int


def _hashlib(name: str, hashlib_name: str, prefix: str, ckm: int, ckg: int) -> Digest:
    constructor = getattr(hashlib, hashlib_name)

    def compute(data: bytes) -> bytes:
        digest: bytes = constructor(data, usedforsecurity=False).digest()
        return digest

    return Digest(name, len(compute(b"")), compute, bytes.fromhex(prefix), ckm, ckg)


DIGESTS: dict[str, Digest] = {
    digest.name: digest
    for digest in (
        _hashlib("SHA1", "sha1", "3021300906052b0e03021a05000414", 0x220, 1),
        _hashlib("SHA224", "sha224", "302d300d06096086480165030402040500041c", 0x255, 5),
        _hashlib("SHA256", "sha256", "3031300d060960864801650304020105000420", 0x250, 2),
        _hashlib("SHA384", "sha384", "3041300d060960864801650304020205000430", 0x260, 3),
        _hashlib("SHA512", "sha512", "3051300d060960864801650304020305000440", 0x270, 4),
        _hashlib("SHA3_224", "sha3_224", "302d300d06096086480165030402070500041c", 0x2B5, 6),
        _hashlib("SHA3_256", "sha3_256", "3031300d060960864801650304020805000420", 0x2B0, 7),
        _hashlib("SHA3_384", "sha3_384", "3041300d060960864801650304020905000430", 0x2C0, 8),
        _hashlib("SHA3_512", "sha3_512", "3051300d060960864801650304020a05000440", 0x2D0, 9),
    )
}

NOT_YET_SERVED = frozenset(
    {"BLAKE2B256", "BLAKE2B384", "BLAKE2B512", "BLAKE2S256", "RIPEMD160", "SSL3", "STREEBOG256", "STREEBOG512"}
)


def find_digest(name: str, member: str) -> Digest:
    """The digest of that name, whatever its case. `member` is what an error's text blames.

    Raises BadItem for a name the contract does not have, Unsupported for one that this version does not serve.
    """
    upper = name.upper()
    digest = DIGESTS.get(upper)
    if digest is not None:
        return digest
    if upper in NOT_YET_SERVED:
        raise Unsupported(f"{member}: {upper} is not served by this version")
    raise BadItem(
        f"{member}: unknown hash algorithm; the contract has {', '.join(sorted({*DIGESTS, *NOT_YET_SERVED}))}"
    )
