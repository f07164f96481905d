"""`hsmgate bench`, on a real token, and what it recommends."""

import json
import os
import signal
import subprocess
import time

import psutil
import pytest

from hsmgate.bench.rows import Row, recommended
from tests.cli.shell import Shell
from tests.gateway_process import HEARS_SIGINT, HSMGATE
from tests.token_tool import Demo


def test_each_size_is_measured_and_the_token_stays_as_it_was(shell: Shell, demo: Demo) -> None:
    before = demo.tool("--login", "--list-objects")
    sizes = ("--signers", "2,1", "--sessions", "2", "--seconds", "0.2")
    told = json.loads(shell.said("bench", "--config", demo.config, "--key", "p256", *sizes, "--json"))
    assert [(row["signers"], row["sessions"], row["failed"]) for row in told["rows"]] == [(1, 2, None), (2, 2, None)]
    assert all(row["items_per_second"] > 0 and 0 < row["median_ms"] <= row["p99_ms"] for row in told["rows"])
    assert told["recommended"]["sessions"] == 2
    assert demo.tool("--login", "--list-objects") == before


def test_people_get_a_table_and_the_words_for_the_config(shell: Shell, demo: Demo) -> None:
    size = ("--signers", "1", "--sessions", "1", "--seconds", "0.1")
    lines = shell.said("bench", "--config", demo.config, "--key", "ed25519", *size).splitlines()
    assert lines[0].split()[:3] == ["SIGNERS", "SESSIONS", "ITEMS/S"]
    assert lines[1].split()[-1] == "recommended"
    assert lines[-2:] == ["signers = 1", "sessions = 1"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--key", "p256", "--padding", "pss"], "mode: EC keys take none"),
        (["--key", "p256", "--token", "other"], "--token: one of demo"),
    ],
)
def test_what_cannot_be_measured_is_one_line(shell: Shell, demo: Demo, options: list[str], said: str) -> None:
    assert said in shell.refused("bench", "--config", demo.config, *options)


def test_interrupted_it_ends_quietly_and_its_signers_too(demo: Demo) -> None:
    process = subprocess.Popen(
        [*HEARS_SIGINT, *HSMGATE, "bench", "--config", str(demo.config), "--key", "p256", "--seconds", "60"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    while not (signers := psutil.Process(process.pid).children()):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.communicate(timeout=30) == (b"", b"")
    assert process.returncode == 130
    assert not psutil.wait_procs(signers, timeout=10)[1]


def test_what_is_about_as_fast_with_less_is_recommended() -> None:
    rows = [Row(1, 1, 100), Row(1, 8, 960), Row(2, 4, 955, p99_ms=9), Row(4, 2, 951, p99_ms=5), Row(4, 8, 1000)]
    assert recommended(rows) == Row(4, 2, 951, p99_ms=5)
    assert recommended([*rows, Row(2, 2, 2000)]) == Row(2, 2, 2000)
    assert recommended([*rows, Row(2, 2, 2000, failed="a signer died")]) == Row(4, 2, 951, p99_ms=5)
    assert recommended([Row(1, 1, 100)]) == Row(1, 1, 100)
    assert recommended([Row(1, 1, failed="gone")]) is None
