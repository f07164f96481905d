"""The table: key, item and token to a plan. Signatures are verified by `cryptography`, private operations are pow()."""

import itertools
import sys
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from msgspec.structs import replace

from hsmgate.domain import capabilities as can
from hsmgate.domain.capabilities import Capabilities
from hsmgate.domain.curves import CURVES
from hsmgate.domain.digests import DIGESTS, Digest
from hsmgate.domain.mechanisms import plan
from hsmgate.domain.model import ONE_TIME, KeyInfo, KeyType, Mode, SignParams
from hsmgate.domain.plans import LARGEST_SIGNATURE, ContextParameter, EddsaParameter, Parameter, PssParameter
from hsmgate.domain.promises import promised
from hsmgate.errors import BadItem, ItemError, NotPermitted, Unsupported
from tests.verify import HASHES

# PKCS#11 3.2, pkcs11t.h
CKM = {0x01: "RSA_PKCS", 0x03: "RSA_X_509", 0x0D: "RSA_PKCS_PSS", 0x11: "DSA", 0x1041: "ECDSA", 0x1057: "EDDSA"}
CKM |= {0x1D: "ML_DSA", 0x1F: "HASH_ML_DSA", 0x2E: "SLH_DSA", 0x4033: "HSS", 0x4036: "XMSS", 0x4037: "XMSSMT"}

SHA_1_AND_2 = ("SHA1", "SHA224", "SHA256", "SHA384", "SHA512")
SHA_3 = ("SHA3_224", "SHA3_256", "SHA3_384", "SHA3_512")
OTHERS = tuple(name for name in DIGESTS if name not in HASHES)
ML_DSA_SETS = ("MlDsa44", "MlDsa65", "MlDsa87")

PLAIN = frozenset(
    {
        *(can.RSA_PKCS1, can.RSA_RAW, can.ECDSA, can.DSA, can.SLH_DSA, "HSS", "XMSS", "XMSSMT", *ML_DSA_SETS),
        *(can.ML_DSA_CONTEXT, can.ML_DSA_DETERMINISTIC, can.ML_DSA_PREHASH),
        *(name(curve) for name in (can.edwards, can.edwards_prehash) for curve in ("Ed25519", "Ed448")),
    }
)
NO_PSS = Capabilities.of((), PLAIN)
EVERYTHING = Capabilities.of((), PLAIN | {can.rsa_pss(name, name) for name in SHA_1_AND_2})
NOTHING = Capabilities.of(CKM, ())

RSA = KeyInfo(bytes(16), "", "k", KeyType.RSA, None, 2048, None)
EC = replace(RSA, type=KeyType.EC, variant="NistP256", bits=256)
ED25519 = replace(RSA, type=KeyType.ED25519, variant="Ed25519", bits=256)
ED448 = replace(RSA, type=KeyType.ED448, variant="Ed448", bits=456)
DSA = replace(RSA, type=KeyType.DSA, variant="256")
ML_DSA = replace(RSA, type=KeyType.ML_DSA, variant="MlDsa65", bits=0)
SLH_DSA, HSS, XMSS, XMSSMT, OTHER = (
    replace(RSA, type=KeyType(name), bits=0) for name in ("SLH-DSA", "HSS", "XMSS", "XMSSMT", "other")
)
KEYS = {key.type: key for key in (RSA, EC, ED25519, ED448, DSA, ML_DSA, SLH_DSA, HSS, XMSS, XMSSMT, OTHER)}

DATA = b"attack at dawn"
PKCS1, PSS = Mode("PKCS1_V15"), Mode("PSS")
PSS_MGF1_SHA1, PSS_MGF1_SSL3, PSS_MGF1_MD5 = Mode("PSS", "sha1"), Mode("PSS", "Ssl3"), Mode("PSS", "MD5")
PURE, PRE_HASH, EXTERNAL_MU, NO_SUCH = Mode("PURE"), Mode("PRE_HASH"), Mode("EXTERNAL_MU"), Mode("pure")
RSA_MODES = (PKCS1, PSS, PSS_MGF1_SHA1, PSS_MGF1_SSL3, PSS_MGF1_MD5)
MODES = (None, *RSA_MODES, PURE, PRE_HASH, EXTERNAL_MU, NO_SUCH)

