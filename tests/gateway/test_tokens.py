"""Which tokens are opened when, at the start."""

import asyncio
from pathlib import Path

import pytest

from hsmgate.config import Config
from hsmgate.errors import PinRefused, SignerStartError, TokenMisconfigured
from hsmgate.gateway import supervisor, tokens
from hsmgate.gateway.supervisor import Supervisor
from hsmgate.gateway.tokens import Tokens
from tests.gateway.played import FakeProcess
from tests.test_config import TOKEN

HANGS = "hangs"
SOON = 0.05


def config(*names: str) -> Config:
    """Tokens of one store."""
    return Config.parse("".join(TOKEN.replace('"demo"', f'"{name}"') for name in names), Path("hsmgate.toml"))


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which tokens were begun with. One whose name is an error's fails with it, one named `hangs` hangs."""
    names: list[str] = []

    async def start(self: Supervisor) -> None:
        name = self.token.name
        names.append(name)
        if name == HANGS:
            await asyncio.Event().wait()
        for kind in (PinRefused, TokenMisconfigured, SignerStartError):
            if name == kind.__name__:
                raise kind("so it is")
        self.pool.join(FakeProcess())

    monkeypatch.setattr(Supervisor, "start", start)
    monkeypatch.setattr(Supervisor, "_start_rest", lambda self: None)
    monkeypatch.setattr(supervisor, "TURN_SECONDS", SOON)
    monkeypatch.setattr(tokens, "OTHERS_SECONDS", SOON)
    return names


async def test_one_that_hangs_keeps_others_of_its_store_waiting_for_its_turn_only(begun: list[str]) -> None:
    await asyncio.wait_for(Tokens(config(HANGS, "one", "two")).start(), 20)
    assert begun == [HANGS, "one", "two"]


@pytest.mark.parametrize("failing", ["PinRefused", "TokenMisconfigured", "SignerStartError"])
async def test_one_that_fails_keeps_no_other_from_serving(begun: list[str], failing: str) -> None:
    await asyncio.wait_for(Tokens(config(failing, "one")).start(), 20)
    assert begun == [failing, "one"]


@pytest.mark.parametrize(
    ("failing", "gravest"),
    [
        (("SignerStartError", "TokenMisconfigured", "PinRefused"), PinRefused),
        (("SignerStartError", "TokenMisconfigured"), TokenMisconfigured),
        (("SignerStartError",), SignerStartError),
    ],
)
async def test_where_all_fail_it_is_said_of_each(
    begun: list[str], failing: tuple[str, ...], gravest: type[SignerStartError]
) -> None:
    with pytest.raises(gravest) as raised:
        await asyncio.wait_for(Tokens(config(*failing)).start(), 20)
    assert type(raised.value) is gravest
    assert str(raised.value) == "; ".join(f"token {name}: so it is" for name in failing)
    assert begun == [*failing]
