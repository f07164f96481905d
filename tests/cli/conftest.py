"""Commands that ask the one gateway of the run. What they make there they take away."""

from pathlib import Path

import pytest

from tests.cli.shell import Shell
from tests.gateway_process import Gateway
from tests.token_tool import Demo


@pytest.fixture
def shell(gateway: Gateway, demo: Demo, tmp_path: Path) -> Shell:
    known = {"HSMGATE_URL": gateway.url, "HSMGATE_API_KEY_FILE": str(demo.folder / "api-key"), "HSMGATE_API_KEY": ""}
    return Shell(gateway, tmp_path, known)
