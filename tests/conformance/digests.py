"""The contract's seventeen hash algorithms, written down a second time: nothing here comes from hsmgate.

Object identifiers: RFC 8017, appendix B.1 (SHA-1, SHA-2), NIST's CSOR (SHA-3), RFC 7693 (BLAKE2), RFC 9563, section 2.2
and TC 26 (Streebog), TeleTrusT (RIPEMD-160).
"""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from asn1crypto.core import ObjectIdentifier
from gostcrypto import gosthash


@dataclass(frozen=True, slots=True)
class Hash:
    """One hash algorithm; `oid` is None for SSL3, which goes into a PKCS#1 signature bare."""

    name: str
    size: int
    oid: str | None
    compute: Callable[[bytes], bytes]

    @property
    def oid_der(self) -> bytes | None:
        return None if self.oid is None else bytes(ObjectIdentifier(self.oid).dump())


def _ripemd160(data: bytes) -> bytes:
    return hashlib.new("ripemd160", data).digest()


def _ssl3(data: bytes) -> bytes:
    return hashlib.md5(data).digest() + hashlib.sha1(data).digest()


def _sha(name: str, size: int, oid: str) -> Hash:
    return Hash(name, size, oid, lambda data: hashlib.new(name.lower(), data).digest())


def _blake2(name: str, size: int, oid: str) -> Hash:
    constructor = hashlib.blake2b if name.startswith("BLAKE2B") else hashlib.blake2s
    return Hash(name, size, oid, lambda data: constructor(data, digest_size=size).digest())


def _streebog(name: str, size: int, oid: str) -> Hash:
    # Plain Python, about a millisecond each, and MGF1 asks for the same ones again.
    @functools.lru_cache(maxsize=65536)
    def compute(data: bytes) -> bytes:
        return bytes(gosthash.new(name.lower(), data=bytearray(data)).digest())

    return Hash(name, size, oid, compute)


HASHES = {
    known.name: known
    for known in (
        _blake2("BLAKE2B256", 32, "1.3.6.1.4.1.1722.12.2.1.8"),
        _blake2("BLAKE2B384", 48, "1.3.6.1.4.1.1722.12.2.1.12"),
        _blake2("BLAKE2B512", 64, "1.3.6.1.4.1.1722.12.2.1.16"),
        _blake2("BLAKE2S256", 32, "1.3.6.1.4.1.1722.12.2.2.8"),
        Hash("RIPEMD160", 20, "1.3.36.3.2.1", _ripemd160),
        Hash("SSL3", 36, None, _ssl3),
        _sha("SHA1", 20, "1.3.14.3.2.26"),
        _sha("SHA224", 28, "2.16.840.1.101.3.4.2.4"),
        _sha("SHA256", 32, "2.16.840.1.101.3.4.2.1"),
        _sha("SHA384", 48, "2.16.840.1.101.3.4.2.2"),
        _sha("SHA512", 64, "2.16.840.1.101.3.4.2.3"),
        _streebog("STREEBOG256", 32, "1.2.643.7.1.1.2.2"),
        _streebog("STREEBOG512", 64, "1.2.643.7.1.1.2.3"),
        _sha("SHA3_224", 28, "2.16.840.1.101.3.4.2.7"),
        _sha("SHA3_256", 32, "2.16.840.1.101.3.4.2.8"),
        _sha("SHA3_384", 48, "2.16.840.1.101.3.4.2.9"),
        _sha("SHA3_512", 64, "2.16.840.1.101.3.4.2.10"),
    )
}
