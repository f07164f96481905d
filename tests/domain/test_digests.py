"""Hash names of the contract."""

import hashlib
import sys

import pytest
from asn1crypto.algos import DigestInfo
from asn1crypto.core import Null, ObjectIdentifier
from Crypto.Hash import BLAKE2b, BLAKE2s
from Crypto.Hash.RIPEMD160 import RIPEMD160Hash
from cryptography.hazmat.primitives.hashes import Hash
from pkcs11.mechanisms import MGF, Mechanism

from hsmgate.domain.digests import DIGESTS, STREEBOG_AT_MOST, Digest, find_digest
from hsmgate.errors import BadItem, Unsupported
from tests.verify import HASHES

every_digest = pytest.mark.parametrize("digest", DIGESTS.values(), ids=lambda digest: digest.name)
known_to_cryptography = pytest.mark.parametrize("name", HASHES)

# RFC 6986, sections 10.1 and 10.2, their bytes in the order in which they are hashed.
M1 = b"0123456789" * 6 + b"012"
M2 = "Се ветри, Стрибожи внуци, веютъ с моря стрелами на храбрыя плъкы Игоревы".encode("cp1251")


def test_the_digests_are_the_contracts() -> None:
    assert " ".join(sorted(DIGESTS)) == (
        "BLAKE2B256 BLAKE2B384 BLAKE2B512 BLAKE2S256 RIPEMD160 SHA1 SHA224 SHA256 SHA384 SHA3_224 SHA3_256 SHA3_384 "
        "SHA3_512 SHA512 SSL3 STREEBOG256 STREEBOG512"
    )


@known_to_cryptography
def test_a_digest_is_what_cryptography_computes(name: str) -> None:
    context = Hash(HASHES[name])
    context.update(b"attack at dawn")
    assert DIGESTS[name].compute(b"attack at dawn") == context.finalize()


@every_digest
def test_a_digest_has_its_size(digest: Digest) -> None:
    assert [len(digest.compute(data)) for data in (b"", b"a", bytes(1000))] == [digest.size] * 3


@pytest.mark.parametrize(
    ("name", "data", "known"),
    [
        ("BLAKE2B256", b"abc", "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"),
        (
            *("BLAKE2B384", b"abc"),
            "6f56a82c8e7ef526dfe182eb5212f7db9df1317e57815dbda46083fc30f54ee6c66ba83be64b302d7cba6ce15bb556f4",
        ),
        (  # RFC 7693, appendix A
            *("BLAKE2B512", b"abc"),
            "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
            "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
        ),
        # RFC 7693, appendix B
        ("BLAKE2S256", b"abc", "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982"),
        ("RIPEMD160", b"abc", "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"),
        ("RIPEMD160", b"", "9c1185a5c5e9fc54612808977ee8f548b2258d31"),
        ("SSL3", b"abc", "900150983cd24fb0d6963f7d28e17f72a9993e364706816aba3e25717850c26c9cd0d89d"),
        (
            *("STREEBOG512", M1),
            "1b54d01a4af5b9d5cc3d86d68d285462b19abc2475222f35c085122be4ba1ffa"
            "00ad30f8767b3a82384c6574f024c311e2a481332b08ef7f41797891c1646f48",
        ),
        ("STREEBOG256", M1, "9d151eefd8590b89daa6ba6cb74af9275dd051026bb149a452fd84e5e57b5500"),
        (
            *("STREEBOG512", M2),
            "1e88e62226bfca6f9994f1f2d51569e0daf8475a3b0fe61a5300eee46d961376"
            "035fe83549ada2b8620fcd7c496ce5b33f0cb9dddc2b6460143b03dabac9fb28",
        ),
        ("STREEBOG256", M2, "9dd2fe4e90409e5da87f53976d7405b0c0cac628fc669a741d50063c557e8f50"),
    ],
)
def test_a_digest_is_the_standards_own_answer(name: str, data: bytes, known: str) -> None:
    assert DIGESTS[name].compute(data).hex() == known


