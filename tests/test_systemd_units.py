"""The units of ops/systemd, read by systemd itself."""

import shutil
import subprocess
from pathlib import Path

import pytest

from hsmgate.errors import PIN_REFUSED

UNITS = Path(__file__).parents[1] / "ops" / "systemd"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_has_nothing_to_say_against_them(tmp_path: Path) -> None:
    copies = [tmp_path / name for name in ("hsmgate.service", "hsmgate.socket")]
    for copy in copies:
        # The one thing that is not there: where it would be installed.
        copy.write_text((UNITS / copy.name).read_text().replace("/opt/hsmgate/bin/hsmgate ", "/bin/true "))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *copies], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_refused_pin_is_not_tried_again_by_a_restart() -> None:
    lines = (UNITS / "hsmgate.service").read_text().splitlines()
    assert f"RestartPreventExitStatus={PIN_REFUSED}" in lines
