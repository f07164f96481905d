"""The look-through at the end of the run: it must find what it is for."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.secrets_scan import Notes

ROOT = Path(__file__).parent.parent
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
SECRET = b"of no use to anyone?>~"

FORMS = {
    "as it is": SECRET,
    "in hex": SECRET.hex().encode(),
    "in base64": base64.b64encode(b"x" + SECRET + b"more"),
    "in base64, URL-safe": base64.urlsafe_b64encode(b"xy" + SECRET).rstrip(b"="),
}


def noted(secret: bytes = SECRET) -> Notes:
    notes = Notes()
    notes.secret("PIN", secret)
    return notes


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_found_in_whatever_form_and_not_shown(tmp_path: Path, form: str) -> None:
    notes = noted()
    notes.sight("an answer", b"... " + FORMS[form])
    (line,) = {*notes.found(tmp_path)}
    assert line == f"PIN, {form.partition(',')[0]}: in an answer, at byte {line.split()[-1]}"
    assert SECRET.decode() not in line


def test_one_is_found_among_many_wherever_it_stands(tmp_path: Path) -> None:
    notes = Notes()
    for number in range(3000):
        notes.secret("PIN", f"number {number:07} is secret")
    for before in range(20):
        notes.sight(f"{before} bytes on", b"x" * before + b"number 0001234 is secret")
    notes.sight("a place without", b"number 0003000 is secret")
    assert len({*notes.found(tmp_path)}) == 20


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)], ids=["EC", "RSA"]
)
@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
def test_a_private_key_is_found_in_its_file_and_a_public_one_is_none(
    tmp_path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, encoding: Encoding
) -> None:
    notes = Notes()
    notes.private_key("key", key)
    notes.sight("public", key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo))
    assert not [*notes.found(tmp_path)]
    notes.sight("private", key.private_bytes(encoding, PrivateFormat.PKCS8, NoEncryption()))
    assert [*notes.found(tmp_path)]


@pytest.mark.parametrize("name", ["serve.log", "log", "log2", "audit/2026-11.jsonl"])
def test_logs_and_audit_files_are_looked_through(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"line\n" + SECRET)
    (tmp_path / "pin").write_bytes(SECRET)  # which is its place
    (line,) = noted().found(tmp_path)
    assert line == f"PIN, as it is: in {tmp_path / name}, at byte 5"


def test_an_api_key_has_a_secret_half(tmp_path: Path) -> None:
    notes = Notes()
    notes.api_key(base64.b64encode(b"5d1e1f52-8a3b-4c6d-9e7f-001122334455:the secret half").decode())
    notes.sight("an answer", b"5d1e1f52-8a3b-4c6d-9e7f-001122334455")
    assert not [*notes.found(tmp_path)]
    notes.sight("an answer", b"the secret half")
    assert [line.partition(",")[0] for line in notes.found(tmp_path)] == ["API key's secret"]


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n", "2")])
@pytest.mark.parametrize("planted", [True, False])
def test_a_run_that_lets_a_secret_out_fails(tmp_path: Path, planted: bool, workers: tuple[str, ...]) -> None:
    (tmp_path / "conftest.py").write_text(
        "from tests.secrets_scan import pytest_sessionfinish, pytest_terminal_summary, pytest_testnodedown\n"
    )
    (tmp_path / "test_it.py").write_text(
        "from tests.secrets_scan import NOTES\n"
        "def test_it(tmp_path):\n"
        f"    NOTES.secret('PIN', {SECRET!r})\n"
        f"    (tmp_path / 'serve.log').write_bytes({SECRET if planted else b''!r})\n"
    )
    done = subprocess.run(
        [*PYTEST, *workers, "--basetemp", tmp_path / "base", tmp_path],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout
    assert done.returncode == (1 if planted else 0)
    assert ("PIN, as it is: in " in done.stdout) == planted
    assert SECRET.decode() not in done.stdout + done.stderr
