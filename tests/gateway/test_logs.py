"""The log: its formats, its levels, and lines of calls."""

import itertools
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hsmgate.gateway import log_writer, logs
from hsmgate.gateway.call_log import CallLog, _Call
from hsmgate.gateway.log_writer import LogWriter, blocks

SAY = """
import asyncio, logging
from hsmgate.gateway import logs
logs.configure({format!r}, {level!r})

async def say():
    async with logs.written_in_a_thread():
        talk()

def talk():
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

asyncio.run(say())
"""


def said(log_format: str, level: str) -> list[str]:
    code = SAY.format(format=log_format, level=level)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "s3cret" not in done.stderr
    return done.stderr.splitlines()


@pytest.mark.parametrize(
    ("level", "ours", "others"),
    [("debug", 4, 3), ("warning", 2, 2)],
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


def test_lines_of_calls_come_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(logs, "write", written.extend)
    requests = [str(number) for number in range(200)]
    log = CallLog()
    log._calls = [_Call(0.0, ("GET", "/x", 200), 0.001, logging.INFO, name, "::1", None, None) for name in requests]
    log.flush()
    log.flush()
    assert [line.rpartition(" ")[2] for line in written] == [f"{request}\n" for request in requests]


def test_lines_are_written_whole_and_not_too_many_at_once() -> None:
    lines = [f"{number} {'x' * (number % 300)}\n" for number in range(200)]
    written = [*blocks(["y" * 5000, *lines], 4096)]
    assert "".join(written[1:]) == "".join(lines)
    assert written[0] == "y" * 5000
    assert all(len(block) <= 4096 and block.endswith("\n") for block in written[1:])
    assert all(len(one) + len(next_) > 4096 for one, next_ in itertools.pairwise(written))


def test_a_file_gets_all_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(log_writer, "_write", lambda _, text: written.append(text))
    with (tmp_path / "log").open("w") as file:
        writer = LogWriter(file.fileno())
        writer.write_lines(["x" * 3000 + "\n"] * 20)
        writer.close()
    assert written == [("x" * 3000 + "\n") * 20]


def test_who_does_not_take_the_log_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(log_writer, "WAITING_AT_MOST", 200_000)
    monkeypatch.setattr(log_writer, "CLOSE_SECONDS", 0.05)
    reading, writing = os.pipe()
    writer = LogWriter(writing)
    lines = [f"{number} {'x' * 100}\n" for number in range(10_000)]
    for line in lines:
        writer.write(line)
    writer.close()
    lost = writer._lost
    assert 0 < lost < len(lines)
    with os.fdopen(reading) as pipe:
        taken = [pipe.readline() for _ in range(len(lines) - lost)]
        assert taken == [line for line in lines if line in {*taken}]
        while not caplog.records:
            time.sleep(0.001)
    assert caplog.records[0].getMessage().startswith(f"{lost} lines of the log are lost")
    os.close(writing)


def test_a_log_that_cannot_be_written_costs_nothing() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    writer = LogWriter(fd)
    writer.write("x\n")
    writer.write("\udc00\n")
    writer.close()
    assert not writer._waiting
    os.close(fd)
