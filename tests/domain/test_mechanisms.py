"""The table: key, item and token to a plan. Signatures are verified by `cryptography`, private operations are pow()."""

import ctypes
import itertools
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from msgspec.structs import replace

from hsmgate.domain.curves import CURVES
from hsmgate.domain.digests import DIGESTS, NOT_YET_SERVED, Digest
from hsmgate.domain.mechanisms import CKM_NAMES, CKM_RSA_PKCS_PSS, CKM_RSA_X_509, Capabilities, plan
from hsmgate.domain.model import KeyInfo, KeyType, Mode, SignParams
from hsmgate.errors import BadItem, ItemError, NotPermitted, Unsupported
from tests.verify import HASHES

EVERYTHING = Capabilities(frozenset(CKM_NAMES))
NO_PSS = Capabilities(frozenset(CKM_NAMES) - {CKM_RSA_PKCS_PSS})
NO_RAW_RSA = Capabilities(frozenset(CKM_NAMES) - {CKM_RSA_X_509})

RSA = KeyInfo(bytes(16), "", "k", KeyType.RSA, None, 2048, None, may_sign=True, always_authenticate=False)
EC = replace(RSA, type=KeyType.EC, curve="NistP256", bits=256)
ED25519 = replace(RSA, type=KeyType.ED25519, curve="Ed25519", bits=256)
OTHER = replace(RSA, type=KeyType.OTHER, bits=0)

DATA = b"attack at dawn"
PKCS1, PSS, PURE = Mode("PKCS1_V15"), Mode("PSS"), Mode("PURE")
PSS_MGF1_SHA1, PSS_MGF1_SSL3, PSS_MGF1_MD5 = Mode("PSS", "sha1"), Mode("PSS", "Ssl3"), Mode("PSS", "MD5")

SHA_1_AND_2 = ("SHA1", "SHA224", "SHA256", "SHA384", "SHA512")
SHA_3 = ("SHA3_224", "SHA3_256", "SHA3_384", "SHA3_512")
CONTRACT = (*SHA_1_AND_2, *SHA_3, *sorted(NOT_YET_SERVED))

served = pytest.mark.parametrize("digest", DIGESTS.values(), ids=lambda digest: digest.name)
prehashed_or_not = pytest.mark.parametrize("prehashed", [False, True], ids=["data", "hash"])


def outcome(params: SignParams, key: KeyInfo, token: Capabilities = EVERYTHING) -> str:
    """The mechanism's name, or the error's class and the member that its text blames."""
    try:
        return CKM_NAMES[plan(params, key, token).mechanism]
    except ItemError as error:
        return f"{type(error).__name__} {str(error).partition(':')[0]}"


@cache
def private_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


# For SHA-1 and SHA-2, for SHA-3, for the hashes that are not served; the same for `data` and `hash`.
TABLE: dict[tuple[KeyType, Mode | None], tuple[str, str, str]] = {
    (KeyType.RSA, None): ("CKM_RSA_PKCS", "CKM_RSA_PKCS", "Unsupported hash_alg"),
    (KeyType.RSA, PKCS1): ("CKM_RSA_PKCS", "CKM_RSA_PKCS", "Unsupported hash_alg"),
    (KeyType.RSA, PSS): ("CKM_RSA_PKCS_PSS", "CKM_RSA_X_509", "Unsupported hash_alg"),
    (KeyType.RSA, PSS_MGF1_SSL3): (*("Unsupported mode.PSS.mgf.mgf1.hash",) * 2, "Unsupported hash_alg"),
    (KeyType.RSA, PSS_MGF1_MD5): (*("BadItem mode.PSS.mgf.mgf1.hash",) * 2, "Unsupported hash_alg"),
    (KeyType.RSA, PURE): ("BadItem mode", "BadItem mode", "Unsupported hash_alg"),
    (KeyType.EC, None): ("CKM_ECDSA", "CKM_ECDSA", "Unsupported hash_alg"),
    **{(KeyType.EC, mode): ("BadItem mode",) * 3 for mode in (PKCS1, PSS, PSS_MGF1_SSL3, PSS_MGF1_MD5, PURE)},
    (KeyType.ED25519, None): ("CKM_EDDSA",) * 3,
    **{(KeyType.ED25519, mode): ("BadItem mode",) * 3 for mode in (PKCS1, PSS, PSS_MGF1_SSL3, PSS_MGF1_MD5, PURE)},
    **{(KeyType.OTHER, m): ("Unsupported key",) * 3 for m in (None, PKCS1, PSS, PSS_MGF1_SSL3, PSS_MGF1_MD5, PURE)},
}
KEYS = {key.type: key for key in (RSA, EC, ED25519, OTHER)}


