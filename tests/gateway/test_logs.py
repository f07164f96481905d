"""The log: its formats, its levels, and lines of calls."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from hsmgate.gateway import call_log
from hsmgate.gateway.call_log import WRITE_BYTES, CallLog

SAY = """
import logging
from hsmgate.gateway import logs
logs.configure({format!r}, {level!r})
ours, others = logging.getLogger("hsmgate.x"), logging.getLogger("aiohttp.server")
for log in (ours, others):
    for level in ("debug", "info", "warning", "error"):
        getattr(log, level)("%s %s", "said", level, extra=logs.fields(token="t\\n"))
logs.set_level("error")
ours.warning("not said")
logs.set_level("debug")
ours.debug("said again")
try:
    raise ValueError("s3cret")
except ValueError:
    ours.exception("it failed")
"""


def said(log_format: str, level: str) -> list[str]:
    code = SAY.format(format=log_format, level=level)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "s3cret" not in done.stderr
    return done.stderr.splitlines()


@pytest.mark.parametrize(
    ("level", "ours", "others"),
    [("debug", 4, 3), ("info", 3, 3), ("warning", 2, 2), ("error", 1, 1)],
)
def test_a_line_of_json_has_what_every_line_has_and_its_fields(level: str, ours: int, others: int) -> None:
    lines = [json.loads(line) for line in said("json", level)]
    assert len(lines) == ours + others + 2
    for line in lines[:-2]:
        assert line["message"] == f"said {line['level']}"
        assert line["token"] == "t\n"
    assert [line["logger"] for line in lines[:ours]] == ["hsmgate.x"] * ours
    assert (lines[-2]["message"], lines[-2]["level"]) == ("said again", "debug")
    assert lines[-1]["traceback"].endswith("\nValueError")


def test_lines_for_people_name_their_process() -> None:
    first, *_ = said("human", "info")
    assert first.rpartition(": ")[2] == "said info"
    assert " INFO hsmgate.x[" in first


def test_lines_of_calls_are_written_whole_and_not_too_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(call_log, "_write", written.append)
    lines = [f"{number} {'x' * (number % 300)}\n" for number in range(200)]
    log = CallLog()
    log._lines = [*lines]
    log.flush()
    log.flush()
    assert "".join(written) == "".join(lines)
    assert all(len(block) <= WRITE_BYTES and block.endswith("\n") for block in written if block)


def test_a_log_that_cannot_be_written_costs_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        log = CallLog()
        log._lines = ["x\n"] * 10
        log.flush()
        assert log._lines == []
        monkeypatch.undo()
        try:
            full.close()
        except OSError:
            logging.getLogger(__name__).debug("it is full")
