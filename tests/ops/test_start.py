"""ops/start.sh, with a command in the gateway's place."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ops.test_packages import ROOT

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts it, with a `hsmgate` that does what the script says; its note is tmp_path/note."""

    def start(script: str) -> subprocess.Popen[str]:
        (tmp_path / "hsmgate").write_text(f'#!/bin/sh\necho "$@"\n{script}\n')
        (tmp_path / "hsmgate").chmod(0o755)
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        command = [str(ROOT / "ops" / "start.sh"), str(tmp_path / "note"), "serve", "--config", "a file"]
        return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    return start


def test_it_passes_arguments_and_the_exit_code_on(start: Start, tmp_path: Path) -> None:
    process = start("exit 1")
    assert process.communicate(timeout=30)[0] == "serve --config a file\n"
    assert process.returncode == 1
    assert not (tmp_path / "note").exists()


def test_sigterm_reaches_the_gateway_which_takes_its_time(start: Start) -> None:
    process = start("trap 'sleep 0.3; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)][1] == "ready\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 7


def test_a_refused_pin_is_not_tried_again(start: Start, tmp_path: Path) -> None:
    first = start("exit 3")
    first.communicate(timeout=30)
    assert first.returncode == 3
    assert (tmp_path / "note").exists()
    second = start("exit 0")
    assert second.stderr is not None
    assert "refused the PIN" in second.stderr.readline()
    time.sleep(0.1)
    assert second.poll() is None
    second.terminate()
    out, _ = second.communicate(timeout=30)
    assert (out, second.returncode) == ("", 3)
