"""From a token's bytes to DER."""

import pytest
from asn1crypto.core import OctetString
from asn1crypto.keys import PublicKeyInfo
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from hsmgate.domain.asn1 import dsa_public_key, ec_public_key, ecdsa_der, ml_dsa_public_key, rsa_public_key
from hsmgate.domain.curves import CURVES, Curve
from hsmgate.errors import TokenFailed

SPKI = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
POINT_FORMATS = (PublicFormat.UncompressedPoint, PublicFormat.CompressedPoint)


@settings(deadline=None)
@given(size=st.integers(20, 66), data=st.data())
def test_r_and_s_come_through_as_they_are(size: int, data: st.DataObject) -> None:
    r, s = (data.draw(st.integers(1, 256**size - 1)) for _ in range(2))
    assert decode_dss_signature(ecdsa_der(r.to_bytes(size, "big") + s.to_bytes(size, "big"), size)) == (r, s)


def test_a_token_may_leave_out_leading_zeros_from_both_halves() -> None:
    assert decode_dss_signature(ecdsa_der(bytes((1, 2, 3, 4)), 32)) == (0x0102, 0x0304)


@pytest.mark.parametrize(
    "raw",
    [b"", b"\1", b"\1" * 63, b"\1" * 66, b"\1" * 600, bytes(64), b"\1" * 32 + bytes(32), bytes(32) + b"\1" * 32],
    ids=["empty", "one byte", "odd", "too long", "far too long", "zeros", "s is 0", "r is 0"],
)
def test_what_can_be_no_r_and_s_is_the_tokens_failure(raw: bytes) -> None:
    with pytest.raises(TokenFailed):
        ecdsa_der(raw, 32)


def test_an_rsa_public_key_is_der_as_cryptography_writes_it() -> None:
    public = rsa.generate_private_key(65537, 1024).public_key()
    numbers = public.public_numbers()
    assert rsa_public_key(numbers.n.to_bytes(129, "big"), numbers.e.to_bytes(3, "big")) == public.public_bytes(*SPKI)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP521R1(), ec.SECP256K1(), ec.BrainpoolP384R1()])
@pytest.mark.parametrize("form", POINT_FORMATS)
@pytest.mark.parametrize("wrapped", [True, False], ids=["octet string", "bare point"])
def test_an_ec_point_becomes_the_public_key_that_it_is(
    curve: ec.EllipticCurve, form: PublicFormat, wrapped: bool
) -> None:
    public = ec.generate_private_key(curve).public_key()
    point = public.public_bytes(Encoding.X962, form)
    names = {"secp256r1": "NistP256", "secp521r1": "NistP521", "secp256k1": "SecP256K1"}
    ours = CURVES[names.get(curve.name, "BrainpoolP384R1")]
    info = ec_public_key(ours, OctetString(point).dump() if wrapped else point)
    assert info is not None
    assert PublicKeyInfo.load(info)["public_key"].native == point
    if form is PublicFormat.UncompressedPoint:
        assert info == public.public_bytes(*SPKI)


@pytest.mark.parametrize("kind", [ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey])
@pytest.mark.parametrize("wrapped", [True, False], ids=["octet string", "bare point"])
def test_an_edwards_point_becomes_the_public_key_that_it_is(
    kind: type[ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey], wrapped: bool
) -> None:
    public, curve = kind.generate().public_key(), CURVES[kind.__name__.removesuffix("PrivateKey")]
    point = public.public_bytes_raw()
    assert ec_public_key(curve, OctetString(point).dump() if wrapped else point) == public.public_bytes(*SPKI)


def test_a_dsa_public_key_is_der_as_cryptography_writes_it() -> None:
    public = dsa.generate_private_key(1024).public_key()
    numbers = public.public_numbers()
    group = numbers.parameter_numbers
    parts = (number.to_bytes(129, "big") for number in (group.p, group.q, group.g, numbers.y))
    assert dsa_public_key(*parts) == public.public_bytes(*SPKI)


@pytest.mark.parametrize("kind", [mldsa.MLDSA44PrivateKey, mldsa.MLDSA65PrivateKey, mldsa.MLDSA87PrivateKey])
def test_an_ml_dsa_public_key_is_der_as_cryptography_writes_it(
    kind: type[mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey],
) -> None:
    public, parameter_set = kind.generate().public_key(), f"MlDsa{kind.__name__[5:7]}"
    assert ml_dsa_public_key(parameter_set, public.public_bytes_raw()) == public.public_bytes(*SPKI)


@pytest.mark.parametrize("curve", CURVES.values(), ids=lambda curve: curve.name)
def test_a_point_of_another_curves_size_is_none(curve: Curve) -> None:
    assert ec_public_key(curve, bytes(3)) is None
    assert ec_public_key(curve, OctetString(bytes(68)).dump()) is None


@settings(deadline=None)
@given(st.sampled_from(list(CURVES.values())), st.binary(max_size=140))
def test_any_bytes_are_a_public_key_or_none(curve: Curve, point: bytes) -> None:
    info = ec_public_key(curve, point)
    assert info is None or PublicKeyInfo.load(info)["public_key"]