def test_the_table_is_total() -> None:
    modes = {mode for _, mode in TABLE}
    assert set(TABLE) == set(itertools.product(KeyType, modes))


@pytest.mark.parametrize(("kind", "mode"), TABLE, ids=str)
@prehashed_or_not
def test_key_mode_and_hash_decide_the_mechanism(kind: KeyType, mode: Mode | None, prehashed: bool) -> None:
    outcomes = TABLE[kind, mode]
    if prehashed and outcomes[0] == "CKM_EDDSA":
        outcomes = ("Unsupported hash",) * 3  # Ed25519ph
    expected = (
        dict.fromkeys(SHA_1_AND_2, outcomes[0])
        | dict.fromkeys(SHA_3, outcomes[1])
        | dict.fromkeys(NOT_YET_SERVED, outcomes[2])
    )
    assert {name: outcome(SignParams(name, prehashed, mode), KEYS[kind]) for name in CONTRACT} == expected


@pytest.mark.parametrize("mode", [None, PKCS1], ids=str)
@pytest.mark.parametrize("digest", [*SHA_1_AND_2, *SHA_3])
def test_pkcs1_signs_what_cryptography_signs(mode: Mode | None, digest: str) -> None:
    private = private_key(1088)
    numbers = private.public_key().public_numbers()
    signature = private.sign(DATA, padding.PKCS1v15(), HASHES[digest])
    encoded = pow(int.from_bytes(signature, "big"), numbers.e, numbers.n).to_bytes(136, "big")
    of_data = plan(SignParams(digest, prehashed=False, mode=mode), replace(RSA, bits=1088), EVERYTHING)
    of_hash = plan(SignParams(digest, prehashed=True, mode=mode), replace(RSA, bits=1088), EVERYTHING)
    assert encoded == b"\0\1" + (b"\0" + of_data.prepare(DATA)).rjust(134, b"\xff")
    assert of_hash.prepare(DIGESTS[digest].compute(DATA)) == of_data.prepare(DATA)
    assert (of_data.parameter, of_data.signature_size, of_data.finish(signature)) == (None, 136, signature)


@pytest.mark.parametrize("name", SHA_1_AND_2)
@pytest.mark.parametrize("same_mgf", [False, True], ids=["no mgf", "same mgf"])
def test_a_tokens_own_pss_gets_hash_mgf_and_salt_length(name: str, same_mgf: bool) -> None:
    digest, mode = DIGESTS[name], Mode("PSS", name.lower() if same_mgf else None)
    decided = plan(SignParams(name, prehashed=False, mode=mode), RSA, EVERYTHING)
    assert decided.parameter is not None
    parameter = (ctypes.c_ulong * 3).from_buffer_copy(decided.parameter)
    assert list(parameter) == [digest.ckm, digest.ckg, digest.size]
    assert len(decided.parameter) == ctypes.sizeof(parameter)
    assert decided.prepare(DATA) == digest.compute(DATA)
    assert decided.signature_size == 256


@pytest.mark.parametrize("mgf", [None, *DIGESTS])
@served
def test_pss_of_our_own_encoding_verifies(digest: Digest, mgf: str | None) -> None:
    private = private_key(1088)
    numbers = private.private_numbers()
    decided = plan(SignParams(digest.name, prehashed=False, mode=Mode("PSS", mgf)), replace(RSA, bits=1088), NO_PSS)
    encoded = decided.prepare(DATA)
    signature = pow(int.from_bytes(encoded, "big"), numbers.d, numbers.public_numbers.n).to_bytes(136, "big")
    pss = padding.PSS(padding.MGF1(HASHES[mgf or digest.name]), HASHES[digest.name].digest_size)
    private.public_key().verify(signature, DATA, pss, HASHES[digest.name])
    assert (decided.mechanism, decided.parameter, len(encoded)) == (CKM_RSA_X_509, None, decided.signature_size)


