"""Keys on elliptic curves: EC for ECDSA, and Ed25519 and Ed448 for EdDSA."""

from hsmgate.domain import cka
from hsmgate.domain.asn1 import ec_public_key
from hsmgate.domain.curves import Curve, find_curve
from hsmgate.domain.inline.ec_arithmetic import DOMAINS, public_point
from hsmgate.domain.inline.model import InlineKey, check_public, derive
from hsmgate.domain.inline.pkcs8 import (
    BIT_STRING,
    OCTET_STRING,
    OID,
    SEQUENCE,
    Malformed,
    PrivateKey,
    elements,
    integers,
    oid,
    require,
    sole,
    whole_bytes,
)
from hsmgate.errors import Unsupported

# --- EC


def parse_ec(private: PrivateKey) -> InlineKey:
    """RFC 5915, section 3."""
    parts = elements(sole(private.body, SEQUENCE))
    tags = bytes(part.tag for part in parts)
    is_sec1 = tags in (b"\x02\x04", b"\x02\x04\xa0", b"\x02\x04\xa1", b"\x02\x04\xa0\xa1")
    require(is_sec1 and integers(parts[0].raw) == [1], "is no ECPrivateKey")
    optional = {part.tag: part.content for part in parts[2:]}
    params = _agreed(private.parameters, optional.get(0xA0))
    curve = _named_curve(params)
    scalar = parts[1].content
    # RFC 5915 wants them all; some writers leave out leading zeros.
    require(len(scalar) <= curve.order_bytes, "is wrong: the EC key's number is too long for its curve")
    d = int.from_bytes(scalar, "big")
    require(1 <= d < DOMAINS[curve.name].n, "is wrong: the EC key's number is out of the curve's range")
    point = public_point(curve, d)
    inner = whole_bytes(sole(optional[0xA1], BIT_STRING)) if 0xA1 in optional else None
    compressed = bytes((2 + point[-1] % 2,)) + point[1 : len(point) // 2 + 1]
    # This alone proves that it is a point of the curve.
    belongs = all(public in (None, point, compressed) for public in (inner, private.public))
    require(belongs, "is wrong: the public key does not belong to the private key")
    attributes: dict[int, bytes | int] = {
        cka.CKA_KEY_TYPE: cka.CKK_EC,
        cka.CKA_EC_PARAMS: params,
        cka.CKA_VALUE: d.to_bytes(curve.order_bytes, "big"),
    }
    return InlineKey("EC", curve.name, curve.bits, ec_public_key(curve, point), attributes)


def _agreed(outer: bytes | None, inner: bytes | None) -> bytes:
    """The curve's parameters. PKCS#8 names them in the AlgorithmIdentifier, and the ECPrivateKey may repeat them."""
    params = inner if outer is None else outer
    if not params:
        raise Malformed("names no curve")
    require(inner in (None, params), "is wrong: it names two curves")
    return params


def _named_curve(params: bytes) -> Curve:
    parts = elements(params)
    require(len(parts) == 1, "names no curve")
    require(parts[0].tag != SEQUENCE, "has explicit EC parameters; it must name its curve")
    require(parts[0].tag == OID, "names no curve")
    curve = find_curve(params)
    # An Edwards curve's OID is an algorithm of its own, and no curve for ECDSA.
    if curve is None or curve.name not in DOMAINS:
        raise Unsupported("key.inline.value: its curve is not served by this version")
    return curve


# --- EdDSA

EDWARDS = {
    oid("1.3.101.112"): ("Ed25519", 32, 256),
    oid("1.3.101.113"): ("Ed448", 57, 456),
}


def parse_edwards(private: PrivateKey) -> InlineKey:
    """RFC 8410, section 7."""
    name, size, bits = EDWARDS[private.algorithm]
    require(private.parameters == b"", f"has {name} parameters, which there are none of")
    seed = sole(private.body, OCTET_STRING)
    require(len(seed) == size, f"is an {name} key of other than {size} bytes")
    spki = derive(private.algorithm, private.body, name)
    check_public(private.public, spki)
    attributes: dict[int, bytes | int] = {
        cka.CKA_KEY_TYPE: cka.CKK_EC_EDWARDS,
        cka.CKA_EC_PARAMS: private.algorithm,
        cka.CKA_VALUE: seed,
    }
    return InlineKey(name, name, bits, spki, attributes)