every_digest = pytest.mark.parametrize("digest", DIGESTS.values(), ids=lambda digest: digest.name)
every_key = pytest.mark.parametrize("key", KEYS.values(), ids=lambda key: key.type)
prehashed_or_not = pytest.mark.parametrize("prehashed", [False, True], ids=["data", "hash"])


def outcome(params: SignParams, key: KeyInfo, token: Capabilities = EVERYTHING) -> str:
    """The mechanism's name, or the error's class and the member that its text blames."""
    try:
        return CKM[plan(params, key, token).mechanism]
    except ItemError as error:
        return f"{type(error).__name__} {str(error).partition(':')[0]}"


def with_data(hash_alg: str | None = "SHA256", mode: Mode | None = None, context: bytes | None = None) -> SignParams:
    return SignParams(hash_alg, prehashed=False, mode=mode, context=context)


def with_hash(hash_alg: str | None = "SHA256", mode: Mode | None = None, context: bytes | None = None) -> SignParams:
    return SignParams(hash_alg, prehashed=True, mode=mode, context=context)


@cache
def private_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


Outcomes = tuple[str, str, str]
"""For SHA-1 and SHA-2, for SHA-3, for the other hashes."""


def alike(text: str) -> Outcomes:
    return text, text, text


# For `data` and for `hash`.
TABLE: dict[tuple[KeyType, Mode | None], tuple[Outcomes, Outcomes]] = {
    **{(kind, mode): (alike("BadItem mode"),) * 2 for kind, mode in itertools.product(KeyType, MODES)},
    (KeyType.RSA, None): (alike("RSA_PKCS"),) * 2,
    (KeyType.RSA, PKCS1): (alike("RSA_PKCS"),) * 2,
    (KeyType.RSA, PSS): (("RSA_PKCS_PSS", "RSA_X_509", "RSA_X_509"),) * 2,
    (KeyType.RSA, PSS_MGF1_SSL3): (alike("RSA_X_509"),) * 2,
    (KeyType.RSA, PSS_MGF1_MD5): (alike("BadItem mode.PSS.mgf.mgf1.hash"),) * 2,
    (KeyType.EC, None): (alike("ECDSA"),) * 2,
    (KeyType.DSA, None): (alike("DSA"),) * 2,
    (KeyType.ED448, None): (alike("EDDSA"), alike("BadItem hash_alg")),
    (KeyType.ML_DSA, None): (alike("ML_DSA"), ("HASH_ML_DSA", "HASH_ML_DSA", "Unsupported hash_alg")),
    (KeyType.ML_DSA, PURE): (alike("ML_DSA"), alike("BadItem hash")),
    (KeyType.ML_DSA, PRE_HASH): (("HASH_ML_DSA", "HASH_ML_DSA", "Unsupported hash_alg"),) * 2,
    (KeyType.ML_DSA, EXTERNAL_MU): (alike("Unsupported mode"),) * 2,
    (KeyType.SLH_DSA, None): (alike("SLH_DSA"), alike("Unsupported hash")),
    **{(kind, None): (alike(kind.value), alike("Unsupported hash")) for kind in ONE_TIME},
    (KeyType.OTHER, None): (alike("Unsupported key"),) * 2,
}
# With these it depends on the hash: see below.
del TABLE[KeyType.RSA, PSS_MGF1_SHA1], TABLE[KeyType.ED25519, None]


def test_there_is_a_key_of_every_type() -> None:
    assert set(KEYS) == set(KeyType)


@every_key
@prehashed_or_not
def test_key_mode_and_hash_decide_the_mechanism(key: KeyInfo, prehashed: bool) -> None:
    for (kind, mode), outcomes in TABLE.items():
        if kind is key.type:
            sha2, sha3, others = outcomes[prehashed]
            expected = dict.fromkeys(SHA_1_AND_2, sha2) | dict.fromkeys(SHA_3, sha3) | dict.fromkeys(OTHERS, others)
            assert {name: outcome(SignParams(name, prehashed, mode), key) for name in DIGESTS} == expected, mode


PSS_SHA256, PSS_SHA256_MGF1_SHA1 = can.rsa_pss("SHA256", "SHA256"), can.rsa_pss("SHA256", "SHA1")
DETERMINISTIC = SignParams("SHA256", prehashed=False, deterministic=True)

