"""Prometheus's own checks."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def promtool(*arguments: str, text: str = "") -> tuple[int, str]:
    """The exit code, and what it says."""
    done = subprocess.run(["promtool", *arguments], cwd=ROOT, input=text, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr
