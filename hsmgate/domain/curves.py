"""Elliptic curves by the CKA_EC_PARAMS that name them.

Names are the contract's (`elliptic_curve` of the newer OpenAPI), where it has one. OIDs: RFC 5480, RFC 5639, SEC 2, RFC
8410.
"""

from dataclasses import dataclass

from asn1crypto.core import ObjectIdentifier


@dataclass(frozen=True, slots=True)
class Curve:
    """A named curve.

    bits: length of a coordinate, which is what the contract calls the key's size.
    order_bits: length of the order, where that is another.
    """

    name: str
    oid: str
    bits: int
    order_bits: int = 0

    @property
    def order_bytes(self) -> int:
        """Bytes of r and of s in a signature."""
        return ((self.order_bits or self.bits) + 7) // 8

    @property
    def point_sizes(self) -> tuple[int, int]:
        """Bytes of a point, uncompressed and compressed."""
        coordinate = (self.bits + 7) // 8
        return 1 + 2 * coordinate, 1 + coordinate


_BRAINPOOL_BITS = (160, 192, 224, 256, 320, 384, 512)

CURVES: dict[str, Curve] = {
    curve.name: curve
    for curve in (
        Curve("NistP192", "1.2.840.10045.3.1.1", 192),
        Curve("NistP224", "1.3.132.0.33", 224),
        Curve("NistP256", "1.2.840.10045.3.1.7", 256),
        Curve("NistP384", "1.3.132.0.34", 384),
        Curve("NistP521", "1.3.132.0.35", 521),
        Curve("SecP192K1", "1.3.132.0.31", 192),
        Curve("SecP224K1", "1.3.132.0.32", 224, order_bits=225),
        Curve("SecP256K1", "1.3.132.0.10", 256),
        # RFC 5639: the OIDs of the r1 and t1 curves alternate, by rising size.
        *(Curve(f"BrainpoolP{n}R1", f"1.3.36.3.3.2.8.1.1.{2 * i + 1}", n) for i, n in enumerate(_BRAINPOOL_BITS)),
        *(Curve(f"BrainpoolP{n}T1", f"1.3.36.3.3.2.8.1.1.{2 * i + 2}", n) for i, n in enumerate(_BRAINPOOL_BITS)),
        Curve("Ed25519", "1.3.101.112", 256),
        Curve("Ed448", "1.3.101.113", 456),
    )
}

# CKA_EC_PARAMS holds the DER of the OID; for Edwards curves some tokens keep a PrintableString instead
# (PKCS#11 3.0, section 2.3.5).
_BY_PARAMS = {ObjectIdentifier(curve.oid).dump(): curve for curve in CURVES.values()} | {
    b"\x13\x0cedwards25519": CURVES["Ed25519"],
    b"\x13\x0aedwards448": CURVES["Ed448"],
}


def find_curve(ec_params: bytes) -> Curve | None:
    """The curve that CKA_EC_PARAMS names, or None for one we do not know or that is spelled out in full."""
    return _BY_PARAMS.get(ec_params)