@pytest.mark.parametrize("bits", [1024, 1025, 1026, 1031])
def test_pss_of_our_own_encoding_verifies_whatever_the_size_of_the_modulus(bits: int) -> None:
    private = private_key(bits)
    numbers, size = private.private_numbers(), (bits + 7) // 8
    decided = plan(SignParams("SHA256", prehashed=True, mode=PSS), replace(RSA, bits=bits), NO_PSS)
    for _ in range(5):
        encoded = decided.prepare(DIGESTS["SHA256"].compute(DATA))
        signature = pow(int.from_bytes(encoded, "big"), numbers.d, numbers.public_numbers.n).to_bytes(size, "big")
        private.public_key().verify(signature, DATA, padding.PSS(padding.MGF1(HASHES["SHA256"]), 32), HASHES["SHA256"])
        assert len(encoded) == decided.signature_size == size


def test_pss_of_our_own_encoding_has_a_fresh_salt() -> None:
    decided = plan(SignParams("SHA256", prehashed=False, mode=PSS), RSA, NO_PSS)
    assert decided.prepare(DATA) != decided.prepare(DATA)


@pytest.mark.parametrize(
    ("mode", "bits", "name", "expected"),
    [
        (PSS, 1024, "SHA512", "Unsupported hash_alg"),
        (PSS, 1024, "SHA384", "CKM_RSA_PKCS_PSS"),
        (PSS, 1033, "SHA512", "Unsupported hash_alg"),  # emBits is one less, so 129 bytes
        (PSS, 1034, "SHA512", "CKM_RSA_PKCS_PSS"),
        (PKCS1, 744, "SHA512", "Unsupported hash_alg"),
        (PKCS1, 752, "SHA512", "CKM_RSA_PKCS"),  # 19 + 64 + 11 bytes
    ],
    ids=str,
)
def test_a_hash_must_fit_the_modulus(mode: Mode, bits: int, name: str, expected: str) -> None:
    assert outcome(SignParams(name, prehashed=False, mode=mode), replace(RSA, bits=bits)) == expected


@pytest.mark.parametrize(
    ("mode", "name", "token", "expected"),
    [
        (PSS, "SHA256", NO_RAW_RSA, "CKM_RSA_PKCS_PSS"),
        (PSS, "SHA256", NO_PSS, "CKM_RSA_X_509"),
        (PSS, "SHA3_256", NO_RAW_RSA, "Unsupported key"),
        (PSS_MGF1_SHA1, "SHA1", EVERYTHING, "CKM_RSA_PKCS_PSS"),
        (PSS_MGF1_SHA1, "SHA256", EVERYTHING, "CKM_RSA_X_509"),
        (PSS_MGF1_SHA1, "SHA256", NO_RAW_RSA, "Unsupported key"),
    ],
    ids=str,
)
def test_pss_is_the_tokens_own_where_it_can_be(mode: Mode, name: str, token: Capabilities, expected: str) -> None:
    assert outcome(SignParams(name, prehashed=False, mode=mode), RSA, token) == expected


@pytest.mark.parametrize("key", [RSA, EC, ED25519], ids=lambda key: key.type)
def test_a_token_without_the_mechanism_is_unsupported(key: KeyInfo) -> None:
    with pytest.raises(Unsupported, match=r"^key: its token has no CKM_"):
        plan(SignParams("SHA256", prehashed=False), key, Capabilities(frozenset()))


