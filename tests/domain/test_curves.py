"""Curves by CKA_EC_PARAMS."""

import pytest
from asn1crypto.core import ObjectIdentifier, PrintableString
from asn1crypto.keys import ECDomainParameters
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from hsmgate.domain.curves import CURVES, Curve, find_curve

WEIERSTRASS = [curve for curve in CURVES.values() if not curve.name.startswith("Ed")]
KNOWN_TO_CRYPTOGRAPHY = [
    *("NistP192", "NistP224", "NistP256", "NistP384", "NistP521", "SecP256K1"),
    *("BrainpoolP256R1", "BrainpoolP384R1", "BrainpoolP512R1"),
]
# RFC 5639, section 4.1: under ellipticCurve.versionOne, 1.3.36.3.3.2.8.1.1.
BRAINPOOL = {160: (1, 2), 192: (3, 4), 224: (5, 6), 256: (7, 8), 320: (9, 10), 384: (11, 12), 512: (13, 14)}


def standard_name(curve: Curve) -> str:
    """As SEC 2 and RFC 5639 write it, in small letters."""
    if curve.name.startswith("Nist"):
        return f"secp{curve.bits}r1"
    return curve.name.lower()


@pytest.mark.parametrize("curve", WEIERSTRASS, ids=lambda curve: curve.name)
def test_an_oid_and_a_size_are_those_that_asn1crypto_knows(curve: Curve) -> None:
    parameters = ECDomainParameters(name="named", value=curve.oid)
    assert (parameters.native, parameters.key_size) == (standard_name(curve), curve.order_bytes)


@pytest.mark.parametrize("name", KNOWN_TO_CRYPTOGRAPHY)
def test_an_oid_and_a_size_are_those_that_cryptography_knows(name: str) -> None:
    known = ec.get_curve_for_oid(x509.ObjectIdentifier(CURVES[name].oid))()
    assert (known.name.lower(), known.key_size) == (standard_name(CURVES[name]), CURVES[name].bits)


@pytest.mark.parametrize("bits", BRAINPOOL)
def test_brainpool_oids_are_those_of_rfc_5639(bits: int) -> None:
    oids = tuple(CURVES[f"BrainpoolP{bits}{kind}1"].oid for kind in "RT")
    assert oids == tuple(f"1.3.36.3.3.2.8.1.1.{arc}" for arc in BRAINPOOL[bits])


def test_an_order_longer_than_the_coordinates_counts_for_signatures_only() -> None:
    assert (CURVES["SecP224K1"].order_bytes, CURVES["SecP224K1"].point_sizes) == (29, (57, 29))


@pytest.mark.parametrize("curve", CURVES.values(), ids=lambda curve: curve.name)
def test_a_curve_is_found_by_the_der_of_its_oid(curve: Curve) -> None:
    assert find_curve(ObjectIdentifier(curve.oid).dump()) is curve


@pytest.mark.parametrize(("name", "curve"), [("edwards25519", "Ed25519"), ("edwards448", "Ed448")])
def test_an_edwards_curve_is_found_by_the_name_that_some_tokens_keep(name: str, curve: str) -> None:
    assert find_curve(PrintableString(name).dump()) is CURVES[curve]


@pytest.mark.parametrize("params", [b"", b"\x05\x00", b"NistP256", ObjectIdentifier("1.2.3").dump()])
def test_parameters_that_name_no_known_curve_are_none(params: bytes) -> None:
    assert find_curve(params) is None
