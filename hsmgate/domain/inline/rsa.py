"""RSA keys."""

from hsmgate.domain import cka
from hsmgate.domain.asn1 import rsa_public_key
from hsmgate.domain.inline.model import InlineKey, check_public, unsigned
from hsmgate.domain.inline.pkcs8 import SEQUENCE, PrivateKey, elements, integers, require, sole

_NULL = b"\x05\0"


def parse_rsa(private: PrivateKey) -> InlineKey:
    """RFC 8017, section A.1.2."""
    require(private.parameters in (None, b"", _NULL), "has RSA parameters, which there are none of")
    parts = elements(sole(private.body, SEQUENCE))
    require(len(parts) != 10, "is an RSA key of more than two primes")
    require(len(parts) == 9, "is no RSAPrivateKey")
    version, n, e, d, p, q, dp, dq, qinv = integers(b"".join(part.raw for part in parts))
    require(version == 0, "is an RSAPrivateKey of another version than 0")
    _check_rsa_sizes(n, e)
    _check_rsa_fits(n, e, d, p, q)
    require(dp == d % (p - 1) and dq == d % (q - 1), "is wrong: an exponent of the RSA key does not fit d")
    require(qinv < p and qinv * q % p == 1, "is wrong: the RSA key's coefficient does not fit its primes")
    spki = rsa_public_key(unsigned(n), unsigned(e))
    check_public(private.public, spki)
    attributes: dict[int, bytes | int] = {
        cka.CKA_KEY_TYPE: cka.CKK_RSA,
        cka.CKA_MODULUS: unsigned(n),
        cka.CKA_PUBLIC_EXPONENT: unsigned(e),
        cka.CKA_PRIVATE_EXPONENT: unsigned(d),
        cka.CKA_PRIME_1: unsigned(p),
        cka.CKA_PRIME_2: unsigned(q),
        cka.CKA_EXPONENT_1: unsigned(dp),
        cka.CKA_EXPONENT_2: unsigned(dq),
        cka.CKA_COEFFICIENT: unsigned(qinv),
    }
    return InlineKey("RSA", None, n.bit_length(), spki, attributes)


def _check_rsa_sizes(n: int, e: int) -> None:
    require(512 <= n.bit_length() <= 8192, "is an RSA key of other than 512 to 8192 bits")
    require(e % 2 == 1 and 3 <= e < 2**64, "is an RSA key whose public exponent is even, under 3 or over 64 bits")


def _check_rsa_fits(n: int, e: int, d: int, p: int, q: int) -> None:
    """RFC 8017, section 3.2, but that p and q are prime: that would take longer than a signature."""
    require(p > 1 and q > 1 and p % 2 == 1 and q % 2 == 1 and p * q == n, "is wrong: the RSA modulus is not p·q")
    require(0 < d < n, "is wrong: the RSA private exponent is not below the modulus")
    inverse = e * d % (p - 1) == 1 and e * d % (q - 1) == 1
    require(inverse, "is wrong: the RSA exponents do not belong together")
