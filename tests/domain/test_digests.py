"""Hash names of the contract."""

import pytest
from asn1crypto.algos import DigestInfo
from asn1crypto.core import Null
from cryptography.hazmat.primitives.hashes import Hash
from pkcs11.mechanisms import MGF, Mechanism

from hsmgate.domain.digests import DIGESTS, NOT_YET_SERVED, Digest, find_digest
from hsmgate.errors import BadItem, Unsupported
from tests.verify import HASHES

ALL = pytest.mark.parametrize("digest", DIGESTS.values(), ids=lambda digest: digest.name)


def test_the_served_digests_and_the_others_are_the_contracts() -> None:
    assert " ".join(sorted({*DIGESTS, *NOT_YET_SERVED})) == (
        "BLAKE2B256 BLAKE2B384 BLAKE2B512 BLAKE2S256 RIPEMD160 SHA1 SHA224 SHA256 SHA384 SHA3_224 SHA3_256 SHA3_384 "
        "SHA3_512 SHA512 SSL3 STREEBOG256 STREEBOG512"
    )


@ALL
def test_a_digest_is_what_cryptography_computes(digest: Digest) -> None:
    context = Hash(HASHES[digest.name])
    context.update(b"attack at dawn")
    assert digest.compute(b"attack at dawn") == context.finalize()
    assert digest.size == HASHES[digest.name].digest_size


@ALL
def test_a_digest_info_prefix_is_the_der_of_the_algorithm(digest: Digest) -> None:
    hashed = digest.compute(b"")
    algorithm = {"algorithm": digest.name.lower(), "parameters": Null()}
    assert digest.digest_info + hashed == DigestInfo({"digest_algorithm": algorithm, "digest": hashed}).dump()


@ALL
def test_the_pkcs11_numbers_are_those_of_python_pkcs11(digest: Digest) -> None:
    mechanism = "SHA_1" if digest.name == "SHA1" else digest.name
    assert (digest.ckm, digest.ckg) == (Mechanism[mechanism], MGF[digest.name])


@pytest.mark.parametrize("name", ["SHA256", "sha256", "Sha256"])
def test_a_hash_name_is_matched_without_regard_to_case(name: str) -> None:
    assert find_digest(name, "hash_alg") is DIGESTS["SHA256"]


@pytest.mark.parametrize("name", ["Blake2b256", "SSL3", "streebog512"])
def test_a_hash_of_the_contract_that_is_not_served_is_unsupported(name: str) -> None:
    with pytest.raises(Unsupported, match=f"^hash_alg: {name.upper()} "):
        find_digest(name, "hash_alg")


@pytest.mark.parametrize("name", ["", "SHA-256", "MD5", " SHA256", "SHA256\n", "\ud800"])
def test_a_hash_that_the_contract_does_not_have_is_a_bad_item(name: str) -> None:
    with pytest.raises(BadItem, match=r"^mode\.PSS: unknown hash algorithm") as caught:
        find_digest(name, "mode.PSS")
    assert str(caught.value).isascii()