# How to sign; what a token must have shown for it, each of them needed; what it is then signed with.
GATES: list[tuple[KeyInfo, SignParams, dict[str, str], str, Parameter]] = [
    (RSA, with_data(), {can.RSA_PKCS1: "key"}, "RSA_PKCS", None),
    (RSA, with_data(mode=PSS), {PSS_SHA256: "key"}, "RSA_PKCS_PSS", PssParameter(0x250, 2, 32)),
    (RSA, with_data(mode=PSS_MGF1_SHA1), {PSS_SHA256_MGF1_SHA1: "key"}, "RSA_PKCS_PSS", PssParameter(0x250, 1, 32)),
    (RSA, with_data(mode=PSS_MGF1_SHA1), {can.RSA_RAW: "key"}, "RSA_X_509", None),
    (EC, with_data(), {can.ECDSA: "key"}, "ECDSA", None),
    (DSA, with_data(), {can.DSA: "key"}, "DSA", None),
    (ED25519, with_data(), {"Ed25519": "key"}, "EDDSA", None),
    (ED25519, with_data(), {"Ed25519 with parameter": "key"}, "EDDSA", EddsaParameter(prehash=False)),
    (ED25519, with_hash("SHA512"), {"Ed25519ph": "hash"}, "EDDSA", EddsaParameter(prehash=True)),
    (ED448, with_data(), {"Ed448": "key"}, "EDDSA", None),
    (ED448, with_data(), {"Ed448 with parameter": "key"}, "EDDSA", EddsaParameter(prehash=False)),
    (ED448, with_hash(None), {"Ed448ph": "hash"}, "EDDSA", EddsaParameter(prehash=True)),
    *((replace(ML_DSA, variant=name), with_data(), {name: "key"}, "ML_DSA", None) for name in ML_DSA_SETS),
    (ML_DSA, with_data(context=b""), {"MlDsa65": "key"}, "ML_DSA", None),
    (
        *(ML_DSA, with_data(context=b"c"), {"MlDsa65": "key", can.ML_DSA_CONTEXT: "context"}),
        *("ML_DSA", ContextParameter(0, b"c")),
    ),
    (
        *(ML_DSA, DETERMINISTIC, {"MlDsa65": "key", can.ML_DSA_DETERMINISTIC: "deterministic_signature"}),
        *("ML_DSA", ContextParameter(2, b"")),
    ),
    (
        *(ML_DSA, with_hash(context=b""), {"MlDsa65": "key", can.ML_DSA_PREHASH: "hash"}),
        *("HASH_ML_DSA", ContextParameter(0, b"", 0x250)),
    ),
    (
        *(ML_DSA, with_data("sha3_512", PRE_HASH), {"MlDsa65": "key", can.ML_DSA_PREHASH: "mode"}),
        *("HASH_ML_DSA", ContextParameter(0, b"", 0x2D0)),
    ),
    (
        *(ML_DSA, SignParams("SHA512", prehashed=True, mode=PRE_HASH, deterministic=True, context=bytes(255))),
        {
            "MlDsa65": "key",
            can.ML_DSA_CONTEXT: "context",
            can.ML_DSA_DETERMINISTIC: "deterministic_signature",
            can.ML_DSA_PREHASH: "mode",
        },
        *("HASH_ML_DSA", ContextParameter(2, bytes(255), 0x270)),
    ),
    (SLH_DSA, with_data(), {can.SLH_DSA: "key"}, "SLH_DSA", None),
    *((key, with_data(), {key.type.value: "key"}, key.type.value, None) for key in (HSS, XMSS, XMSSMT)),
]


@pytest.mark.parametrize(("key", "params", "needed", "mechanism", "parameter"), GATES)
def test_what_a_token_was_seen_to_do_is_enough_and_all_of_it_is_needed(
    key: KeyInfo, params: SignParams, needed: dict[str, str], mechanism: str, parameter: Parameter
) -> None:
    decided = plan(params, key, Capabilities.of((), needed))
    assert (CKM[decided.mechanism], decided.parameter) == (mechanism, parameter)
    for missing, member in needed.items():
        assert outcome(params, key, Capabilities.of(CKM, set(needed) - {missing})) == f"Unsupported {member}"


@pytest.mark.parametrize("tried", [True, False])
def test_a_refusal_says_what_is_missing_and_how_that_is_known(tried: bool) -> None:
    token = Capabilities(frozenset(), frozenset(), tried=tried)
    with pytest.raises(Unsupported) as caught:
        plan(with_data(), EC, token)
    assert str(caught.value) == f"key: its token {'was not seen to do' if tried else 'does not list'} ECDSA"


