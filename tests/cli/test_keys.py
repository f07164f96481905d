"""`hsmgate keys`, against a real gateway."""

import json
import os
import pty

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from tests.cli.shell import Shell
from tests.gateway_process import b64
from tests.secrets_scan import NOTES
from tests.token_tool import Demo
from tests.verify import verify

PASSWORD = "correct horse battery staple"


def test_a_key_is_made_shown_and_destroyed(shell: Shell) -> None:
    kid = shell.said("keys", "generate", "made", "--type", "p-384").strip()
    assert f"{kid}  NistP384          made\n" in shell.said("keys", "list")
    shown = shell.said("keys", "show", "made").splitlines()
    assert {f"kid: {kid}", "name: made", "type: NistP384"} <= {*shown}
    (listed,) = [key for key in json.loads(shell.said("keys", "list", "--json")) if key["name"] == "made"]
    assert listed == json.loads(shell.said("keys", "show", kid.upper(), "--json"))
    public = load_pem_public_key(shell.said("keys", "public", "made").encode())
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert b64(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)) == listed["pub_key"]
    assert shell.said("keys", "delete", kid, "--yes") == ""
    assert shell.refused("keys", "show", kid) == "key: no such key (HTTP 404)"


@pytest.mark.parametrize(
    ("kind", "shown"), [("rsa2048", "RSA 2048"), ("Ed25519", "Ed25519"), ("secp256k1", "SecP256K1")]
)
def test_keys_of_these_kinds_are_made(shell: Shell, kind: str, shown: str) -> None:
    name = f"made {kind}"
    made = json.loads(shell.said("keys", "generate", name, "--type", kind, "--json"))
    assert f"type: {shown}\n" in shell.said("keys", "show", made["kid"])
    shell.said("keys", "delete", name, "--yes")


def test_what_the_token_cannot_make_is_said_in_the_gateways_words(shell: Shell) -> None:
    said = shell.refused("keys", "generate", "never", "--type", "ml-dsa-65")
    assert said.endswith("(HTTP 422)")


def test_imported_keys_sign(shell: Shell) -> None:
    (shell.folder / "password").write_text(PASSWORD + "\n")
    NOTES.secret("password", PASSWORD)
    locked = BestAvailableEncryption(PASSWORD.encode())
    made = rsa.generate_private_key(65537, 2048)
    _import_and_sign(shell, made, made.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    curve = ec.generate_private_key(ec.SECP256R1())
    _import_and_sign(shell, curve, curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    edwards = ed25519.Ed25519PrivateKey.generate()
    _import_and_sign(shell, edwards, edwards.private_bytes(Encoding.DER, PrivateFormat.PKCS8, locked))


def _import_and_sign(shell: Shell, key: PrivateKeyTypes, data: bytes) -> None:
    (shell.folder / "key").write_bytes(data)
    kid = shell.said("keys", "import", "brought", "key", "--passphrase-file", "password").strip()
    try:
        item = {"data": b64(b"x")} | ({} if isinstance(key, ed25519.Ed25519PrivateKey) else {"hash_alg": "SHA256"})
        (shell.folder / "x").write_bytes(b"x")
        shell.said("sign", "--key", kid, "x", "--force")
        verify(key.public_key(), item, (shell.folder / "x.sig").read_bytes())
    finally:
        shell.said("keys", "delete", kid, "--yes")


def test_a_file_that_is_no_private_key_is_refused_by_name(shell: Shell) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD.encode()))
    clear = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    files = {
        "empty": (b"", "is empty"),
        "noise": (os.urandom(100), "it "),
        "huge": (b"x" * 100_000, "more than 32768 bytes"),
        "public": (key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "no private keys"),
        "public.der": (spki, "is a public key"),
        "two": (clear * 2, "2 private keys"),
        "torn": (clear[:-40], "damaged PEM"),
        "encrypted": (encrypted, "password is wrong"),
    }
    (shell.folder / "password").write_text("another password\n")
    for name, (data, said) in files.items():
        (shell.folder / name).write_bytes(data)
        line = shell.refused("keys", "import", "never", name, "--passphrase-file", "password")
        assert line.startswith(f"{name}: ")
        assert said in line
    assert "--passphrase-file" in shell.refused("keys", "import", "never", "encrypted", code=2)
    assert "No such file" in shell.refused("keys", "import", "never", "nowhere")


