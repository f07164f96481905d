"""What tests of every kind share: a demo that `hsmgate init` made, and a gateway over it."""

import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.gateway_process import HSMGATE, Gateway, serving
from tests.secrets_scan import (  # noqa: F401 - pytest's hooks
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
)
from tests.token_tool import Demo


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The one demo of the run: its keys take seconds to make. Whoever changes its token takes `own_demo`."""
    folder = tmp_path_factory.mktemp("demo") / "hsmgate"
    subprocess.run([*HSMGATE, "init", str(folder)], check=True, stdout=subprocess.DEVNULL)
    return Demo(folder)


@pytest.fixture
def own_demo(demo: Demo, tmp_path: Path) -> Demo:
    """A copy of the demo, to be changed."""
    copy = Demo(tmp_path / "own")
    shutil.copytree(demo.folder, copy.folder)
    subprocess.run([*HSMGATE, "init", str(copy.folder)], check=True, stdout=subprocess.DEVNULL)
    return copy


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateway(demo: Demo) -> AsyncIterator[Gateway]:
    """The one gateway of the run, for tests that leave it as it is."""
    async with serving(demo.config, demo.api_key, demo.folder / "serve.log") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def own_gateway(own_demo: Demo) -> AsyncIterator[Gateway]:
    """A gateway over a demo of its own."""
    async with serving(own_demo.config, own_demo.api_key, own_demo.folder / "serve.log") as running:
        yield running