def test_a_token_that_does_the_curve_either_way_gets_no_parameter() -> None:
    both = Capabilities.of((), {"Ed25519", "Ed25519 with parameter"})
    assert plan(with_data(), ED25519, both).parameter is None


@pytest.mark.parametrize(
    ("mode", "hash_alg", "shown", "expected"),
    [
        (PSS, "SHA256", {PSS_SHA256, can.RSA_RAW}, "RSA_PKCS_PSS"),
        (PSS, "SHA256", {PSS_SHA256_MGF1_SHA1, can.RSA_RAW}, "RSA_X_509"),
        (PSS, "SHA256", {PSS_SHA256_MGF1_SHA1}, "Unsupported key"),
        (PSS, "SHA384", {PSS_SHA256}, "Unsupported key"),
        (PSS, "SHA3_256", {can.rsa_pss("SHA3_256", "SHA3_256")}, "RSA_PKCS_PSS"),
        (PSS, "SSL3", {can.rsa_pss("SSL3", "SSL3")}, "Unsupported key"),
        (PSS_MGF1_SHA1, "SHA1", {can.rsa_pss("SHA1", "SHA1")}, "RSA_PKCS_PSS"),
        (PSS_MGF1_SSL3, "SHA1", {can.rsa_pss("SHA1", "SSL3"), can.RSA_RAW}, "RSA_X_509"),
    ],
    ids=lambda value: " + ".join(sorted(value)) if isinstance(value, set) else str(value),
)
def test_pss_is_the_tokens_own_where_it_was_seen_to_do_it(
    mode: Mode, hash_alg: str, shown: set[str], expected: str
) -> None:
    assert outcome(with_data(hash_alg, mode), RSA, Capabilities.of((), shown)) == expected


@pytest.mark.parametrize("mode", [None, PKCS1], ids=str)
@pytest.mark.parametrize("digest", HASHES)
def test_pkcs1_signs_what_cryptography_signs(mode: Mode | None, digest: str) -> None:
    private = private_key(1088)
    numbers = private.public_key().public_numbers()
    signature = private.sign(DATA, padding.PKCS1v15(), HASHES[digest])
    encoded = pow(int.from_bytes(signature, "big"), numbers.e, numbers.n).to_bytes(136, "big")
    decided = plan(with_data(digest, mode), replace(RSA, bits=1088), EVERYTHING)
    assert encoded == b"\0\1" + (b"\0" + decided.prepare(DATA)).rjust(134, b"\xff")
    assert (decided.parameter, decided.signature_size, decided.finish(signature)) == (None, 136, signature)


@every_digest
def test_pkcs1_signs_a_digest_info_of_data_and_hash_alike(digest: Digest) -> None:
    hashed = digest.compute(DATA)
    of_data, of_hash = (plan(params, RSA, EVERYTHING) for params in (with_data(digest.name), with_hash(digest.name)))
    assert of_data.prepare(DATA) == of_hash.prepare(hashed) == digest.digest_info + hashed