def test_an_mldsa_key_is_known_for_one(shell: Shell) -> None:
    data = mldsa.MLDSA65PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (shell.folder / "key").write_bytes(data)
    assert shell.refused("keys", "import", "never", "key").endswith("(HTTP 422)")  # SoftHSM has none of them


def test_a_name_that_is_no_text_is_wrong_usage(shell: Shell) -> None:
    for words in (("show", "\udcff"), ("generate", "\udcff", "--type", "p256")):
        done = shell.run("keys", *words)
        assert (done.code, done.out) == (2, "")
        assert done.err.endswith("not UTF-8\n")


def test_deleting_asks_a_terminal_and_nobody_else(shell: Shell) -> None:
    shell.said("keys", "generate", "asked", "--type", "p256")
    assert "--yes" in shell.refused("keys", "delete", "asked", code=2)
    assert _typed(shell, b"n\n", "keys", "delete", "asked") == 1
    assert _typed(shell, b"y\n", "keys", "delete", "asked") == 0
    assert "no such key" in shell.refused("keys", "show", "asked")


def _typed(shell: Shell, keys: bytes, *arguments: str) -> int | None:
    """The exit code of a command at a terminal where somebody types."""
    ours, theirs = pty.openpty()
    os.write(ours, keys)
    done = shell.run(*arguments, read=os.ttyname(theirs))
    os.close(ours)
    os.close(theirs)
    assert "[y/N]" in done.err
    return done.code


def test_who_calls_is_shown_by_file_variable_or_not_at_all(shell: Shell, demo: Demo) -> None:
    url = {"HSMGATE_URL": shell.gateway.url, "HSMGATE_API_KEY_FILE": ""}
    assert "p256" in shell.run("keys", "list", variables=url | {"HSMGATE_API_KEY": demo.api_key}).out
    file = demo.folder / "api-key"
    wrong = url | {"HSMGATE_API_KEY": "bm8="}
    assert "p256" in shell.run("keys", "list", "--api-key-file", file, variables=wrong).out
    assert "HTTP 401" in shell.refused("keys", "list", variables=wrong)
    assert "no API key" in shell.refused("keys", "list", variables=url, code=2)
    for bad in ("", "two\nlines", "two words", "é", "x" * 20_000):
        (shell.folder / "bad").write_text(bad)
        shell.refused("keys", "list", "--api-key-file", "bad", variables=url)
    (shell.folder / "bad").write_bytes(b"\xff\n")
    shell.refused("keys", "list", "--api-key-file", "bad", variables=url)


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("http://127.0.0.1:1", 1, "Connection refused"),
        ("https://127.0.0.1:1", 1, "Connection refused"),
        ("unix:/nowhere", 1, "No such file"),
        ("http://192.0.2.1:8080", 2, "plain http"),
        (f"https://{'x' * 300}.example", 1, "no host of that name"),
    ],
)
def test_a_gateway_that_cannot_be_asked_is_one_line(shell: Shell, url: str, code: int, said: str) -> None:
    assert said in shell.refused("keys", "list", "--url", url, code=code)


@pytest.mark.parametrize(
    "url", ["", "x", "ftp://h", "http://", "http://u:secret@h", "http://h/path", "http://h:x", "unix:"]
)
def test_an_address_that_is_none_is_wrong_usage(shell: Shell, url: str) -> None:
    done = shell.run("keys", "list", "--url", url)
    assert done.code == 2
    assert "argument --url" in done.err
    assert "secret" not in done.err


def test_the_api_key_goes_to_nobody_who_is_not_believed(shell: Shell) -> None:
    """What is there speaks no TLS, so that not a byte of HTTP was sent to it."""
    assert "TLS failed" in shell.refused("keys", "list", "--url", shell.gateway.url.replace("http", "https"))


def test_output_that_nobody_takes_is_an_error(shell: Shell) -> None:
    (shell.folder / ".out").touch()
    done = shell.run("keys", "list", out="/dev/full")
    assert (done.code, done.err) == (1, "hsmgate: standard output: No space left on device\n")
