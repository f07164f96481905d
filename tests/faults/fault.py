"""What a fault is, and what is seen when one happens."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.items import Mixer
from tests.faults.judge import Judge
from tests.faults.scene import Scene, Words, scene
from tests.faults.tally import Tally
from tests.token_tool import Demo

BEFORE_SECONDS = 2.5
WARM_UP_SECONDS = 0.7
WATCHED_SECONDS = 15.0
LEAST_RATE = 120.0
"""Where less is signed before the fault, the machine is too busy with other things to tell anything by a rate."""

PATIENCE_TRIES = 3
BACK_WITHIN_SECONDS = 5.0
BACK_WITHIN_SECONDS_WITH_BACK_OFF = 10.0

LATE_SECONDS = 2.0
"""What an answer may take beyond the gateway's own deadline: clocks, and a machine that has other things to do."""

During = Callable[[Scene], AbstractAsyncContextManager[None]]
"""Entering it begins the fault, leaving it ends it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, as the table of faults has it.

    seconds: how long it lasts, unless `during` takes time of its own.
    server, token: words of the config that it needs.
    back_off: whether signers fail to start again and again, so that there are pauses between the tries.
    errors_at_most: how many honest errors there may be, where there is a reason to promise it.
    ends_service: whether the gateway is gone afterwards, as it should.
    lasts: whether the rate may stay low, since only an operator can put it right.
    """

    name: str
    what: str
    during: During
    seconds: float = 2.0
    server: Words = field(default_factory=dict)
    token: Words = field(default_factory=dict)
    tokens: int = 1
    back_off: bool = False
    errors_at_most: int | None = None
    ends_service: bool = False
    lasts: bool = False

    @property
    def back_within(self) -> float:
        """In how many seconds the rate has to be back."""
        return BACK_WITHIN_SECONDS_WITH_BACK_OFF if self.back_off else BACK_WITHIN_SECONDS


@dataclass(slots=True)
class Outcome:
    """What was seen. `back_after` is None where the rate did not come back while it was watched."""

    fault: Fault
    tally: Tally
    rate: float
    back_after: float | None
    problems: list[str]
    figures: dict[str, str]
    times: list[int] = field(default_factory=list)

    @classmethod
    def failed(cls, fault: Fault, why: str) -> "Outcome":
        """Nothing was seen: the scene did not come to be, or fell apart."""
        return cls(fault, Tally(), 0.0, None, [why], {})

    def complaints(self, *, timing: bool = True) -> list[str]:
        """All that should not be; without `timing` a return to service is enough, however long it took."""
        tally, fault = self.tally, self.fault
        said = [*self.problems]
        said += [f"wrong: {text}" for text in tally.wrongs]
        said += [f"{tally.missing} items were told that their key is missing"] if tally.missing else []
        said += [f"{tally.unanswered} items were not answered"] if tally.unanswered else []
        # Whatever becomes of its items, a batch that is well formed gets a 200.
        said += [
            f"{count} items of calls that failed: {text}"
            for text, count in tally.texts.items()
            if text.startswith("call ")
        ]
        errors = sum(tally.errors.values())
        if fault.errors_at_most is not None and errors > fault.errors_at_most:
            said.append(f"{errors} errors, where there may be {fault.errors_at_most}: {dict(tally.texts)}")
        if not self.rate:
            said.append("nothing was signed before the fault")
        if timing and self.rate < LEAST_RATE:
            said.append(f"the machine is too busy: {self.rate:.0f} signatures a second before the fault")
        if not (fault.ends_service or fault.lasts):
            if self.back_after is None:
                said.append(f"the rate did not come back within {WATCHED_SECONDS:g} s")
            elif timing and self.back_after > fault.back_within:
                said.append(f"the rate was back after {self.back_after:.1f} s only")
        return said


async def see(
    fault: Fault, demo: Demo, mixer: Mixer, judge: Judge, folder: Path, *, hurry: float = 1.0, share: float = 0.9
) -> Outcome:
    """Let the fault happen and tell what was seen.

    hurry: less than 1 makes the load before and the fault shorter by that factor.
    share: what part of the rate before is to be back.
    """
    words = {"server": fault.server, "token": fault.token}
    async with scene(demo, folder, mixer, judge, tokens=fault.tokens, **words) as there:
        await asyncio.sleep(WARM_UP_SECONDS * hurry)
        for _ in range(PATIENCE_TRIES):
            start = time.monotonic()
            await asyncio.sleep(BEFORE_SECONDS * hurry)
            there.rate = there.load.tally.rate(start, time.monotonic() - 0.2)
            if there.rate >= LEAST_RATE:
                break
        async with fault.during(there):
            await asyncio.sleep(fault.seconds * hurry)
        end = time.monotonic()
        if not (fault.ends_service or fault.lasts):
            await _watch(there, end, share * there.rate)
        await there.load.stop()
        tally = there.load.tally
        back_after = tally.back_after(end, share * there.rate, time.monotonic())
        late = there.request_timeout + LATE_SECONDS
        if tally.longest_seconds > late:
            there.problems.append(f"an answer took {tally.longest_seconds:.1f} s, with a deadline of {late:g} s")
        if there.gateway.process.returncode is not None and not fault.ends_service:
            there.problems.append(f"the gateway ended with {there.gateway.process.returncode}")
    return Outcome(fault, tally, there.rate, back_after, there.problems, there.figures, there.times)


async def _watch(there: Scene, end: float, rate: float) -> None:
    """Until that rate is back, or the time is up."""
    while time.monotonic() < end + WATCHED_SECONDS:
        await asyncio.sleep(0.25)
        # What is on its way is not counted yet, so the last moments look emptier than they are.
        if there.load.tally.back_after(end, rate, time.monotonic() - 0.3) is not None:
            return


def lasting(begin: Callable[[Scene], None], end: Callable[[Scene], None] = lambda _: None) -> During:
    """A fault that begins by a call and ends by another."""

    @contextlib.asynccontextmanager
    async def during(there: Scene) -> AsyncIterator[None]:
        begin(there)
        yield
        end(there)

    return during


def by_rules(*lines: str) -> During:
    """The module follows these rules for as long as the fault lasts; a rule that was never followed shows nothing."""

    @contextlib.asynccontextmanager
    async def during(there: Scene) -> AsyncIterator[None]:
        there.token.break_by(*lines)
        yield
        hits = there.token.hits()
        there.token.mend()
        there.times = hits
        there.problems += [
            f"no call was done this to: {line}" for line, count in zip(lines, hits, strict=True) if not count
        ]

    return during
