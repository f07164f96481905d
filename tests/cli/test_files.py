"""`hsmgate sign` and `hsmgate verify`, against a real gateway."""

import base64
import json
import os
import resource
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.certificates import make_certificates
from tests.cli.shell import Shell
from tests.gateway_process import HEARS_SIGINT, HSMGATE, b64, serving
from tests.token_tool import Demo
from tests.verify import verify

PSS: dict[str, object] = {"PSS": {}}


@pytest.mark.parametrize(
    ("key", "options", "item"),
    [
        ("p256", [], {"hash_alg": "SHA256"}),
        ("p521", ["--hash", "sha3-512"], {"hash_alg": "SHA3_512"}),
        ("rsa2048", ["--padding", "pss", "--hash", "SHA-384"], {"hash_alg": "SHA384", "mode": PSS}),
        ("ed25519", [], {}),
    ],
)
def test_a_file_is_signed_and_verified(shell: Shell, key: str, options: list[str], item: dict[str, object]) -> None:
    data = os.urandom(1_500_000)
    (shell.folder / "file").write_bytes(data)
    assert shell.said("sign", "--key", key, *options, "file") == ""
    signature = (shell.folder / "file.sig").read_bytes()
    public = load_pem_public_key(shell.said("keys", "public", key).encode())
    verify(public, item | {"data": b64(data)}, signature)
    assert shell.said("verify", "--key", key, *options, "file") == "file: good\n"
    (shell.folder / "file").write_bytes(data + b"x")
    done = shell.run("verify", "--key", key, *options, "file")
    assert (done.code, done.out, done.err) == (1, "file: BAD\n", "")
    with pytest.raises(InvalidSignature):
        verify(public, item | {"data": b64(data + b"x")}, signature)


def test_one_bad_file_costs_only_itself(shell: Shell) -> None:
    for name in ("a", "b", "c", "\x1b[2J"):
        (shell.folder / name).write_text(name)
    (shell.folder / "folder").mkdir()
    (shell.folder / "c.sig").write_bytes(b"kept")
    done = shell.run("sign", "--key", "p256", "a", "nowhere", "folder", "c", "b", "\x1b[2J")
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == [
        "hsmgate: nowhere: No such file or directory",
        "hsmgate: folder: Is a directory",
        "hsmgate: c: c.sig is there already; --force overwrites it",
        "hsmgate: 3 of 6 files: see above",
    ]
    assert (shell.folder / "c.sig").read_bytes() == b"kept"
    done = shell.run("verify", "--key", "p256", "a", "c", "nowhere", "b")
    assert (done.code, done.out) == (1, "a: good\nc: BAD\nb: good\n")
    assert shell.said("sign", "--key", "p256", "--force", "c") == ""
    assert shell.said("verify", "--key", "p256", "c", "\x1b[2J") == "c: good\n\\x1b[2J: good\n"


def test_standard_input_is_signed_to_standard_output(shell: Shell) -> None:
    signature = base64.b64decode(shell.said("sign", "--key", "p256", "-", sent=b"hello"))
    (shell.folder / "signature").write_bytes(signature)
    assert shell.said("verify", "--key", "p256", "--signature", "signature", "-", sent=b"hello") == "-: good\n"
    assert shell.run("verify", "--key", "p256", "--signature", "signature", "-", sent=b"hell").code == 1


def test_scripts_read_json_lines(shell: Shell) -> None:
    (shell.folder / "file").write_bytes(b"x")
    done = shell.run("sign", "--key", "p256", "--json", "file", "nowhere")
    signed, failed = map(json.loads, done.out.splitlines())
    assert (done.code, done.err, sorted(signed)) == (1, "", ["file", "kid", "signature"])
    assert failed == {"file": "nowhere", "error": "No such file or directory"}
    assert not (shell.folder / "file.sig").exists()
    (shell.folder / "file.sig").write_bytes(base64.b64decode(signed["signature"]))
    verdict = json.loads(shell.said("verify", "--key", signed["kid"], "--json", "file"))
    assert verdict == {"file": "file", "kid": signed["kid"], "good": True}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["sign", "--key", "p256", "--stdout", "a", "b"], 2, "--json"),
        (["sign", "--key", "p256", "-", "-"], 2, "once only"),
        (["verify", "--key", "p256", "-"], 2, "--signature"),
        (["verify", "--key", "p256", "--signature", "s", "a", "b"], 2, "one file only"),
        (["verify", "--key", "p256", ".in"], 1, ".in.sig: No such file"),
        (["sign", "--key", "nothing", ".in"], 1, "no such key (HTTP 404)"),
        (["sign", "--key", "p256", "--padding", "pss", ".in"], 1, ".in: mode:"),
        (["sign", "--key", "ed25519", "/dev/zero"], 1, "signs the file itself"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(shell: Shell, arguments: list[str], code: int, said: str) -> None:
    assert said in shell.refused(*arguments, code=code)


def test_standard_input_that_is_closed_is_not_an_empty_one(shell: Shell) -> None:
    command = shlex.join([*HSMGATE, "sign", "--key", "p256", "-"])
    done = subprocess.run(
        ["sh", "-c", f"{command} <&-"], env=os.environ | shell.variables, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"hsmgate: -: Bad file descriptor\n")


def test_a_full_disk_leaves_no_half_a_signature(shell: Shell) -> None:
    (shell.folder / "file").write_bytes(b"x")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    done = subprocess.run(
        [*HSMGATE, "sign", "--key", "p256", "file"],
        env=os.environ | shell.variables,
        cwd=shell.folder,
        preexec_fn=limit,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, b"hsmgate: file: file.sig: File too large\n")
    assert not (shell.folder / "file.sig").exists()


def test_more_files_than_a_batch_may_have_are_signed(shell: Shell) -> None:
    names = [f"f{number}" for number in range(1100)]
    for name in names:
        (shell.folder / name).write_text(name)
    assert shell.said("sign", "--key", "p256", *names) == ""
    assert shell.said("verify", "--key", "p256", *names) == "".join(f"{name}: good\n" for name in names)


async def test_what_a_gateway_takes_at_a_time_is_found_out(demo: Demo, tmp_path: Path) -> None:
    """Of bytes, of items, and of items in a second. It speaks TLS, and knows who calls by a certificate."""
    certificates = make_certificates(tmp_path)
    server = "max_items = 15\nmax_body = '2KiB'\ntls_certificate = 'server.pem'\ntls_key = 'server.key'\n"
    server = server.replace("'server", f"'{tmp_path}/server") + f"client_ca = '{certificates.ca}'\n"
    app = "items_per_second = 20\ncertificates = ['subject:CN=client']\n"
    config = demo.config.read_text().replace("[server]\n", f"[server]\nclient_certificates = 'optional'\n{server}")
    (demo.folder / "narrow.toml").write_text(config.replace("[[app]]\n", f"[[app]]\n{app}"))
    names = [f"f{number}" for number in range(25)]
    for name in names:
        (tmp_path / name).write_text("x")
    (tmp_path / "large").write_bytes(bytes(2000))
    async with serving(demo.folder / "narrow.toml", demo.api_key, tmp_path / "serve.log") as narrow:
        shell = Shell(narrow, tmp_path, {"HSMGATE_URL": narrow.url, "HSMGATE_API_KEY": "", "HSMGATE_API_KEY_FILE": ""})
        shown = ("--ca", certificates.ca, "--cert", certificates.client, "--cert-key", certificates.client_key)
        assert shell.said("sign", "--key", "p256", *shown, *names) == ""
        assert "HTTP 413" in shell.refused("sign", "--key", "ed25519", *shown, "large")
        assert "--ca names the CA" in shell.refused("keys", "list", *shown[2:])
        assert "not with that key" in shell.refused("keys", "list", *shown[:4], "--cert-key", tmp_path / "server.key")
    assert all((tmp_path / f"{name}.sig").exists() for name in names)


def test_interrupted_it_ends_quietly(shell: Shell) -> None:
    """It reads a pipe that nobody writes to, which shows where it is."""
    os.mkfifo(shell.folder / "pipe")
    process = subprocess.Popen(
        [*HEARS_SIGINT, *HSMGATE, "sign", "--key", "p256", str(shell.folder / "pipe")],
        env=os.environ | shell.variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with (shell.folder / "pipe").open("wb"):  # returns when it has opened the other end
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20) == (b"", b"")
    assert process.returncode == 130
