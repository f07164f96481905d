"""What its users do with `sdkms-cli` 5.6.2919 works over https with a private CA."""

import base64
import json
import uuid

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from tests.certificates import make_certificates
from tests.clients import strict
from tests.clients.https import Https
from tests.clients.sdkms_cli import Cli
from tests.clients.wire import Connection, Rust
from tests.gateway_process import b64
from tests.verify import verify

pytestmark = pytest.mark.timeout(300)  # the first test may have to install the clients

MESSAGE = "It has to be ASCII: the client reads a batch's files as text.\n"
# What sdkms-cli signs it always hashes first, and of RSA's modes it knows none.
SIGNED = {"data": b64(MESSAGE.encode()), "mode": None}
ALGORITHMS = {"rsa2048": "SHA256", "rsa3072": "SHA1", "p256": "SHA256", "p521": "SHA512", "secp256k1": "SHA3_256"}


@pytest.fixture
def user(cli: Cli) -> Cli:
    """Someone who has logged in."""
    return cli.log_in()


def check(https: Https, name: str, hash_alg: str, signature: bytes) -> None:
    verify(https.keys[name].public, {**SIGNED, "hash_alg": hash_alg}, signature)


def batch_line(kid: str, hash_alg: str, file: str, **more: str) -> str:
    words = {
        "kid": kid,
        "hash-alg": hash_alg,
        "in": file,
        **{key.replace("_", "-"): value for key, value in more.items()},
    }
    return " ".join(f"--{word} {value}" for word, value in words.items()) + "\n"


def test_logging_in_leaves_a_token_and_not_the_api_key(cli: Cli) -> None:
    cli.log_in()
    (token,) = (line.partition("=")[2] for line in cli.token_file.read_text().splitlines() if "app-token" in line)
    assert len(token) > 40
    assert cli.https.api_key not in cli.token_file.read_text()


def test_logging_in_again_ends_the_session_before(cli: Cli) -> None:
    first = cli.log_in().token_file.read_text()
    cli.log_in()
    assert cli.token_file.read_text() != first
    cli.token_file.write_text(first)
    done = cli("list-keys")
    assert done.returncode == 1
    assert "status:   401" in done.stderr


def test_a_wrong_api_key_is_refused(cli: Cli) -> None:
    wrong = b64(f"{cli.https.app_id}:not-the-secret".encode())
    done = cli("app-login", api_key=wrong)
    assert done.returncode == 1
    assert "status:   401" in done.stderr
    assert cli("list-keys").returncode == 1


def test_keys_are_listed(user: Cli) -> None:
    lines = [line.split() for line in user.do("list-keys").splitlines()]
    listed = {kid: name.strip('"') for kid, name, *_ in lines}
    assert listed == {key.kid: name for name, key in user.https.keys.items()}
    assert {line[3] for line in lines} == {"ObjectType.RSA", "ObjectType.EC"}
    assert all(int(line[4]) > 0 for line in lines)


def test_keys_are_listed_in_pages_and_by_name(user: Cli) -> None:
    pages = [user.do("list-keys", "--limit", "3", "--offset", str(offset)).splitlines() for offset in (0, 3, 6)]
    assert [len(page) for page in pages] == [3, 3, len(user.https.keys) - 6]
    assert sorted(line for page in pages for line in page) == sorted(user.do("list-keys").splitlines())
    assert user.do("list-keys", "--name", "p384").split()[0] == user.https.keys["p384"].kid


