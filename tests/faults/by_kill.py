"""Signers that die or stop without a word."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from signal import SIGKILL, SIGSTOP

from tests.faults.fault import Fault, lasting
from tests.faults.scene import SIGNERS, Scene


@contextlib.asynccontextmanager
async def killed_every_second(there: Scene) -> AsyncIterator[None]:
    """All signers are killed, again and again, whether they got ready meanwhile or not."""

    async def kill() -> None:
        while True:
            there.signal_signers(SIGKILL)
            await asyncio.sleep(1)

    killing = asyncio.create_task(kill())
    yield
    killing.cancel()


HANGS = {"operation_timeout": 1.5}

FAULTS = (
    Fault(
        "a signer killed",
        "SIGKILL to one of the two signers.",
        lasting(lambda there: there.signal_signers(SIGKILL, 1)),
        seconds=0,
        errors_at_most=0,
    ),
    Fault(
        "all signers killed",
        "SIGKILL to both signers at once.",
        lasting(lambda there: there.signal_signers(SIGKILL)),
        seconds=0,
        errors_at_most=0,
    ),
    Fault(
        "all signers killed every second",
        "SIGKILL to whatever signers there are, every second for 20 seconds.",
        killed_every_second,
        seconds=20,
        back_off=True,
    ),
    Fault(
        "a signer stopped",
        "SIGSTOP to one signer, and nobody wakes it; `operation_timeout` is 1.5 s.",
        lasting(lambda there: there.signal_signers(SIGSTOP, 1)),
        seconds=0,
        token=HANGS,
        errors_at_most=0,
    ),
    Fault(
        "all signers stopped",
        "SIGSTOP to both signers; `operation_timeout` is 1.5 s.",
        lasting(lambda there: there.signal_signers(SIGSTOP, SIGNERS)),
        seconds=0,
        token=HANGS,
        errors_at_most=0,
    ),
)
