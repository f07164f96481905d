"""What the gateway must not go on without: when it ends, so does the gateway."""

import asyncio
import logging

import pytest

from hsmgate.errors import GatewayBroken
from hsmgate.gateway.vital import Vital

SECRET = "attack at dawn"


async def fails() -> None:
    raise ValueError(SECRET)


async def returns() -> None:
    pass


@pytest.mark.parametrize(("work", "said"), [(fails, "ValueError"), (returns, "it returned")])
async def test_what_ends_ends_the_gateway(work: object, said: str, caplog: pytest.LogCaptureFixture) -> None:
    stop = asyncio.Event()
    vital = Vital(stop.set)
    vital.check()
    vital.start(work(), "looking on")  # type: ignore[operator]
    await asyncio.wait_for(stop.wait(), 10)
    with pytest.raises(GatewayBroken, match="looking on failed"):
        vital.check()
    (record,) = caplog.records
    assert record.levelno == logging.CRITICAL
    assert record.getMessage().startswith("looking on has failed, so the gateway ends\n")
    assert record.getMessage().endswith(said)
    assert SECRET not in caplog.text


async def test_what_is_cancelled_does_not(caplog: pytest.LogCaptureFixture) -> None:
    stop = asyncio.Event()
    vital = Vital(stop.set)
    task = vital.start(asyncio.sleep(60), "sleeping")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    vital.check()
    assert not stop.is_set()
    assert not caplog.records