def mgf1(digest: Digest, seed: bytes, size: int) -> bytes:
    """RFC 8017, appendix B.2.1."""
    blocks = (digest.compute(seed + counter.to_bytes(4, "big")) for counter in itertools.count())
    return b"".join(itertools.islice(blocks, size // digest.size + 1))[:size]


def is_pss(encoded: bytes, hashed: bytes, digest: Digest, mgf: Digest, bits: int) -> bool:
    """EMSA-PSS-VERIFY (RFC 8017, section 9.1.2) with a salt as long as the digest."""
    size = (bits + 6) // 8
    assert not any(encoded[:-size])
    masked, h, end = encoded[-size : -digest.size - 1], encoded[-digest.size - 1 : -1], encoded[-1]
    db = bytes(a ^ b for a, b in zip(masked, mgf1(mgf, h, len(masked)), strict=True))
    unused = 8 * size - (bits - 1)
    db = bytes((db[0] & (0xFF >> unused),)) + db[1:]
    salt = db[-digest.size :]
    return (
        end == 0xBC
        and masked[0] >> (8 - unused) == 0
        and db[: -digest.size] == b"\1".rjust(len(db) - digest.size, b"\0")
        and digest.compute(bytes(8) + hashed + salt) == h
    )


@every_digest
def test_pss_of_our_own_encoding_is_pss_whatever_the_hash_of_mgf1(digest: Digest) -> None:
    hashed, key = digest.compute(DATA), replace(RSA, bits=1088)
    for mgf in (None, *DIGESTS):
        for params, payload in ((with_data, DATA), (with_hash, hashed)):
            decided = plan(params(digest.name, Mode("PSS", mgf)), key, NO_PSS)
            encoded = decided.prepare(payload)
            assert (decided.parameter, len(encoded)) == (None, decided.signature_size)
            assert is_pss(encoded, hashed, digest, DIGESTS[mgf or digest.name], key.bits)


@pytest.mark.parametrize("mgf", [None, "SHA1", "SHA3_512"])
@pytest.mark.parametrize("digest", HASHES)
def test_pss_of_our_own_encoding_is_what_cryptography_verifies(digest: str, mgf: str | None) -> None:
    private = private_key(1088)
    numbers = private.private_numbers()
    encoded = plan(with_data(digest, Mode("PSS", mgf)), replace(RSA, bits=1088), NO_PSS).prepare(DATA)
    signature = pow(int.from_bytes(encoded, "big"), numbers.d, numbers.public_numbers.n).to_bytes(136, "big")
    pss = padding.PSS(padding.MGF1(HASHES[mgf or digest]), HASHES[digest].digest_size)
    private.public_key().verify(signature, DATA, pss, HASHES[digest])


@pytest.mark.parametrize("bits", [1024, 1025, 1026, 1031])
def test_pss_of_our_own_encoding_verifies_whatever_the_size_of_the_modulus(bits: int) -> None:
    private = private_key(bits)
    numbers, size = private.private_numbers(), (bits + 7) // 8
    decided = plan(with_hash(mode=PSS), replace(RSA, bits=bits), NO_PSS)
    for _ in range(5):
        encoded = decided.prepare(DIGESTS["SHA256"].compute(DATA))
        signature = pow(int.from_bytes(encoded, "big"), numbers.d, numbers.public_numbers.n).to_bytes(size, "big")
        private.public_key().verify(signature, DATA, padding.PSS(padding.MGF1(HASHES["SHA256"]), 32), HASHES["SHA256"])
        assert len(encoded) == decided.signature_size == size


def test_pss_of_our_own_encoding_has_a_fresh_salt() -> None:
    decided = plan(with_data(mode=PSS), RSA, NO_PSS)
    assert decided.prepare(DATA) != decided.prepare(DATA)


@pytest.mark.parametrize(
    ("mode", "bits", "name", "expected"),
    [
        (PSS, 1024, "SHA512", "Unsupported hash_alg"),
        (PSS, 1024, "SHA384", "RSA_PKCS_PSS"),
        (PSS, 1033, "SHA512", "Unsupported hash_alg"),  # emBits is one less, so 129 bytes
        (PSS, 1034, "SHA512", "RSA_PKCS_PSS"),
        (PKCS1, 744, "SHA512", "Unsupported hash_alg"),
        (PKCS1, 752, "SHA512", "RSA_PKCS"),  # 19 + 64 + 11 bytes
        (PKCS1, 368, "SSL3", "Unsupported hash_alg"),
        (PKCS1, 376, "SSL3", "RSA_PKCS"),  # 36 + 11 bytes
    ],
    ids=str,
)
def test_a_hash_must_fit_the_modulus(mode: Mode, bits: int, name: str, expected: str) -> None:
    assert outcome(with_data(name, mode), replace(RSA, bits=bits)) == expected


def test_without_gostcrypto_pkcs1_signs_a_streebog_hash_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gostcrypto", None)
    hashed = plan(with_hash("STREEBOG256"), RSA, EVERYTHING).prepare(bytes(32))
    assert hashed == DIGESTS["STREEBOG256"].digest_info + bytes(32)
    with pytest.raises(Unsupported, match="pip install"):
        plan(with_data("STREEBOG256"), RSA, EVERYTHING).prepare(b"")


@pytest.mark.parametrize(
    ("key", "size"),
    [
        *((replace(EC, variant=c.name), c.order_bytes) for c in CURVES.values() if not c.name.startswith("Ed")),
        *((replace(DSA, variant=str(bits)), bits // 8) for bits in (160, 224, 256, 512)),
        (replace(DSA, variant="161"), 21),
    ],
    ids=lambda part: part.variant if isinstance(part, KeyInfo) else "",
)
def test_ecdsa_and_dsa_sign_as_much_of_the_digest_as_the_order_is_long(key: KeyInfo, size: int) -> None:
    for digest in DIGESTS.values():
        hashed = digest.compute(DATA)
        for params, payload in ((with_data, DATA), (with_hash, hashed)):
            decided = plan(params(digest.name), key, EVERYTHING)
            assert decided.prepare(payload) == hashed[:size]
            assert (decided.parameter, decided.signature_size) == (None, 2 * size)
            assert decode_dss_signature(decided.finish(b"\1".rjust(size, b"\0") + b"\2".rjust(size, b"\0"))) == (1, 2)


@pytest.mark.parametrize(("key", "size"), [(ED25519, 64), (ED448, 114)], ids=str)
@pytest.mark.parametrize("hash_alg", [None, "SHA256", "SSL3", "no such hash"])
def test_eddsa_signs_data_whatever_the_hash_alg(key: KeyInfo, size: int, hash_alg: str | None) -> None:
    pure = plan(with_data(hash_alg), key, EVERYTHING)
    assert (pure.prepare(DATA), pure.signature_size, pure.finish(b"raw")) == (DATA, size, b"raw")


@pytest.mark.parametrize(
    ("key", "size", "hash_alg"), [(ED25519, 64, None), (ED25519, 64, "sha512"), (ED448, 114, None)], ids=str
)
def test_eddsa_signs_a_hash_as_long_as_its_curves(key: KeyInfo, size: int, hash_alg: str | None) -> None:
    prehash = plan(with_hash(hash_alg), key, EVERYTHING)
    assert (prehash.prepare(b"h" * 64), prehash.signature_size, prehash.finish(b"raw")) == (b"h" * 64, size, b"raw")
    for wrong in (0, 32, 63, 65):
        with pytest.raises(BadItem, match=f"^hash: {wrong} bytes, but {key.type}ph has 64$"):
            prehash.prepare(bytes(wrong))


@pytest.mark.parametrize(("key", "fitting"), [(ED25519, {"SHA512"}), (ED448, set[str]())], ids=str)
def test_eddsa_signs_no_hash_that_another_made(key: KeyInfo, fitting: set[str]) -> None:
    for name in DIGESTS.keys() - fitting:
        with pytest.raises(BadItem, match=f"^hash_alg: {key.type}ph goes with {'|'.join(fitting) or 'none'}$"):
            plan(with_hash(name), key, EVERYTHING)
    with pytest.raises(BadItem, match=r"^hash_alg: "):
        plan(with_hash("no such hash"), key, EVERYTHING)


@pytest.mark.parametrize(("variant", "size"), [("MlDsa44", 2420), ("MlDsa65", 3309), ("MlDsa87", 4627)])
def test_ml_dsa_signs_data_as_it_is_or_its_digest(variant: str, size: int) -> None:
    key, hashed = replace(ML_DSA, variant=variant), DIGESTS["SHA512"].compute(DATA)
    pure = plan(with_data(None), key, EVERYTHING)
    assert (pure.prepare(DATA), pure.signature_size, pure.finish(b"raw")) == (DATA, size, b"raw")
    for params, payload in ((with_data("SHA512", PRE_HASH), DATA), (with_hash("SHA512"), hashed)):
        prehash = plan(params, key, EVERYTHING)
        assert (prehash.prepare(payload), prehash.signature_size, prehash.finish(b"raw")) == (hashed, size, b"raw")


@pytest.mark.parametrize("key", [SLH_DSA, HSS, XMSS, XMSSMT], ids=lambda key: key.type)
@pytest.mark.parametrize("hash_alg", [None, "SHA256", "no such hash"])
def test_a_key_that_hashes_by_itself_takes_the_message_as_it_is(key: KeyInfo, hash_alg: str | None) -> None:
    decided = plan(with_data(hash_alg), key, EVERYTHING)
    assert (decided.prepare(DATA), decided.finish(b"raw")) == (DATA, b"raw")
    assert (decided.parameter, decided.signature_size) == (None, LARGEST_SIGNATURE)


def test_a_one_time_key_is_signed_with_once_and_no_other_is() -> None:
    once = [kind for kind, key in KEYS.items() if key is not OTHER and plan(with_data(), key, EVERYTHING).once]
    assert once == ["HSS", "XMSS", "XMSSMT"]


@pytest.mark.parametrize(
    ("key", "mode"),
    [(RSA, PKCS1), (RSA, PSS), (RSA, PSS_MGF1_SHA1), (EC, None), (DSA, None), (ML_DSA, None), (ML_DSA, PRE_HASH)],
    ids=str,
)
def test_a_digest_of_the_wrong_length_is_a_bad_item(key: KeyInfo, mode: Mode | None) -> None:
    for digest in DIGESTS.values():
        if key is ML_DSA and digest.ckm is None:
            continue  # unsupported, see the table
        decided = plan(with_hash(digest.name, mode), key, EVERYTHING)
        for size in (0, digest.size - 1, digest.size + 1):
            with pytest.raises(BadItem, match=f"^hash: {size} bytes, but {digest.name} has {digest.size}$"):
                decided.prepare(bytes(size))


@pytest.mark.parametrize(
    ("key", "mode", "expected"),
    [
        (RSA, None, "RSA_PKCS"),
        (RSA, PKCS1, "RSA_PKCS"),
        (RSA, PSS, "Unsupported deterministic_signature"),
        (EC, None, "Unsupported deterministic_signature"),
        (DSA, None, "Unsupported deterministic_signature"),
        (ED25519, None, "EDDSA"),
        (ED448, None, "EDDSA"),
        (ML_DSA, None, "ML_DSA"),
        (ML_DSA, PRE_HASH, "HASH_ML_DSA"),
        *((key, None, "Unsupported deterministic_signature") for key in (SLH_DSA, HSS, XMSS, XMSSMT)),
    ],
    ids=str,
)
def test_a_deterministic_signature_is_had_where_it_can_be_asked_for(
    key: KeyInfo, mode: Mode | None, expected: str
) -> None:
    assert outcome(SignParams("SHA256", prehashed=False, mode=mode, deterministic=True), key) == expected


@pytest.mark.parametrize(
    ("key", "params"),
    [
        *((key, params) for key in (RSA, EC, DSA) for params in (with_data(None), with_hash(None))),
        *((ML_DSA, params) for params in (with_data(None, PRE_HASH), with_hash(None), with_hash(None, PRE_HASH))),
    ],
    ids=str,
)
def test_a_missing_hash_alg_is_a_bad_item(key: KeyInfo, params: SignParams) -> None:
    with pytest.raises(BadItem, match=r"^hash_alg: missing$"):
        plan(params, key, EVERYTHING)


@every_key
@pytest.mark.parametrize("context", [b"", b"c"])
def test_a_context_is_a_bad_item_for_all_but_ml_dsa(key: KeyInfo, context: bytes) -> None:
    expected = "ML_DSA" if key is ML_DSA else "BadItem context"
    assert outcome(with_data(context=context), key) == expected


@every_key
def test_a_key_that_may_not_sign_is_not_permitted(key: KeyInfo) -> None:
    with pytest.raises(NotPermitted, match=r"^key: .*CKA_SIGN"):
        plan(with_data(), replace(key, may_sign=False), EVERYTHING)


def only(key: KeyInfo, *mechanisms: int) -> KeyInfo:
    return replace(key, mechanisms=frozenset(mechanisms))


LISTS_ALL = Capabilities(frozenset(CKM), EVERYTHING.shown)
HASHING = {  # numbers as the standard's header has them, by the hash
    "SHA1": (0x06, 0x0E, 0x1042, 0x12),
    "SHA224": (0x46, 0x47, 0x1043, 0x13),
    "SHA256": (0x40, 0x43, 0x1044, 0x14),
    "SHA384": (0x41, 0x44, 0x1045, 0x15),
    "SHA512": (0x42, 0x45, 0x1046, 0x16),
    "SHA3_224": (0x66, 0x67, 0x1047, 0x18),
    "SHA3_256": (0x60, 0x63, 0x1048, 0x19),
    "SHA3_384": (0x61, 0x64, 0x1049, 0x1A),
    "SHA3_512": (0x62, 0x65, 0x104A, 0x1B),
}


@pytest.mark.parametrize("hash_alg", HASHING)
def test_a_key_that_allows_no_raw_mechanism_is_signed_with_by_one_that_hashes(hash_alg: str) -> None:
    token = Capabilities(frozenset(range(0x2000)), PLAIN | {can.rsa_pss(hash_alg, hash_alg)})
    for kind, number in zip(((RSA, PKCS1), (RSA, PSS), (EC, None), (DSA, None)), HASHING[hash_alg], strict=True):
        key, mode = kind
        decided = plan(with_data(hash_alg, mode), only(key, number), token)
        raw = plan(with_data(hash_alg, mode), key, token)
        assert (decided.mechanism, decided.parameter, decided.prepare(DATA)) == (number, raw.parameter, DATA)
        assert (decided.signature_size, decided.finish.__class__) == (raw.signature_size, raw.finish.__class__)
        assert decided.raw is not None
        assert decided.raw.mechanism == raw.mechanism
        assert decided.raw.prepare(DATA) == raw.prepare(DATA)
        hashed = SignParams(hash_alg, prehashed=True, mode=mode)
        assert outcome(hashed, only(key, number), token) == "NotPermitted key", "it would hash what is hashed"
        unlisted = Capabilities(frozenset(), token.shown)
        assert outcome(with_data(hash_alg, mode), only(key, number), unlisted) == "NotPermitted key"


@every_key
def test_a_key_that_allows_nothing_that_would_do_is_not_permitted(key: KeyInfo) -> None:
    if key.type is KeyType.OTHER:
        return
    best = plan(with_data(), key, LISTS_ALL)
    assert plan(with_data(), only(key, best.mechanism, 0x1), LISTS_ALL).mechanism == best.mechanism
    for mechanisms in ((), (0x80000000,), (0x1057 if key.type is not KeyType.ED25519 else 0x1041,)):
        if best.mechanism not in mechanisms:
            with pytest.raises(NotPermitted) as caught:
                plan(with_data(), only(key, *mechanisms), LISTS_ALL)
            name = f"CKM_{CKM[best.mechanism]}"
            assert str(caught.value) == f"key: it does not allow {name} (CKA_ALLOWED_MECHANISMS)"


def test_paddings_are_made_here_for_a_key_that_allows_only_raw_rsa() -> None:
    key = only(RSA, 0x3)
    decided = plan(with_data(mode=PKCS1), key, LISTS_ALL)
    digest_info = DIGESTS["SHA256"].digest_info + DIGESTS["SHA256"].compute(DATA)
    assert CKM[decided.mechanism] == "RSA_X_509"
    assert decided.prepare(DATA) == b"\0\1" + b"\xff" * (253 - len(digest_info)) + b"\0" + digest_info
    assert outcome(with_data(mode=PSS), key, LISTS_ALL) == "RSA_X_509"
    assert outcome(with_data(mode=PKCS1), key, Capabilities.of(CKM, {can.RSA_PKCS1})) == "NotPermitted key"


@pytest.mark.parametrize(
    "key",
    [
        *(replace(EC, variant=variant) for variant in (None, "NoSuchCurve")),
        *(replace(ML_DSA, variant=variant) for variant in (None, "MlDsa100")),
        replace(DSA, variant=None),
    ],
    ids=str,
)
def test_an_unknown_variant_is_unsupported(key: KeyInfo) -> None:
    assert outcome(with_data(), key) == "Unsupported key"


@pytest.mark.parametrize(
    ("mechanisms", "shown"),
    [
        (set[int](), set[str]()),
        ({0x0000, 0x1040, 0x80000001}, set[str]()),
        ({0x0001, 0x0003}, {can.RSA_PKCS1, can.RSA_RAW}),
        ({0x000D}, {can.rsa_pss(name, name) for name in SHA_1_AND_2}),
        ({0x0011, 0x1041, 0x002E}, {can.DSA, can.ECDSA, can.SLH_DSA}),
        ({0x1057}, {"Ed25519"}),
        ({0x001D}, {*ML_DSA_SETS}),
        ({0x001F}, set[str]()),
    ],
)
def test_a_list_promises_what_every_token_with_such_a_list_does(mechanisms: set[int], shown: set[str]) -> None:
    assert promised(frozenset(mechanisms)) == Capabilities(frozenset(mechanisms), frozenset(shown), tried=False)


def test_the_whole_list_promises_one_time_keys_but_none_from_outside() -> None:
    token = promised(frozenset(CKM))
    assert token.shown < EVERYTHING.shown
    assert not token.inline
    assert not any(outcome(with_data(), key, token).startswith("Unsupported") for key in (HSS, XMSS, XMSSMT))