@pytest.mark.parametrize("curve", [name for name in CURVES if name != "Ed25519"])
@prehashed_or_not
def test_ecdsa_signs_the_leftmost_bytes_of_the_digest(curve: str, prehashed: bool) -> None:
    size, hashed = CURVES[curve].order_bytes, DIGESTS["SHA512"].compute(DATA)
    decided = plan(SignParams("SHA512", prehashed), replace(EC, curve=curve), EVERYTHING)
    assert decided.prepare(hashed if prehashed else DATA) == hashed[:size]
    assert (decided.parameter, decided.signature_size) == (None, 2 * size)
    assert decode_dss_signature(decided.finish((1).to_bytes(size, "big") + (2).to_bytes(size, "big"))) == (1, 2)


@pytest.mark.parametrize("hash_alg", [None, "SHA256", "SSL3", "no such hash"])
def test_ed25519_takes_the_message_as_it_is_whatever_the_hash_alg(hash_alg: str | None) -> None:
    decided = plan(SignParams(hash_alg, prehashed=False), ED25519, EVERYTHING)
    assert decided.prepare(DATA) == DATA
    assert (decided.parameter, decided.signature_size, decided.finish(bytes(64))) == (None, 64, bytes(64))


@pytest.mark.parametrize(("key", "mode"), [(RSA, PKCS1), (RSA, PSS), (RSA, PSS_MGF1_SHA1), (EC, None)], ids=str)
@served
def test_a_digest_of_the_wrong_length_is_a_bad_item(key: KeyInfo, mode: Mode | None, digest: Digest) -> None:
    decided = plan(SignParams(digest.name, prehashed=True, mode=mode), key, EVERYTHING)
    for size in (0, digest.size - 1, digest.size + 1):
        with pytest.raises(BadItem, match=f"^hash: {size} bytes, but {digest.name} has {digest.size}$"):
            decided.prepare(bytes(size))


@pytest.mark.parametrize(
    ("key", "mode", "expected"),
    [
        (RSA, None, "CKM_RSA_PKCS"),
        (RSA, PKCS1, "CKM_RSA_PKCS"),
        (RSA, PSS, "Unsupported deterministic_signature"),
        (EC, None, "Unsupported deterministic_signature"),
        (ED25519, None, "CKM_EDDSA"),
    ],
    ids=str,
)
def test_only_what_is_deterministic_anyway_is_signed_so(key: KeyInfo, mode: Mode | None, expected: str) -> None:
    assert outcome(SignParams("SHA256", prehashed=False, mode=mode, deterministic=True), key) == expected


@pytest.mark.parametrize("key", [RSA, EC], ids=lambda key: key.type)
@prehashed_or_not
def test_a_missing_hash_alg_is_a_bad_item(key: KeyInfo, prehashed: bool) -> None:
    with pytest.raises(BadItem, match=r"^hash_alg: missing$"):
        plan(SignParams(None, prehashed), key, EVERYTHING)


@pytest.mark.parametrize("key", [RSA, EC, ED25519, OTHER], ids=lambda key: key.type)
@pytest.mark.parametrize("context", [b"", b"c"])
def test_a_context_is_a_bad_item(key: KeyInfo, context: bytes) -> None:
    assert outcome(SignParams("SHA256", prehashed=False, context=context), key) == "BadItem context"


@pytest.mark.parametrize("key", [RSA, EC, ED25519, OTHER], ids=lambda key: key.type)
def test_a_key_that_may_not_sign_is_not_permitted(key: KeyInfo) -> None:
    with pytest.raises(NotPermitted, match=r"^key: .*CKA_SIGN"):
        plan(SignParams("SHA256", prehashed=False), replace(key, may_sign=False), EVERYTHING)


@pytest.mark.parametrize("key", [RSA, EC, ED25519], ids=lambda key: key.type)
def test_a_key_that_wants_its_pin_each_time_is_unsupported(key: KeyInfo) -> None:
    with pytest.raises(Unsupported, match=r"^key: .*CKA_ALWAYS_AUTHENTICATE"):
        plan(SignParams("SHA256", prehashed=False), replace(key, always_authenticate=True), EVERYTHING)


@pytest.mark.parametrize("curve", [None, "NoSuchCurve"])
def test_an_unknown_curve_is_unsupported(curve: str | None) -> None:
    assert outcome(SignParams("SHA256", prehashed=False), replace(EC, curve=curve)) == "Unsupported key"