def test_ssl3_is_md5_and_sha1_one_after_the_other() -> None:
    assert DIGESTS["SSL3"].compute(b"a") == hashlib.md5(b"a").digest() + hashlib.sha1(b"a").digest()


@known_to_cryptography
def test_a_digest_info_prefix_is_the_der_of_the_algorithm(name: str) -> None:
    algorithm = {"algorithm": name.lower(), "parameters": Null()}
    hashed = DIGESTS[name].compute(b"")
    assert DIGESTS[name].digest_info + hashed == DigestInfo({"digest_algorithm": algorithm, "digest": hashed}).dump()


@pytest.mark.parametrize(
    ("name", "oid"),
    [
        *((f"BLAKE2B{bits}", BLAKE2b.new(digest_bits=bits).oid) for bits in (256, 384, 512)),
        ("BLAKE2S256", BLAKE2s.new(digest_bits=256).oid),
        ("RIPEMD160", RIPEMD160Hash.oid),
        # id-tc26-gost3411-12-256 and -512: RFC 9215, section 2
        ("STREEBOG256", "1.2.643.7.1.1.2.2"),
        ("STREEBOG512", "1.2.643.7.1.1.2.3"),
    ],
)
def test_a_digest_info_of_other_hashes_has_their_object_identifier(name: str, oid: str) -> None:
    digest = DIGESTS[name]
    algorithm = ObjectIdentifier(oid).dump() + b"\x05\x00"
    inner = bytes((0x30, len(algorithm))) + algorithm + bytes((0x04, digest.size))
    assert digest.digest_info == bytes((0x30, len(inner) + digest.size)) + inner


def test_there_is_no_digest_info_of_ssl3() -> None:
    assert DIGESTS["SSL3"].digest_info == b""


@every_digest
def test_the_pkcs11_numbers_are_those_of_python_pkcs11(digest: Digest) -> None:
    if digest.name in HASHES:
        mechanism = "SHA_1" if digest.name == "SHA1" else digest.name
        assert (digest.ckm, digest.ckg) == (Mechanism[mechanism], MGF[digest.name])
    else:
        assert (digest.ckm, digest.ckg) == (None, None)


@pytest.mark.parametrize("name", ["STREEBOG256", "STREEBOG512"])
def test_streebog_is_computed_over_so_much_and_no_more(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsmgate.domain.digests.STREEBOG_AT_MOST", 100)
    assert len(DIGESTS[name].compute(bytes(100))) == DIGESTS[name].size
    with pytest.raises(Unsupported, match=r"^data: .* at most 100 bytes; send `hash`$"):
        DIGESTS[name].compute(bytes(101))


def test_streebog_over_more_than_64_kib_is_unsupported() -> None:
    assert STREEBOG_AT_MOST == 65536
    with pytest.raises(Unsupported, match=r"^data: .* at most 65536 bytes; send `hash`$"):
        DIGESTS["STREEBOG256"].compute(bytes(65537))


@pytest.mark.parametrize("name", ["STREEBOG256", "STREEBOG512"])
def test_without_gostcrypto_streebog_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gostcrypto", None)
    with pytest.raises(Unsupported, match=r"^hash_alg: .*pip install 'hsmgate\[streebog\]'.* `hash`$"):
        DIGESTS[name].compute(b"")


@pytest.mark.parametrize(("name", "meant"), [("sha256", "SHA256"), ("Blake2b256", "BLAKE2B256"), ("Ssl3", "SSL3")])
def test_a_hash_name_is_matched_without_regard_to_case(name: str, meant: str) -> None:
    assert find_digest(name, "hash_alg") is DIGESTS[meant]


@pytest.mark.parametrize("name", ["", "SHA-256", "MD5", " SHA256", "SHA256\n", "\ud800"])
def test_a_hash_that_the_contract_does_not_have_is_a_bad_item(name: str) -> None:
    with pytest.raises(BadItem, match=r"^mode\.PSS: unknown hash algorithm") as caught:
        find_digest(name, "mode.PSS")
    assert str(caught.value).isascii()
