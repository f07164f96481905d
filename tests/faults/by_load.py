"""Too much load, and the end of the service under load."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

import psutil

from tests.faults.fault import During, Fault
from tests.faults.load import CONNECTIONS, write
from tests.faults.scene import Scene

TIMES = 10
BATCH = 50
OVERLOAD_SECONDS = 6.0
PEAK_SECONDS = 3.0
MAX_WAITING = 1000
STEADY_AFTER_SECONDS = 0.5
"""The queue is full by then, and the work done is that of an overloaded gateway."""

WORK_SHARE = 0.9
REFUSED_WITHIN_SECONDS = 0.05
MIB = 1 << 20

DRAIN_SECONDS = 3.0


@contextlib.asynccontextmanager
async def overloaded(there: Scene) -> AsyncIterator[None]:
    """Ten times as many items a second as the token can sign, whether or not anything is answered."""
    mixer, gateway = there.load.mixer, psutil.Process(there.gateway.process.pid)
    peak = await _peak(there)
    interval = BATCH / (TIMES * peak)
    batches = [mixer.batch(BATCH) for _ in range(round(OVERLOAD_SECONDS / interval))]
    bodies = [write(batch) for batch in batches]
    memory_before = memory = gateway.memory_info().rss
    posting = []
    start = time.monotonic()
    for number, (batch, body) in enumerate(zip(batches, bodies, strict=True)):
        await asyncio.sleep(max(0.0, start + number * interval - time.monotonic()))
        posting.append(asyncio.create_task(there.load.post(batch, body)))
        if number % 10 == 0:
            memory = max(memory, gateway.memory_info().rss)
        # Of a small call all is refused, or nothing.
        posting.append(asyncio.create_task(there.load.post(mixer.batch(1))))
    end = time.monotonic()
    await asyncio.gather(*posting)
    there.figures["peak"] = f"{peak:,.0f} signatures a second, with batches of {BATCH} and no more than it can carry"
    there.figures["asked for"] = f"{len(batches) * BATCH / (end - start) / peak:.1f} times that"
    _measure(there, peak, start, end)
    there.figures["memory"] = f"{memory_before / MIB:.0f} MiB before, {memory / MIB:.0f} MiB at most"
    yield


async def _peak(there: Scene) -> float:
    """The most that the token signs in a second: with always enough to do, and little more than that."""

    async def post(until: float) -> None:
        while time.monotonic() < until:
            await there.load.post(there.load.mixer.batch(BATCH))

    start = time.monotonic()
    await asyncio.gather(*(post(start + PEAK_SECONDS) for _ in range(CONNECTIONS)))
    return there.load.tally.rate(start + STEADY_AFTER_SECONDS, start + PEAK_SECONDS)


def _measure(there: Scene, peak: float, start: float, end: float) -> None:
    tally, figures = there.load.tally, there.figures
    done = tally.rate(start + STEADY_AFTER_SECONDS, end)
    figures["work done"] = f"{done:,.0f} signatures a second, {done / peak:.0%} of the peak"
    if done < WORK_SHARE * peak:
        there.problems.append(f"under overload {done / peak:.0%} of the work at the peak was done")
    refused = [call for call in tally.calls if call.refused and call.sent > start]
    if not refused:
        there.problems.append("no call was refused")
        return
    seconds = sorted(call.seconds for call in refused)
    figures["calls refused"] = f"{len(refused):,}, {sum(call.retry_after for call in refused):,} with a Retry-After"
    figures["refused after"] = (
        f"{_milliseconds(seconds, 0.5)} (median), {_milliseconds(seconds, 0.99)} (99 %), "
        f"{_milliseconds(seconds, 1)} (longest)"
    )
    if seconds[len(seconds) // 2] > REFUSED_WITHIN_SECONDS:
        there.problems.append(f"a refusal took {_milliseconds(seconds, 0.5)} (median)")
    if not all(call.retry_after for call in refused):
        there.problems.append("calls were refused without a Retry-After")


def _milliseconds(ordered: Sequence[float], share: float) -> str:
    return f"{1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]:.0f} ms"


@contextlib.asynccontextmanager
async def told_to_stop(there: Scene) -> AsyncIterator[None]:
    """SIGTERM: what was accepted is answered, what comes later is turned away, and the exit code is 0."""
    there.load.stopping = start = time.monotonic()
    code = await there.gateway.stop()
    there.figures["exit"] = f"with {code} after {time.monotonic() - start:.1f} s"
    if code != 0:
        there.problems.append(f"the exit code was {code}")
    yield
    await there.load.stop()
    in_flight = sum(call.sent < start < call.answered for call in there.load.tally.calls)
    there.figures["in flight"] = f"{in_flight} calls were answered, {there.load.tally.unanswered} items were not"


def told_to_stop_while(*rules: str) -> During:
    """SIGTERM while the module does not do its work; it is not better before the gateway is gone."""

    @contextlib.asynccontextmanager
    async def during(there: Scene) -> AsyncIterator[None]:
        there.token.break_by(*rules)
        await asyncio.sleep(1)
        async with told_to_stop(there):
            yield

    return during


FAULTS = (
    Fault(
        "overload",
        f"{TIMES} times as many items a second as the token can sign, for {OVERLOAD_SECONDS:g} s; "
        f"`max_waiting` is {MAX_WAITING}.",
        overloaded,
        seconds=0,
        server={"max_waiting": MAX_WAITING},
    ),
    Fault(
        "shutdown under load",
        "SIGTERM to the gateway.",
        told_to_stop,
        seconds=0.3,
        errors_at_most=0,
        ends_service=True,
    ),
    Fault(
        "shutdown while the token hangs",
        f"SIGTERM to the gateway while no call returns; `drain_timeout` is {DRAIN_SECONDS:g} s (`* hang`).",
        told_to_stop_while("* hang"),
        seconds=0.3,
        server={"drain_timeout": DRAIN_SECONDS},
        ends_service=True,
    ),
)
