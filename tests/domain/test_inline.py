"""Private keys that callers send: from DER to a token object's attributes, or a refusal."""

import hashlib
import subprocess
from collections.abc import Callable
from functools import cache
from itertools import combinations

import pytest
from asn1crypto.core import Integer, ObjectIdentifier
from asn1crypto.keys import PrivateKeyInfo, RSAPrivateKey
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsmgate.domain.curves import CURVES
from hsmgate.domain.inline import MAX_BYTES, InlineKey, ec_arithmetic, model, parse_inline
from hsmgate.domain.inline.ec_arithmetic import DOMAINS, multiply, public_point
from hsmgate.domain.inline.pkcs8 import elements, encode
from hsmgate.errors import BadItem, ItemError, Unsupported

PKCS8 = (Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
TRADITIONAL = (Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
SPKI = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

SEQUENCE, OCTETS, BITS = 0x30, 0x04, 0x03
NULL = b"\x05\0"
RSA_OID, EC_OID, DSA_OID, ED25519_OID = (
    ObjectIdentifier(dotted).dump()
    for dotted in ("1.2.840.113549.1.1.1", "1.2.840.10045.2.1", "1.2.840.10040.4.1", "1.3.101.112")
)
ML_DSA_OIDS = {n: ObjectIdentifier(f"2.16.840.1.101.3.4.3.{17 + i}").dump() for i, n in enumerate((44, 65, 87))}
ML_DSA_PRIVATE_SIZES = {44: 2560, 65: 4032, 87: 4896}
ML_DSA_MATRICES = {44: b"\4\4", 65: b"\6\5", 87: b"\x08\7"}

OPENSSL_NAMES = {
    name: {"NistP192": "prime192v1", "NistP256": "prime256v1"}.get(name)
    or name.lower().replace("nistp", "secp").replace("brainpoolp", "brainpoolP")
    + ("r1" if name.startswith("Nist") else "")
    for name in DOMAINS
}

every_curve = pytest.mark.parametrize("curve", DOMAINS)


def openssl(*arguments: str, given: bytes = b"") -> bytes:
    return subprocess.run(("openssl", *arguments), input=given, capture_output=True, check=True).stdout


def refused(value: bytes, obj_type: str, kind: type[ItemError] = BadItem) -> str:
    with pytest.raises(kind) as caught:
        parse_inline(value, obj_type)
    assert type(caught.value) is kind
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    text = str(caught.value)
    assert text.startswith("key.inline.")
    return text


def integer(number: int) -> bytes:
    return bytes(Integer(number).dump())


def pkcs8(algorithm: bytes, body: bytes, public: bytes | None = None, parameters: bytes = b"") -> bytes:
    tail = b"" if public is None else encode(0x81, b"\0", public)
    version = integer(0 if public is None else 1)
    return encode(SEQUENCE, version, encode(SEQUENCE, algorithm, parameters), encode(OCTETS, body), tail)


# --- RSA


@cache
def rsa_key(bits: int = 2048, e: int = 65537) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(e, bits)


def rsa_numbers() -> dict[str, int]:
    numbers = rsa_key().private_numbers()
    n, e = numbers.public_numbers.n, numbers.public_numbers.e
    return {
        "version": 0,
        "n": n,
        "e": e,
        "d": numbers.d,
        "p": numbers.p,
        "q": numbers.q,
        "dp": numbers.dmp1,
        "dq": numbers.dmq1,
        "qinv": numbers.iqmp,
    }


def rsa_der(**changed: int) -> bytes:
    return encode(SEQUENCE, *map(integer, (rsa_numbers() | changed).values()))


@pytest.mark.parametrize("form", [PKCS8, TRADITIONAL], ids=["PKCS#8", "PKCS#1"])
@pytest.mark.parametrize(("bits", "e"), [(1024, 3), (2048, 65537)])
def test_an_rsa_key_becomes_its_eight_numbers(
    form: tuple[Encoding, PrivateFormat, NoEncryption], bits: int, e: int
) -> None:
    private = rsa_key(bits, e)
    key = parse_inline(private.private_bytes(*form), "RSA")
    assert (key.kind, key.variant, key.bits) == ("RSA", None, bits)
    assert key.public_key == private.public_key().public_bytes(*SPKI)
    numbers = private.private_numbers()
    expected = {
        0x120: numbers.public_numbers.n,
        0x122: e,
        0x123: numbers.d,
        0x124: numbers.p,
        0x125: numbers.q,
        0x126: numbers.dmp1,
        0x127: numbers.dmq1,
        0x128: numbers.iqmp,
    }
    assert key.attributes.pop(0x100) == 0
    assert {cka: int.from_bytes(as_bytes(value), "big") for cka, value in key.attributes.items()} == expected
    assert all(as_bytes(value)[0] for value in key.attributes.values())


def as_bytes(value: bytes | int) -> bytes:
    assert isinstance(value, bytes)
    return value


@pytest.mark.parametrize("bits", [512, 1024])
def test_openssls_rsa_keys_are_taken(bits: int) -> None:
    der = openssl("genrsa", str(bits))
    for form in ("-traditional",), ():
        value = openssl("rsa", "-outform", "DER", *form, given=der)
        assert parse_inline(value, "rsa").public_key == openssl("rsa", "-pubout", "-outform", "DER", given=der)


def test_pkcs8_may_leave_out_rsas_null_and_hold_the_public_key() -> None:
    numbers = rsa_numbers()
    public = encode(SEQUENCE, integer(numbers["n"]), integer(numbers["e"]))
    assert parse_inline(pkcs8(RSA_OID, rsa_der()), "RSA") == parse_inline(rsa_der(), "RSA")
    assert parse_inline(pkcs8(RSA_OID, rsa_der(), public, NULL), "RSA") == parse_inline(rsa_der(), "RSA")
    assert "does not belong" in refused(pkcs8(RSA_OID, rsa_der(), public[:-1] + b"\3", NULL), "RSA")


@pytest.mark.parametrize("number", ["n", "e", "d", "p", "q", "dp", "dq", "qinv"])
def test_rsa_numbers_that_do_not_fit_are_refused(number: str) -> None:
    for change in -2, -1, 1, 2, 1 << 70:
        refused(rsa_der(**{number: rsa_numbers()[number] + change}), "RSA")


def test_rsa_numbers_that_fit_by_chance_are_refused() -> None:
    numbers = rsa_numbers()
    n, d, p, q = (numbers[name] for name in ("n", "d", "p", "q"))
    assert "coefficient" in refused(rsa_der(qinv=numbers["qinv"] + p), "RSA")
    assert "does not fit d" in refused(rsa_der(dp=numbers["dp"] + p - 1), "RSA")
    assert "not below the modulus" in refused(rsa_der(d=d + (p - 1) * (q - 1)), "RSA")
    assert "not below the modulus" in refused(rsa_der(d=0), "RSA")
    assert "not p·q" in refused(rsa_der(p=1, q=n), "RSA")
    assert "not p·q" in refused(rsa_der(p=0, q=0), "RSA")
    assert "not p·q" in refused(rsa_der(n=2 * p * (q // 2), q=2 * (q // 2)), "RSA")
    # p = q leaves no coefficient.
    assert "coefficient" in refused(rsa_der(n=p * p, q=p, d=numbers["dp"], dq=numbers["dp"]), "RSA")


@pytest.mark.parametrize("e", [1, 2, 65536, 2**64 + 1])
def test_rsa_exponents_out_of_range_are_refused(e: int) -> None:
    assert "public exponent" in refused(rsa_der(e=e), "RSA")


@pytest.mark.parametrize("bits", [511, 8193, 100_000])
def test_rsa_sizes_out_of_range_are_refused(bits: int) -> None:
    assert "512 to 8192 bits" in refused(rsa_der(n=(1 << bits) - 1), "RSA")


def test_an_rsa_key_of_8192_bits_is_of_the_right_size() -> None:
    assert "not p·q" in refused(rsa_der(n=(1 << 8192) - 1), "RSA")


def test_multi_prime_rsa_is_refused() -> None:
    parts = [element.raw for element in elements(elements(rsa_der())[0].content)]
    more = encode(SEQUENCE, encode(SEQUENCE, *map(integer, (5, 7, 11))))
    value = encode(SEQUENCE, integer(1), *parts[1:], more)
    assert "more than two primes" in refused(value, "RSA")
    assert "more than two primes" in refused(pkcs8(RSA_OID, value, parameters=NULL), "RSA")
    assert "version" in refused(rsa_der(version=1), "RSA")


def test_pss_only_keys_are_refused() -> None:
    pss = ObjectIdentifier("1.2.840.113549.1.1.10").dump()
    assert "another algorithm" in refused(pkcs8(pss, rsa_der()), "RSA")


# --- EC


def ec_value(curve: str, d: int) -> bytes:
    return d.to_bytes(CURVES[curve].order_bytes, "big")


def sec1(
    curve: str,
    d: bytes,
    point: bytes | None = None,
    params: bytes | None = None,
) -> bytes:
    named = encode(0xA0, ObjectIdentifier(CURVES[curve].oid).dump() if params is None else params)
    public = b"" if point is None else encode(0xA1, encode(BITS, b"\0", point))
    return encode(SEQUENCE, integer(1), encode(OCTETS, d), b"" if params == b"" else named, public)


def ec_pkcs8(curve: str, inner: bytes, public: bytes | None = None) -> bytes:
    return pkcs8(EC_OID, inner, public, ObjectIdentifier(CURVES[curve].oid).dump())


def openssls_ec_key(curve: str) -> bytes:
    return openssl("ecparam", "-name", OPENSSL_NAMES[curve], "-genkey", "-noout", "-outform", "DER")


@every_curve
def test_openssls_ec_keys_are_taken(curve: str) -> None:
    value = openssls_ec_key(curve)
    key = parse_inline(value, "EC")
    assert (key.kind, key.variant, key.bits) == ("EC", curve, CURVES[curve].bits)
    _, scalar, params, public = elements(elements(value)[0].content)
    assert params.content == ObjectIdentifier(CURVES[curve].oid).dump()
    assert key.attributes == {0x100: 3, 0x180: params.content, 0x011: scalar.content}
    assert len(scalar.content) == CURVES[curve].order_bytes
    assert key.public_key == encode(SEQUENCE, encode(SEQUENCE, EC_OID, params.content), public.content)
    point = elements(public.content)[0].content[1:]
    compressed = bytes((2 + point[-1] % 2,)) + point[1 : len(point) // 2 + 1]
    for form in (
        sec1(curve, scalar.content),
        sec1(curve, scalar.content, compressed),
        ec_pkcs8(curve, value),
        ec_pkcs8(curve, sec1(curve, scalar.content, params=b"")),
    ):
        assert parse_inline(form, "EC") == key


@pytest.mark.parametrize("curve", ["NistP521", "SecP224K1"])
def test_openssls_other_forms_of_an_ec_key_are_taken(curve: str) -> None:
    value = openssls_ec_key(curve)
    public = openssl("ec", "-inform", "DER", "-pubout", "-outform", "DER", given=value)
    assert parse_inline(value, "EC").public_key == public
    for form in (
        ("ec", "-no_public"),
        ("ec", "-conv_form", "compressed"),
        ("pkcs8", "-topk8", "-nocrypt"),
    ):
        written = openssl(*form, "-inform", "DER", "-outform", "DER", given=value)
        assert written != value
        assert parse_inline(written, "EC") == parse_inline(value, "EC")


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1()])
@pytest.mark.parametrize("form", [PKCS8, TRADITIONAL], ids=["PKCS#8", "SEC1"])
def test_cryptographys_ec_keys_are_taken(
    curve: ec.EllipticCurve, form: tuple[Encoding, PrivateFormat, NoEncryption]
) -> None:
    private = ec.generate_private_key(curve)
    key = parse_inline(private.private_bytes(*form), "EC")
    assert key.public_key == private.public_key().public_bytes(*SPKI)
    assert key.attributes[0x011] == private.private_numbers().private_value.to_bytes((curve.key_size + 7) // 8, "big")


@every_curve
def test_the_bounds_of_an_ec_number(curve: str) -> None:
    order = DOMAINS[curve].n
    for d in 1, order - 1:
        key = parse_inline(sec1(curve, ec_value(curve, d)), "EC")
        assert key.attributes[0x011] == ec_value(curve, d)
    for d in 0, order, order + 1, (1 << 8 * CURVES[curve].order_bytes) - 1:
        assert "out of the curve's range" in refused(sec1(curve, ec_value(curve, d)), "EC")
    assert "too long" in refused(sec1(curve, b"\0" + ec_value(curve, 1)), "EC")
    assert "out of the curve's range" in refused(sec1(curve, b""), "EC")


@every_curve
def test_an_ec_number_without_its_leading_zeros_is_padded(curve: str) -> None:
    assert parse_inline(sec1(curve, b"\7"), "EC").attributes[0x011] == ec_value(curve, 7)


@every_curve
def test_a_public_key_of_another_private_key_is_refused(curve: str) -> None:
    d, other = ec_value(curve, 5), public_point(CURVES[curve], 6)
    right = public_point(CURVES[curve], 5)
    size = len(other) // 2
    opposite = right[: 1 + size] + (DOMAINS[curve].p - int.from_bytes(right[1 + size :], "big")).to_bytes(size, "big")
    compressed_opposite = bytes((3 - right[-1] % 2,)) + right[1 : 1 + size]
    hybrid = bytes((6 + right[-1] % 2,)) + right[1:]
    off_curve = right[:-1] + bytes((right[-1] ^ 1,))
    for wrong in other, opposite, compressed_opposite, hybrid, off_curve, b"\0", b"":
        assert "does not belong" in refused(sec1(curve, d, wrong), "EC")
        assert "does not belong" in refused(ec_pkcs8(curve, sec1(curve, d, params=b""), wrong), "EC")
    compressed = bytes((2 + right[-1] % 2,)) + right[1 : 1 + size]
    for point in right, compressed:
        assert parse_inline(ec_pkcs8(curve, sec1(curve, d, point), point), "EC")


def test_two_curves_are_refused() -> None:
    inner = sec1("NistP256", ec_value("NistP256", 5))
    assert "two curves" in refused(ec_pkcs8("SecP256K1", inner), "EC")


def test_a_key_that_names_no_curve_is_refused() -> None:
    bare = sec1("NistP256", ec_value("NistP256", 5), params=b"")
    assert "names no curve" in refused(bare, "EC")
    assert "names no curve" in refused(pkcs8(EC_OID, bare), "EC")
    assert "names no curve" in refused(pkcs8(EC_OID, bare, parameters=NULL), "EC")
    # In PKCS#8 it is the algorithm's business.
    assert "names no curve" in refused(pkcs8(EC_OID, sec1("NistP256", ec_value("NistP256", 5))), "EC")
    twice = 2 * ObjectIdentifier(CURVES["NistP256"].oid).dump()
    assert "names no curve" in refused(sec1("NistP256", b"\5", params=twice), "EC")


def test_explicit_parameters_are_refused() -> None:
    explicit = ("-name", "prime256v1", "-genkey", "-noout", "-param_enc", "explicit", "-outform", "DER")
    value = openssl("ecparam", *explicit)
    assert "explicit EC parameters" in refused(value, "EC")
    wrapped = openssl("pkcs8", "-topk8", "-nocrypt", "-inform", "DER", "-outform", "DER", given=value)
    assert "explicit EC parameters" in refused(wrapped, "EC")


@pytest.mark.parametrize(
    "oid", ["1.3.132.0.39", "1.2.156.10197.1.301", "1.3.101.112"], ids=["binary", "SM2", "Ed25519"]
)
def test_curves_that_are_none_of_ours_are_not_served(oid: str) -> None:
    params = ObjectIdentifier(oid).dump()
    assert "not served" in refused(sec1("NistP256", b"\5", params=params), "EC", Unsupported)


# --- Curves' arithmetic


def test_every_curve_has_its_numbers() -> None:
    assert set(DOMAINS) == set(CURVES) - {"Ed25519", "Ed448"}


@every_curve
def test_the_order_times_the_base_point_is_infinity(curve: str) -> None:
    domain = DOMAINS[curve]
    assert multiply(domain, domain.n) is None
    assert multiply(domain, 0) is None
    assert multiply(domain, 1) == (domain.x, domain.y)
    assert multiply(domain, domain.n - 1) == (domain.x, domain.p - domain.y)
    assert domain.p.bit_length() == CURVES[curve].bits
    assert (domain.n.bit_length() + 7) // 8 == CURVES[curve].order_bytes
    with pytest.raises(ValueError, match="no public point"):
        ec_arithmetic.public_point(CURVES["SecP224K1"], DOMAINS["SecP224K1"].n)


@every_curve
def test_the_numbers_are_openssls(curve: str) -> None:
    explicit = ("-param_enc", "explicit", "-outform", "DER", "-conv_form", "uncompressed")
    _, field, coefficients, base, order, _ = elements(
        elements(openssl("ecparam", "-name", OPENSSL_NAMES[curve], *explicit))[0].content
    )
    p = Integer.load(elements(field.content)[1].raw).native
    a, b = (int.from_bytes(part.content, "big") for part in elements(coefficients.content)[:2])
    domain = DOMAINS[curve]
    size = (CURVES[curve].bits + 7) // 8
    point = b"\4" + domain.x.to_bytes(size, "big") + domain.y.to_bytes(size, "big")
    assert (p, a, base.content) == (domain.p, domain.a % domain.p, point)
    assert Integer.load(order.raw).native == domain.n
    assert (domain.y**2 - domain.x**3 - domain.a * domain.x - b) % p == 0


@settings(deadline=None, max_examples=30)
@given(curve=st.sampled_from(sorted(set(DOMAINS) & set(ec_arithmetic._KNOWN))), data=st.data())
def test_our_arithmetic_is_cryptographys(curve: str, data: st.DataObject) -> None:
    scalar = data.draw(st.integers(1, DOMAINS[curve].n - 1))
    point = multiply(DOMAINS[curve], scalar)
    assert point is not None
    assert public_point(CURVES[curve], scalar)[1:] == b"".join(
        coordinate.to_bytes((CURVES[curve].bits + 7) // 8, "big") for coordinate in point
    )


def test_a_curve_that_this_openssl_lacks_is_computed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = public_point(CURVES["BrainpoolP256R1"], 12345)

    def lacking(*_: object) -> None:
        raise UnsupportedAlgorithm("no such curve")

    monkeypatch.setattr(ec, "derive_private_key", lacking)
    assert public_point(CURVES["BrainpoolP256R1"], 12345) == expected


# --- EdDSA

EDWARDS = [
    ("Ed25519", ed25519.Ed25519PrivateKey.generate, 256, "1.3.101.112"),
    ("Ed448", ed448.Ed448PrivateKey.generate, 456, "1.3.101.113"),
]


@pytest.mark.parametrize(("name", "generate", "bits", "oid"), EDWARDS, ids=["Ed25519", "Ed448"])
def test_edwards_keys_are_of_type_ec(
    name: str, generate: Callable[[], ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey], bits: int, oid: str
) -> None:
    private = generate()
    seed, public = private.private_bytes_raw(), private.public_key().public_bytes_raw()
    key = parse_inline(private.private_bytes(*PKCS8), "ec")
    assert (key.kind, key.variant, key.bits) == (name, name, bits)
    assert key.public_key == private.public_key().public_bytes(*SPKI)
    params = ObjectIdentifier(oid).dump()
    assert key.attributes == {0x100: 0x40, 0x180: params, 0x011: seed}
    body = encode(OCTETS, seed)
    assert parse_inline(pkcs8(params, body, public), "EC") == key
    assert "does not belong" in refused(pkcs8(params, body, bytes(len(public))), "EC")
    assert "other than" in refused(pkcs8(params, encode(OCTETS, seed[1:])), "EC")
    assert "other than" in refused(pkcs8(params, encode(OCTETS, seed + b"\0")), "EC")
    assert "parameters" in refused(pkcs8(params, body, parameters=NULL), "EC")
    refused(pkcs8(params, seed), "EC")


@pytest.mark.parametrize("name", ["Ed25519", "Ed448"])
def test_openssls_edwards_keys_are_taken(name: str) -> None:
    value = openssl("genpkey", "-algorithm", name, "-outform", "DER")
    public = openssl("pkey", "-inform", "DER", "-pubout", "-outform", "DER", given=value)
    assert parse_inline(value, "EC").public_key == public


@pytest.mark.parametrize("generate", [x25519.X25519PrivateKey.generate, x448.X448PrivateKey.generate])
def test_keys_for_agreement_only_are_refused(
    generate: Callable[[], x25519.X25519PrivateKey | x448.X448PrivateKey],
) -> None:
    assert "cannot sign" in refused(generate().private_bytes(*PKCS8), "EC")


# --- DSA


@cache
def dsa_key() -> dsa.DSAPrivateKey:
    return dsa.generate_private_key(1024)


def dsa_numbers() -> dict[str, int]:
    numbers = dsa_key().private_numbers()
    public, parameters = numbers.public_numbers, numbers.public_numbers.parameter_numbers
    return {"version": 0, "p": parameters.p, "q": parameters.q, "g": parameters.g, "y": public.y, "x": numbers.x}


def dsa_der(**changed: int) -> bytes:
    return encode(SEQUENCE, *map(integer, (dsa_numbers() | changed).values()))


@pytest.mark.parametrize("form", [PKCS8, TRADITIONAL], ids=["PKCS#8", "traditional"])
def test_a_dsa_key_becomes_its_numbers(form: tuple[Encoding, PrivateFormat, NoEncryption]) -> None:
    key = parse_inline(dsa_key().private_bytes(*form), "DSA")
    assert (key.kind, key.variant, key.bits) == ("DSA", None, 1024)
    assert key.public_key == dsa_key().public_key().public_bytes(*SPKI)
    numbers = dsa_numbers()
    attributes = {0x130: numbers["p"], 0x131: numbers["q"], 0x132: numbers["g"], 0x011: numbers["x"]}
    assert key.attributes.pop(0x100) == 1
    assert {cka: int.from_bytes(as_bytes(value), "big") for cka, value in key.attributes.items()} == attributes


def test_openssls_dsa_keys_are_taken() -> None:
    value = openssl("dsaparam", "-genkey", "-noout", "-outform", "DER", "1024")
    public = openssl("dsa", "-inform", "DER", "-pubout", "-outform", "DER", given=value)
    wrapped = openssl("pkcs8", "-topk8", "-nocrypt", "-inform", "DER", "-outform", "DER", given=value)
    assert parse_inline(value, "DSA") == parse_inline(wrapped, "DSA")
    assert parse_inline(value, "DSA").public_key == public


@pytest.mark.parametrize("number", ["version", "p", "q", "g", "y", "x"])
def test_dsa_numbers_that_do_not_fit_are_refused(number: str) -> None:
    for change in 1, 2, 1 << 20:
        refused(dsa_der(**{number: dsa_numbers()[number] + change}), "DSA")


def test_dsa_numbers_out_of_range_are_refused() -> None:
    numbers = dsa_numbers()
    p, q = numbers["p"], numbers["q"]
    for x in 0, q, q + numbers["x"]:
        assert "out of range" in refused(dsa_der(x=x), "DSA")
    for g in 0, 1, p - 1, p, p + numbers["g"]:
        assert "do not fit together" in refused(dsa_der(g=g), "DSA")
    for wrong in (1 << 511) - 1, 1 << 4096:
        assert "512 to 4096 bits" in refused(dsa_der(p=wrong), "DSA")
    for wrong in 0, 1, 2, 1 << 158, 1 << 256, p:
        assert "160 to 256 bits" in refused(dsa_der(q=wrong), "DSA")


def test_dsa_in_pkcs8_may_hold_the_public_key_and_must_hold_its_parameters() -> None:
    numbers = dsa_numbers()
    parameters = encode(SEQUENCE, *(integer(numbers[name]) for name in "pqg"))
    body, public = integer(numbers["x"]), integer(numbers["y"])
    key = parse_inline(pkcs8(DSA_OID, body, public, parameters), "DSA")
    assert key == parse_inline(dsa_der(), "DSA")
    assert "does not belong" in refused(pkcs8(DSA_OID, body, public[:-1] + b"\0", parameters), "DSA")
    for wrong in b"", NULL, encode(SEQUENCE), encode(SEQUENCE, integer(numbers["p"])):
        refused(pkcs8(DSA_OID, body, parameters=wrong), "DSA")
    refused(pkcs8(DSA_OID, body + body, parameters=parameters), "DSA")
    refused(pkcs8(DSA_OID, dsa_der(), parameters=parameters), "DSA")


# --- ML-DSA

MlDsaKey = type[mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey]
ML_DSA_KEYS: dict[int, MlDsaKey] = {
    44: mldsa.MLDSA44PrivateKey,
    65: mldsa.MLDSA65PrivateKey,
    87: mldsa.MLDSA87PrivateKey,
}
SEED = bytes(range(32))
every_set = pytest.mark.parametrize("n", [44, 65, 87])


def ml_dsa_public(n: int) -> bytes:
    return ML_DSA_KEYS[n].from_seed_bytes(SEED).public_key().public_bytes_raw()


def expanded(n: int) -> bytes:
    """What FIPS 204, algorithms 6 and 24, make of SEED, but with zeros for the vectors: ρ, K, tr, s₁, s₂, t₀."""
    public = ml_dsa_public(n)
    k = hashlib.shake_256(SEED + ML_DSA_MATRICES[n]).digest(128)[96:]
    return (public[:32] + k + hashlib.shake_256(public).digest(64)).ljust(ML_DSA_PRIVATE_SIZES[n], b"\0")


def both(seed: bytes, private: bytes) -> bytes:
    return encode(SEQUENCE, encode(OCTETS, seed), encode(OCTETS, private))


@every_set
def test_an_ml_dsa_key_is_a_seed(n: int) -> None:
    private = ML_DSA_KEYS[n].from_seed_bytes(SEED)
    key = parse_inline(private.private_bytes(*PKCS8), "MLDSA")
    assert (key.kind, key.variant, key.bits) == ("ML-DSA", f"MlDsa{n}", 0)
    assert key.public_key == private.public_key().public_bytes(*SPKI)
    assert key.attributes == {0x100: 0x4A, 0x61D: {44: 1, 65: 2, 87: 3}[n], 0x637: SEED}
    assert parse_inline(pkcs8(ML_DSA_OIDS[n], encode(0x80, SEED)), "mldsa") == key
    assert parse_inline(pkcs8(ML_DSA_OIDS[n], encode(0x80, SEED), ml_dsa_public(n)), "mldsa") == key


@every_set
def test_an_expanded_ml_dsa_key_has_no_public_key_unless_it_comes_along(n: int) -> None:
    body = encode(OCTETS, expanded(n))
    key = parse_inline(pkcs8(ML_DSA_OIDS[n], body), "MLDSA")
    assert key.public_key is None
    assert key.attributes == {0x100: 0x4A, 0x61D: {44: 1, 65: 2, 87: 3}[n], 0x011: expanded(n)}
    with_public = parse_inline(pkcs8(ML_DSA_OIDS[n], body, ml_dsa_public(n)), "MLDSA")
    assert with_public.attributes == key.attributes
    assert with_public.public_key is not None
    assert load_der_public_key(with_public.public_key) == ML_DSA_KEYS[n].from_seed_bytes(SEED).public_key()


@every_set
def test_seed_and_expanded_key_must_belong_together(n: int) -> None:
    key = parse_inline(pkcs8(ML_DSA_OIDS[n], both(SEED, expanded(n))), "MLDSA")
    assert key.attributes == {0x100: 0x4A, 0x61D: {44: 1, 65: 2, 87: 3}[n], 0x637: SEED, 0x011: expanded(n)}
    assert key.public_key == ML_DSA_KEYS[n].from_seed_bytes(SEED).public_key().public_bytes(*SPKI)
    for offset in 0, 31, 32, 63, 64, 127:
        wrong = bytearray(expanded(n))
        wrong[offset] ^= 1
        assert "belong together" in refused(pkcs8(ML_DSA_OIDS[n], both(SEED, bytes(wrong))), "MLDSA")
    assert "belong together" in refused(pkcs8(ML_DSA_OIDS[n], both(bytes(32), expanded(n))), "MLDSA")


@every_set
def test_a_public_key_of_another_ml_dsa_key_is_refused(n: int) -> None:
    public = ml_dsa_public(n)
    wrong = public[:-1] + bytes((public[-1] ^ 1,))
    assert "does not belong" in refused(pkcs8(ML_DSA_OIDS[n], encode(0x80, SEED), wrong), "MLDSA")
    assert "does not belong" in refused(pkcs8(ML_DSA_OIDS[n], both(SEED, expanded(n)), wrong), "MLDSA")
    assert "belong together" in refused(pkcs8(ML_DSA_OIDS[n], encode(OCTETS, expanded(n)), wrong), "MLDSA")
    assert "public key has not" in refused(pkcs8(ML_DSA_OIDS[n], encode(OCTETS, expanded(n)), b"\0"), "MLDSA")


@every_set
@pytest.mark.parametrize(
    "body",
    [
        b"",
        SEED,
        encode(0x80, SEED[1:]),
        encode(0x80, SEED, b"\0"),
        encode(0x80, SEED) * 2,
        encode(0xA0, encode(OCTETS, SEED)),
        encode(OCTETS, SEED),
        encode(OCTETS, bytes(4000)),
        encode(SEQUENCE, encode(OCTETS, SEED)),
        encode(SEQUENCE, encode(0x80, SEED), encode(OCTETS, bytes(2560))),
        both(SEED[1:], bytes(2560)),
        both(SEED, SEED),
        encode(0x81, SEED),
    ],
)
def test_ml_dsa_keys_of_another_shape_are_refused(n: int, body: bytes) -> None:
    refused(pkcs8(ML_DSA_OIDS[n], body), "MLDSA")


@every_set
def test_the_parameter_sets_are_not_mixed_up(n: int) -> None:
    for other in {44, 65, 87} - {n}:
        assert "other than" in refused(pkcs8(ML_DSA_OIDS[n], encode(OCTETS, expanded(other))), "MLDSA")
    assert "parameters" in refused(pkcs8(ML_DSA_OIDS[n], encode(0x80, SEED), parameters=NULL), "MLDSA")


def test_what_openssl_does_not_know_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in UnsupportedAlgorithm("old"), ValueError("old"):

        def lacking(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(model, "load_der_private_key", lacking)
        assert "ML-DSA is not known" in refused(pkcs8(ML_DSA_OIDS[44], encode(0x80, SEED)), "MLDSA", Unsupported)


# --- Types


@cache
def samples() -> dict[str, tuple[str, bytes]]:
    """A name, the right `obj_type`, and the DER."""
    ec_key = ec.generate_private_key(ec.SECP256R1())
    return {
        "RSA": ("RSA", rsa_key(1024, 3).private_bytes(*PKCS8)),
        "PKCS#1": ("RSA", rsa_key(1024, 3).private_bytes(*TRADITIONAL)),
        "EC": ("EC", ec_key.private_bytes(*PKCS8)),
        "SEC1": ("EC", ec_key.private_bytes(*TRADITIONAL)),
        "SecP224K1": ("EC", sec1("SecP224K1", ec_value("SecP224K1", 5), public_point(CURVES["SecP224K1"], 5))),
        "Ed25519": ("EC", ed25519.Ed25519PrivateKey.generate().private_bytes(*PKCS8)),
        "Ed448": ("EC", ed448.Ed448PrivateKey.generate().private_bytes(*PKCS8)),
        "DSA": ("DSA", dsa_key().private_bytes(*PKCS8)),
        "traditional DSA": ("DSA", dsa_key().private_bytes(*TRADITIONAL)),
        "ML-DSA": ("MLDSA", pkcs8(ML_DSA_OIDS[44], encode(0x80, SEED))),
        "expanded ML-DSA": ("MLDSA", pkcs8(ML_DSA_OIDS[44], encode(OCTETS, expanded(44)), ml_dsa_public(44))),
        "both ML-DSA": ("MLDSA", pkcs8(ML_DSA_OIDS[44], both(SEED, expanded(44)))),
    }


SAMPLES = [
    "RSA",
    "PKCS#1",
    "EC",
    "SEC1",
    "SecP224K1",
    "Ed25519",
    "Ed448",
    "DSA",
    "traditional DSA",
    "ML-DSA",
    "expanded ML-DSA",
    "both ML-DSA",
]
every_sample = pytest.mark.parametrize("sample", SAMPLES)


@every_sample
def test_obj_type_must_be_the_keys(sample: str) -> None:
    right, value = samples()[sample]
    for obj_type in "RSA", "EC", "DSA", "MLDSA", "rsa", "Ec", "dsa", "MlDsa":
        if obj_type.upper() == right:
            assert isinstance(parse_inline(value, obj_type), InlineKey)
        else:
            text = refused(value, obj_type)
            assert text.startswith("key.inline.value: ")
            assert f"holds a key of type {right}" in text


@pytest.mark.parametrize(
    "obj_type",
    [
        "AES",
        "ARIA",
        "DES",
        "DES3",
        "SEED",
        "OPAQUE",
        "HMAC",
        "SECRET",
        "CERTIFICATE",
        "PBE",
        "MLKEM",
        "MLKEMBETA",
        "LEDABETA",
        "ROUND5BETA",
        "MlKem",
        "aes",
    ],
)
def test_types_that_cannot_sign_are_refused(obj_type: str) -> None:
    text = refused(rsa_der(), obj_type)
    assert text.startswith("key.inline.obj_type: ")
    assert "cannot sign" in text


@pytest.mark.parametrize("obj_type", ["KCDSA", "ECKCDSA", "BLS", "BIP32", "SLIP10", "MLDSABETA", "Bls"])
def test_types_without_a_mechanism_are_not_served(obj_type: str) -> None:
    assert "no mechanism" in refused(rsa_der(), obj_type, Unsupported)


@pytest.mark.parametrize("obj_type", ["LMS", "XMSS", "lms"])
def test_one_time_keys_are_not_served(obj_type: str) -> None:
    assert "state would be lost" in refused(rsa_der(), obj_type, Unsupported)


@pytest.mark.parametrize("obj_type", ["", "RSA ", "ED25519", "ſeed", "x" * 10_000, "\0"])
def test_other_types_are_refused_without_being_repeated(obj_type: str) -> None:
    text = refused(rsa_der(), obj_type)
    assert text.startswith("key.inline.obj_type: ")
    assert len(text) < 200


# --- DER


@every_sample
def test_trailing_bytes_are_refused(sample: str) -> None:
    obj_type, value = samples()[sample]
    for tail in b"\0", NULL, value:
        refused(value + tail, obj_type)
    content = elements(value)[0].content
    refused(encode(SEQUENCE, content, b"\0"), obj_type)
    refused(encode(SEQUENCE, content, NULL), obj_type)


@every_sample
def test_a_key_cut_short_is_refused(sample: str) -> None:
    obj_type, value = samples()[sample]
    for size in {*range(0, len(value), max(1, len(value) // 100)), len(value) - 1}:
        refused(value[:size], obj_type)


@every_sample
def test_other_lengths_than_ders_are_refused(sample: str) -> None:
    obj_type, value = samples()[sample]
    content = elements(value)[0].content
    assert "indefinite" in refused(b"\x30\x80" + content + b"\0\0", obj_type)
    assert "more bytes than needed" in refused(b"\x30\x84" + len(content).to_bytes(4, "big") + content, obj_type)
    first = elements(content)[0]
    long = bytes((first.tag, 0x81, len(first.content))) + first.content
    assert "more bytes than needed" in refused(encode(SEQUENCE, long, content[len(first.raw) :]), obj_type)
    refused(b"\x30\xff" + content, obj_type)


def test_other_numbers_than_ders_are_refused() -> None:
    parts = [element.raw for element in elements(elements(rsa_der())[0].content)]
    for wrong, text in (
        (b"\x02\x02\0\0", "more bytes than needed"),
        (b"\x02\x02\0\x7f", "more bytes than needed"),
        (b"\x02\x01\x80", "negative"),
        (b"\x02\0", "where a number should be"),
    ):
        for at in range(9):
            assert text in refused(encode(SEQUENCE, *parts[:at], wrong, *parts[at + 1 :]), "RSA")


def test_bits_that_are_no_bytes_are_refused() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    value = bytearray(pkcs8(ED25519_OID, encode(OCTETS, SEED), private.public_key().public_bytes_raw()))
    value[-33] = 1
    assert "ends within a byte" in refused(bytes(value), "EC")


def test_attributes_of_pkcs8_are_let_pass() -> None:
    info = PrivateKeyInfo.wrap(RSAPrivateKey.load(rsa_der()), "rsa")
    info["attributes"] = [{"type": "2.5.29.15", "values": []}]
    assert parse_inline(info.dump(), "RSA") == parse_inline(rsa_der(), "RSA")


@pytest.mark.parametrize("version", [0, 2])
def test_the_version_of_pkcs8_says_whether_it_holds_a_public_key(version: int) -> None:
    value = pkcs8(ED25519_OID, encode(OCTETS, SEED), bytes(32))
    assert value[2:5] == b"\2\1\1"
    assert "version" in refused(value[:4] + bytes((version,)) + value[5:], "EC")
    assert "version" in refused(pkcs8(ED25519_OID, encode(OCTETS, SEED)).replace(b"\2\1\0", b"\2\1\1", 1), "EC")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"", "empty"),
        (b"\x30", "ends within"),
        (b"\x30\0", "no private key in"),
        (bytes(MAX_BYTES + 1), "longer than 16384"),
        (b"\x30\x82\x3f\xfc" + NULL * 8190, "more elements than any key"),
        (b"\x3f\x81\x01\x01\x00", "tag of more than one byte"),
        (b"-----BEGIN PRIVATE KEY-----\n", "is PEM"),
        (b"\n -----BEGIN RSA PRIVATE KEY-----\n", "is PEM"),
        (b"\x04\x20" + SEED, "another type"),
        (SEED, "ends within"),
        (b"\x30\x84" + bytes((255,)) * 4 + b"\0", "ends within"),
        (b"\x30\x80" * 8000, "indefinite"),
    ],
)
def test_what_is_no_key_at_all_is_refused(value: bytes, text: str) -> None:
    for obj_type in "RSA", "EC", "DSA", "MLDSA":
        refusal = refused(value, obj_type)
        assert refusal.startswith("key.inline.value: ")
        assert text in refusal


def test_other_things_in_der_are_refused_by_name() -> None:
    private = rsa_key()
    encrypted = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    assert "encrypted" in refused(encrypted, "RSA")
    assert "public key" in refused(private.public_key().public_bytes(*SPKI), "RSA")
    assert "public key" in refused(private.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1), "RSA")
    assert "PKCS#12" in refused(
        serialize_key_and_certificates(None, private, None, None, BestAvailableEncryption(b"secret")), "RSA"
    )
    signed = encode(SEQUENCE, encode(SEQUENCE), encode(SEQUENCE), encode(BITS, b"\0"))
    assert "like a certificate" in refused(signed, "RSA")


@pytest.mark.parametrize("identifier", [b"", NULL, RSA_OID + NULL + NULL, b"\x06"])
def test_an_algorithm_must_be_named_rightly(identifier: bytes) -> None:
    refused(encode(SEQUENCE, integer(0), encode(SEQUENCE, identifier), encode(OCTETS, rsa_der())), "RSA")


# --- Anything


@every_sample
def test_repr_shows_no_key(sample: str) -> None:
    obj_type, value = samples()[sample]
    key = parse_inline(value, obj_type)
    assert repr(key) == str(key) == f"InlineKey({key.kind}, {key.variant}, {key.bits} bits)"


def outcome(value: bytes, obj_type: str) -> None:
    """Whatever comes in, it is a key or a refusal of ours, which is short and repeats nothing of it."""
    try:
        key = parse_inline(value, obj_type)
    except (BadItem, Unsupported) as error:
        text = str(error)
        assert text.startswith("key.inline.")
        assert len(text) < 200
        assert not any(value[i : i + 6].hex() in text for i in range(len(value) - 5))
    else:
        assert key.attributes


obj_types = st.sampled_from(["RSA", "EC", "DSA", "MLDSA"])


@settings(deadline=None, max_examples=100)
@given(value=st.binary(max_size=300), obj_type=st.one_of(obj_types, st.text(max_size=12)))
def test_any_bytes_are_a_key_or_refused(value: bytes, obj_type: str) -> None:
    outcome(value, obj_type)


def der(depth: int) -> st.SearchStrategy[bytes]:
    content = st.binary(max_size=40)
    if depth:
        content = st.one_of(content, st.lists(der(depth - 1), max_size=10).map(b"".join))
    tags = st.sampled_from([0x02, 0x02, 0x03, 0x04, 0x05, 0x06, 0x30, 0x30, 0x80, 0x81, 0xA0, 0xA1])
    oids = st.sampled_from([RSA_OID, EC_OID, DSA_OID, ED25519_OID, *ML_DSA_OIDS.values()])
    return st.one_of(oids, st.builds(encode, tags, content))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(parts=st.lists(der(2), max_size=10), obj_type=obj_types)
def test_any_der_is_a_key_or_refused(parts: list[bytes], obj_type: str) -> None:
    outcome(encode(SEQUENCE, *parts), obj_type)


@settings(deadline=None, max_examples=100)
@given(sample=st.sampled_from(SAMPLES), data=st.data())
def test_a_damaged_key_is_a_key_or_refused(sample: str, data: st.DataObject) -> None:
    obj_type, value = samples()[sample]
    mutant = bytearray(value)
    # The first bytes are the structure; further on it is mostly numbers.
    places = st.one_of(st.integers(0, min(60, len(value) - 1)), st.integers(0, len(value) - 1))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(places)
        end = start + data.draw(st.sampled_from([0, 1, 1, 1, 2, 20]))
        mutant[start:end] = data.draw(st.binary(max_size=3))
    outcome(bytes(mutant), obj_type)


@settings(deadline=None, max_examples=60)
@given(pair=st.sampled_from(list(combinations(SAMPLES, 2))), data=st.data())
def test_two_keys_mixed_are_a_key_or_refused(pair: tuple[str, str], data: st.DataObject) -> None:
    (obj_type, one), (_, other) = samples()[pair[0]], samples()[pair[1]]
    mine, theirs = (elements(elements(value)[0].content) for value in (one, other))
    parts = [data.draw(st.sampled_from([*mine, *theirs])).raw for _ in mine]
    outcome(encode(SEQUENCE, *parts), obj_type)
