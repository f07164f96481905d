"""DSA keys."""

from hsmgate.domain import cka
from hsmgate.domain.asn1 import dsa_public_key
from hsmgate.domain.inline.model import InlineKey, check_public, unsigned
from hsmgate.domain.inline.pkcs8 import SEQUENCE, PrivateKey, integers, require, sole


def parse_dsa(private: PrivateKey) -> InlineKey:
    """RFC 3279, section 2.3.2, and what is checked of FIPS 186-4, sections 4.1 to 4.4."""
    p, q, g, y, x = _dsa_numbers(private)
    require(512 <= p.bit_length() <= 4096, "is a DSA key of other than 512 to 4096 bits")
    require(160 <= q.bit_length() <= 256, "is a DSA key whose q has other than 160 to 256 bits")
    parameters_fit = (p - 1) % q == 0 and 1 < g < p and pow(g, q, p) == 1
    require(parameters_fit, "is wrong: the DSA parameters do not fit together")
    require(0 < x < q, "is wrong: the DSA key's number is out of range")
    public = pow(g, x, p)
    require(y in (None, public), "is wrong: the public key does not belong to the private key")
    spki = dsa_public_key(unsigned(p), unsigned(q), unsigned(g), unsigned(public))
    check_public(private.public, spki)
    attributes: dict[int, bytes | int] = {
        cka.CKA_KEY_TYPE: cka.CKK_DSA,
        cka.CKA_PRIME: unsigned(p),
        cka.CKA_SUBPRIME: unsigned(q),
        cka.CKA_BASE: unsigned(g),
        cka.CKA_VALUE: unsigned(x),
    }
    return InlineKey("DSA", None, p.bit_length(), spki, attributes)


def _dsa_numbers(private: PrivateKey) -> tuple[int, int, int, int | None, int]:
    """p, q, g, y and x."""
    if private.parameters is None:
        version, p, q, g, y, x = integers(sole(private.body, SEQUENCE))
        require(version == 0, "is a DSA key of another version than 0")
        return p, q, g, y, x
    parameters, secret = integers(sole(private.parameters, SEQUENCE)), integers(private.body)
    require(len(parameters) == 3 and len(secret) == 1, "is no DSA key")
    return parameters[0], parameters[1], parameters[2], None, secret[0]
