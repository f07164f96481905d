"""The attacks that are cheap, as `make attacks` tries them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.attacks import by_bytes, by_credentials, by_items, by_load, by_user  # noqa: F401 - they note their attacks
from tests.attacks.stage import ATTACKS, Stage, stage
from tests.token_tool import Demo

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def attacked(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("attacks")
    async with stage(demo.copy(folder / "demo"), folder) as there:
        yield there


@pytest.mark.parametrize("name", [attack.name for attack in ATTACKS.values() if not attack.costly])
async def test_it_gives_nothing(name: str, attacked: Stage) -> None:
    await ATTACKS[name].run(attacked)
    assert (await attacked.call(None, "GET", "/sys/v1/health"))[0] == 204
