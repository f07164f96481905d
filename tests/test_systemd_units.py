"""The units of ops/systemd, read by systemd itself."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hsmgate.errors import PIN_REFUSED

ROOT = Path(__file__).parents[1]
UNITS = ROOT / "ops" / "systemd"

with_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


def analyzed(*arguments: str | Path) -> tuple[int, str]:
    """What `systemd-analyze` returns and says."""
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@with_systemd
def test_systemd_has_nothing_to_say_against_them(tmp_path: Path) -> None:
    for unit in UNITS.iterdir():
        # The one thing that is not there: where it would be installed.
        text = unit.read_text().replace("/opt/hsmgate/current/bin/hsmgate ", "/bin/true ")
        (tmp_path / unit.name).write_text(text)
    # The second instance of an upgrade is the same file.
    (tmp_path / "hsmgate@next.service").write_text((tmp_path / "hsmgate.service").read_text())
    assert analyzed("verify", "--man=no", *sorted(tmp_path.iterdir())) == (0, "")


@with_systemd
def test_the_exposure_is_what_the_page_says() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    said = re.search(r'an exposure of ([\d.]+), "OK" \(systemd (\d+)', page)
    assert said is not None
    _, version = analyzed("--version")
    if version.split()[1] != said[2]:
        pytest.skip(f"systemd {said[2]} is what the page speaks of")
    _, table = analyzed("security", "--offline=true", "--no-pager", UNITS / "hsmgate.service")
    assert f"Overall exposure level for hsmgate.service: {said[1]} OK" in table


def test_a_refused_pin_is_not_tried_again_by_a_restart_or_a_connection() -> None:
    lines = (UNITS / "hsmgate.service").read_text().splitlines()
    assert f"RestartPreventExitStatus={PIN_REFUSED}" in lines
    assert "Service=hsmgate-idle.service" in (UNITS / "hsmgate.socket").read_text().splitlines()
    assert "hsmgate serve" not in (UNITS / "hsmgate-idle.service").read_text()
