"""Where a PIN comes from, and where it does not show."""

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from hsmgate.errors import SignerStartError, TokenMisconfigured
from hsmgate.gateway import pin as pin_module
from hsmgate.gateway.pin import read_pin, take_variables
from hsmgate.gateway.pin_file import PinFile, Pins
from hsmgate.secret import Secret


@pytest.fixture(autouse=True)
def _nothing_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pin_module, "_taken", {})


async def pin_of(source: str, folder: Path) -> str:
    return (await read_pin(source, folder)).reveal()


@pytest.mark.parametrize(
    ("content", "pin"),
    [(b"1234", "1234"), (b"1234\n", "1234"), (b"1234\r\n", "1234"), (b" 12 34 \n", " 12 34 "), ("ü".encode(), "ü")],
)
async def test_a_file_holds_the_pin_without_the_newline_at_its_end(tmp_path: Path, content: bytes, pin: str) -> None:
    (tmp_path / "pin").write_bytes(content)
    assert await pin_of("file:pin", tmp_path) == pin
    assert await pin_of(f"file:{tmp_path}/pin", Path("/nowhere")) == pin


async def test_a_variable_holds_the_pin_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSMGATE_TEST_PIN", "1234\n")
    assert await pin_of("env:HSMGATE_TEST_PIN", tmp_path) == "1234\n"


def test_a_variable_that_was_taken_is_no_other_processs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSMGATE_TEST_PIN", "1234")
    take_variables(["env:HSMGATE_TEST_PIN", "env:HSMGATE_NOT_SET", "file:HOME", "command:env HOME"])
    assert "HSMGATE_TEST_PIN" not in os.environ
    assert "HSMGATE_TEST_PIN" not in subprocess.run(["env"], capture_output=True, text=True, check=True).stdout
    assert "HOME" in os.environ
    for _ in range(2):
        assert asyncio.run(pin_of("env:HSMGATE_TEST_PIN", tmp_path)) == "1234"


async def test_a_credential_is_systemds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TokenMisconfigured, match=r"^pin_source credential:hsm: CREDENTIALS_DIRECTORY is not set"):
        await read_pin("credential:hsm", tmp_path)
    (tmp_path / "hsm").write_text("1234\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert await pin_of("credential:hsm", Path("/nowhere")) == "1234"
    with pytest.raises(TokenMisconfigured, match=r"^pin_source credential:other: No such file"):
        await read_pin("credential:other", tmp_path)


@pytest.mark.parametrize(
    ("source", "content"),
    [("file:pin", None), ("file:.", None), ("file:pin", b""), ("file:pin", b"\n"), ("file:pin", b"s3cret\xff")],
)
async def test_a_file_without_a_pin_is_named_and_not_quoted(tmp_path: Path, source: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "pin").write_bytes(content)
    with pytest.raises(TokenMisconfigured, match=f"^pin_source {source}: ") as caught:
        await read_pin(source, tmp_path)
    assert "s3cret" not in str(caught.value)


async def test_a_variable_without_a_pin_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSMGATE_EMPTY", "")
    for name in ("HSMGATE_EMPTY", "HSMGATE_NOT_SET"):
        with pytest.raises(TokenMisconfigured, match=f"^pin_source env:{name}: "):
            await read_pin(f"env:{name}", tmp_path)


async def test_a_variable_that_is_not_utf_8_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSMGATE_TEST_PIN", "12\udcff34")
    with pytest.raises(TokenMisconfigured, match=r"^pin_source env:HSMGATE_TEST_PIN: not UTF-8"):
        await read_pin("env:HSMGATE_TEST_PIN", tmp_path)


@pytest.mark.parametrize(
    ("command", "pin"),
    [
        ("printf '12 34\\n'", "12 34"),
        ("printf '%s\\r\\n' \"a b\"", "a b"),
        ("echo $HOME ; | `id`", "$HOME ; | `id`"),  # no shell
        ("./tell.sh", "from the folder"),
        (f"{sys.executable} -c 'import sys; print(repr(sys.stdin.read()))'", "''"),  # nothing to read, and no waiting
        ("sh -c 'echo s3cret >&2; echo 1234'", "1234"),
    ],
)
async def test_a_command_prints_the_pin(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], command: str, pin: str
) -> None:
    script = tmp_path / "tell.sh"
    script.write_text("#!/bin/sh\necho from the folder\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    assert await pin_of(f"command:{command}", tmp_path) == pin
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("./nothing s3cret", "./nothing: No such file"),
        ("/etc/passwd s3cret", "/etc/passwd: Permission denied"),
        ("false s3cret", "false: exit code 1"),
        ("sh -c 'echo s3cret; exit 3'", "sh: exit code 3"),
        ("sh -c 'echo s3cret; kill -9 $$'", "sh: killed by signal 9"),
        ("printf 's3cret\\nand more\\n'", "printf: it printed more than one line"),
        ("printf 's3cret\\377'", "printf: not UTF-8"),
        ("true s3cret", "true: there is no PIN in it"),
        ("yes s3cret", "yes: it printed more than 4096 bytes"),
    ],
)
async def test_a_command_without_a_pin_is_named_without_its_words(tmp_path: Path, command: str, problem: str) -> None:
    with pytest.raises(SignerStartError) as caught:
        await read_pin(f"command:{command}", tmp_path)
    assert str(caught.value).startswith(f"pin_source command:{problem}")
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("then", ["sleep 1000.7", "exit 0"])
async def test_a_command_that_is_long_about_it_ends_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    monkeypatch.setattr(pin_module, "COMMAND_SECONDS", 0.3)
    with pytest.raises(SignerStartError, match=r"^pin_source command:sh: it took longer than 0\.3 s$"):
        await read_pin(f"command:sh -c 'sleep 1000.7 & {then}'", tmp_path)
    async with asyncio.timeout(10):
        while any("1000.7" in (process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])):
            await asyncio.sleep(0.01)


def test_signers_with_the_same_pin_share_a_file_and_others_have_another() -> None:
    shared = PinFile(Pins())
    first = shared.of(Secret("1234"))
    os.pwrite(first, b"refused", 0)
    again = shared.of(Secret("1234"))
    assert os.pread(again, 100, 0) == b"refused"
    other = shared.of(Secret("12345"))
    assert os.pread(other, 100, 0) == b""
    shared.close()
    assert "1234" not in repr(vars(shared))


def test_what_was_refused_is_known_to_those_who_come_later_and_no_file_stays_open() -> None:
    before = pin_files()
    pins, wrong, right = Pins(), Secret("1234"), Secret("12345")
    first, second = PinFile(pins), PinFile(pins)
    os.write(first.of(wrong), b"refused")
    assert os.pread(second.of(wrong), 100, 0) == b"refused", "they share it"
    assert os.pread(first.of(right), 100, 0) == b""
    second.close()
    assert os.pread(first.of(wrong), 100, 0) == b"refused", "it is kept though nobody had it"
    for number in range(2000):
        assert os.pread(first.of(Secret(f"{number} no pin")), 100, 0) == b""
    first.close()
    first.close()
    assert pin_files() == before


def pin_files() -> int:
    """How many this process has open."""
    return sum("hsmgate-pin" in str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink())