def test_a_key_is_shown_by_name_and_by_kid(user: Cli) -> None:
    key = user.https.keys["p256"]
    by_name = json.loads(user.do("show-sobject", "--name", "p256"))
    assert by_name == json.loads(user.do("show-sobject", "--kid", key.kid))
    assert by_name["kid"] == key.kid
    assert by_name["elliptic_curve"] == "NistP256"
    assert by_name["pub_key"] == b64(key.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def test_what_is_no_key_is_not_shown(user: Cli) -> None:
    done = user("show-sobject", "--kid", str(uuid.uuid4()))
    assert done.returncode == 1
    assert "status:   404" in done.stderr


@pytest.mark.parametrize("name", ["rsa2048", "p256"])
def test_a_file_is_signed_and_its_signature_verifies(user: Cli, name: str) -> None:
    key = ("--kid", user.https.keys[name].kid, "--hash-alg", "SHA256")
    user.write("file", MESSAGE)
    user.do("sign", *key, "--in", "file", "--out", "file.sig")
    check(user.https, name, "SHA256", user.read("file.sig"))
    user.do("verify", *key, "--in", "file", "--sig-in", "file.sig")

    user.write("other", MESSAGE + "and a line more\n")
    done = user("verify", *key, "--in", "other", "--sig-in", "file.sig")
    assert done.returncode == 1
    assert done.stderr == "[E] Signature verification fail\n"


def test_an_unknown_key_signs_nothing(user: Cli) -> None:
    user.write("file", MESSAGE)
    done = user("sign", "--kid", str(uuid.uuid4()), "--hash-alg", "SHA256", "--in", "file", "--out", "file.sig")
    assert done.returncode == 1
    assert "status:   404" in done.stderr
    assert not (user.folder / "file.sig").exists()


def test_a_transient_key_is_made_and_signs(user: Cli) -> None:
    transient = user.do(
        *("create-key", "--transient", "--obj-type", "EC", "--ec-name", "NistP256", "--name", "passing")
    ).strip()
    key = ("--transient-key", transient, "--hash-alg", "SHA256")
    user.write("file", MESSAGE)
    user.do("sign", *key, "--in", "file", "--out", "file.sig")
    user.do("verify", *key, "--in", "file", "--sig-in", "file.sig")
    with Connection(user.https) as connection:
        send = Rust(connection, f"Basic {user.https.api_key}")
        body = json.dumps({"transient_key": transient}).encode()
        shown = strict.body(send("POST", "/crypto/v1/keys/info?", body), strict.sobject)
    public = load_der_public_key(base64.b64decode(shown["pub_key"]))
    verify(public, {**SIGNED, "hash_alg": "SHA256"}, user.read("file.sig"))


def test_a_batch_is_signed_and_verified(user: Cli) -> None:
    user.write("file", MESSAGE)
    kids = {name: user.https.keys[name].kid for name in ALGORITHMS}
    user.write("sign", "".join(batch_line(kids[n], alg, "file", out=f"{n}.sig") for n, alg in ALGORITHMS.items()))
    assert user.do("batch-sign", "--in", "sign") == "".join(
        f"{number} {name}.sig 0\n" for number, name in enumerate(ALGORITHMS, 1)
    )
    for name, hash_alg in ALGORITHMS.items():
        check(user.https, name, hash_alg, user.read(f"{name}.sig"))

    user.write("verify", "".join(batch_line(kids[n], alg, "file", sig_in=f"{n}.sig") for n, alg in ALGORITHMS.items()))
    assert user.do("batch-verify", "--in", "verify") == "".join(f"{n} 0\n" for n in range(1, len(ALGORITHMS) + 1))


def test_a_batch_reports_the_lines_that_failed_and_writes_the_others(user: Cli) -> None:
    """The Ed25519 key is asked for Ed25519ph, because the client hashes first; SoftHSM cannot do that."""
    keys = user.https.keys
    user.write("file", MESSAGE)
    kids = [keys["rsa2048"].kid, str(uuid.uuid4()), keys["ed25519"].kid, keys["p256"].kid]
    hash_algs = ["SHA256", "SHA256", "SHA512", "SHA256"]
    lines = zip(range(1, 5), kids, hash_algs, strict=True)
    user.write("batch", "".join(batch_line(kid, alg, "file", out=f"{number}.sig") for number, kid, alg in lines))
    done = user("batch-sign", "--in", "batch")
    assert done.returncode == 1
    assert done.stdout == "1 1.sig 0\n2 2.sig 1\n3 3.sig 1\n4 4.sig 0\n"
    unknown, prehashed = done.stderr.splitlines()
    assert unknown.startswith("[E] Line Number: 2, Reason: ")
    assert prehashed.startswith("[E] Line Number: 3, Reason: ")
    check(user.https, "rsa2048", "SHA256", user.read("1.sig"))
    check(user.https, "p256", "SHA256", user.read("4.sig"))
    assert not list(user.folder.glob("[23].sig"))


def test_a_batch_tells_wrong_signatures_from_unknown_keys(user: Cli) -> None:
    key = user.https.keys["p256"]
    user.write("file", MESSAGE)
    user.write("other", "other")
    user.do("sign", "--kid", key.kid, "--hash-alg", "SHA256", "--in", "file", "--out", "file.sig")
    right = batch_line(key.kid, "SHA256", "file", sig_in="file.sig")
    wrong = batch_line(key.kid, "SHA256", "other", sig_in="file.sig")
    unknown = batch_line(str(uuid.uuid4()), "SHA256", "file", sig_in="file.sig")

    user.write("verify", right + wrong + right)
    assert user.do("batch-verify", "--in", "verify") == "1 0\n2 1\n3 0\n"

    user.write("verify", right + unknown + wrong)
    done = user("batch-verify", "--in", "verify")
    assert done.returncode == 1
    assert done.stdout == "1 0\n2 2\n3 1\n"
    assert done.stderr.startswith("[E] Line Number: 2, Reason: ")
    assert done.stderr.endswith("HTTP Status:404\n")


def test_version_and_health_are_told_without_logging_in(cli: Cli) -> None:
    assert "Server Mode : ServerMode.Software" in cli.do("server-version")
    assert cli.do("server-health") == "Server is Healthy\n"


def test_a_gateway_of_another_ca_is_refused(cli: Cli) -> None:
    another = make_certificates(cli.folder).ca
    done = cli("--ssl-ca-cert", str(another), "server-health")
    assert done.returncode != 0
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr


def test_after_logging_out_nothing_works(user: Cli) -> None:
    token = user.token_file.read_text()
    user.do("app-logout")
    assert user("list-keys").returncode == 1

    user.token_file.write_text(token)  # a thief's copy
    done = user("list-keys")
    assert done.returncode == 1
    assert "status:   401" in done.stderr


def test_a_wrong_signature_would_be_noticed_here(https: Https) -> None:
    with pytest.raises(InvalidSignature):
        check(https, "p256", "SHA256", bytes(70))


@pytest.mark.parametrize(
    ("options", "hash_alg"),
    [
        (("--obj-type", "RSA", "--key-size", "2048"), "SHA256"),
        (("--obj-type", "EC", "--ec-name", "NistP384"), "SHA384"),
    ],
)
def test_a_key_is_made_signs_and_is_deleted(user: Cli, options: tuple[str, ...], hash_alg: str) -> None:
    before = user.do("list-keys")
    kid = user.do("create-key", "--name", "by the cli", *options).strip()
    shown = json.loads(user.do("show-sobject", "--name", "by the cli"))
    assert (shown["kid"], shown["enabled"]) == (str(uuid.UUID(kid)), True)
    user.write("file", MESSAGE)
    user.do("sign", "--kid", kid, "--hash-alg", hash_alg, "--in", "file", "--out", "file.sig")
    public = load_der_public_key(base64.b64decode(shown["pub_key"]))
    verify(public, {**SIGNED, "hash_alg": hash_alg}, user.read("file.sig"))
    user.do("delete-key", "--kid", kid)
    assert user("show-sobject", "--kid", kid).returncode == 1
    assert user.do("list-keys") == before
