"""A token that nobody signs with is seen to sign, and what is wrong with it is found, before a caller finds out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from hsmgate.config import Config
from hsmgate.gateway import supervisor
from hsmgate.gateway.figures import End
from hsmgate.gateway.pin_file import Pins
from hsmgate.gateway.supervisor import Supervisor
from tests.faults.module import FaultyToken, calls, faulty
from tests.token_tool import Demo

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def token(demo: Demo, tmp_path: Path) -> FaultyToken:
    return faulty(demo.config, tmp_path)


@pytest_asyncio.fixture(loop_scope="session")
async def idle(token: FaultyToken, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Supervisor]:
    """A token with one signer and nothing to do, which is asked for a canary ten times a second."""
    for name in ("PROVE_AFTER_SECONDS", "PROVE_SECONDS"):
        monkeypatch.setattr(supervisor, name, 0.05)
    config = Config.load(token.config)
    words = {"signers": 1, "operation_timeout": 0.5}
    there = Supervisor(config.token[0].model_copy(update=words), config.folder, lambda pool, keys: None, Pins())
    await there.start()
    yield there
    await there.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def signatures(idle: Supervisor, count: int = 2) -> None:
    """Wait for so many canaries."""
    for _ in range(count):
        before = idle.pool.figures.signed_at
        await until(lambda before=before: idle.pool.figures.signed_at > before)  # type: ignore[misc]


async def test_a_signer_is_replaced_that_cannot_sign_any_more_or_hangs(idle: Supervisor, token: FaultyToken) -> None:
    await signatures(idle)
    assert any(call.function == "C_Sign" for call in calls(token.log)[-50:])
    ends = idle.pool.figures.ends
    token.rules.set("C_Sign rv 0x30 count=1")
    await until(lambda: ends[End.TOKEN_LOST] == 1)
    await signatures(idle)
    token.rules.set("C_Sign hang count=1")
    await until(lambda: ends[End.HUNG] == 1)
    await signatures(idle)
    assert ends.total() == 2


async def test_a_session_that_died_meanwhile_costs_no_signer(idle: Supervisor, token: FaultyToken) -> None:
    await signatures(idle)
    token.rules.set("C_Sign rv 0xb3 count=1")
    await until(lambda: token.rules.hits() == [1])
    await signatures(idle)
    assert not idle.pool.figures.ends
