"""Prometheus's own checks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def promtool(*arguments: str, text: str = "") -> tuple[int, str]:
    """The exit code, and what it says."""
    command = shutil.which("promtool", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert command is not None, "there is no promtool: softhsm/promtool.sh .venv/bin/promtool"
    done = subprocess.run([command, *arguments], cwd=ROOT, input=text, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr
