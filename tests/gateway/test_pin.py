"""Where a PIN comes from, and where it does not show."""

import os
from pathlib import Path

import pytest

from hsmgate.errors import TokenMisconfigured
from hsmgate.gateway.pin import Pin, PinFile, read_pin


@pytest.mark.parametrize(
    ("content", "pin"),
    [(b"1234", "1234"), (b"1234\n", "1234"), (b"1234\r\n", "1234"), (b" 12 34 \n", " 12 34 "), ("ü".encode(), "ü")],
)
def test_a_file_holds_the_pin_without_the_newline_at_its_end(tmp_path: Path, content: bytes, pin: str) -> None:
    (tmp_path / "pin").write_bytes(content)
    assert read_pin("file:pin", tmp_path).reveal() == pin
    assert read_pin(f"file:{tmp_path}/pin", Path("/nowhere")).reveal() == pin


def test_a_variable_holds_the_pin_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSMGATE_TEST_PIN", "1234\n")
    assert read_pin("env:HSMGATE_TEST_PIN", tmp_path).reveal() == "1234\n"


@pytest.mark.parametrize(
    ("source", "content"),
    [("file:pin", None), ("file:.", None), ("file:pin", b""), ("file:pin", b"\n"), ("file:pin", b"s3cret\xff")],
)
def test_a_file_without_a_pin_is_named_and_not_quoted(tmp_path: Path, source: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "pin").write_bytes(content)
    with pytest.raises(TokenMisconfigured, match=f"^pin_source {source}: ") as caught:
        read_pin(source, tmp_path)
    assert "s3cret" not in str(caught.value)


def test_a_variable_without_a_pin_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSMGATE_EMPTY", "")
    for name in ("HSMGATE_EMPTY", "HSMGATE_NOT_SET"):
        with pytest.raises(TokenMisconfigured, match=f"^pin_source env:{name}: "):
            read_pin(f"env:{name}", tmp_path)


def test_a_variable_that_is_not_utf_8_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSMGATE_TEST_PIN", "12\udcff34")
    with pytest.raises(TokenMisconfigured, match=r"^pin_source env:HSMGATE_TEST_PIN: "):
        read_pin("env:HSMGATE_TEST_PIN", tmp_path)


def test_a_pin_does_not_show_itself() -> None:
    pin = Pin("s3cret")
    assert "s3cret" not in f"{pin} {pin!r} {[pin]} %s" % pin
    assert pin.reveal() == "s3cret"


def test_signers_with_the_same_pin_share_a_file_and_others_have_another() -> None:
    shared = PinFile()
    first = shared.of(Pin("1234"))
    os.pwrite(first, b"refused", 0)
    again = shared.of(Pin("1234"))
    assert os.pread(again, 100, 0) == b"refused"
    other = shared.of(Pin("12345"))
    assert os.pread(other, 100, 0) == b""
    shared.close()
    assert "1234" not in repr(vars(shared))
