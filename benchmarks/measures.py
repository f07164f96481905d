"""One measurement: drive a gateway or the bare server for some seconds, and read what it cost."""

import asyncio
import dataclasses
from collections import defaultdict
from collections.abc import Awaitable
from dataclasses import dataclass, field

import psutil

from benchmarks import load
from benchmarks.stand import Stand, bare_server
from tests.gateway_process import Gateway

Record = dict[str, list[float]]
"""What was measured, by name, a value for each round."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how long.

    rounds: how often everything is measured.
    seconds: of a run; `brief` of the C loop's, and of what is for a picture only.
    """

    rounds: int
    seconds: int
    brief: int


@dataclass(frozen=True, slots=True)
class Run:
    """What a run of a batch came to; times in seconds.

    server_cpu: of the gateway process or the bare server, for each item.
    cpu: the same with the generator's.
    """

    items_per_second: float
    p50: float
    p99: float
    server_cpu: float
    cpu: float


@dataclass(slots=True)
class Bench:
    """The stand, how long to measure on it, and what was measured so far."""

    stand: Stand
    pace: Pace
    record: Record = field(default_factory=lambda: defaultdict(list))

    def note(self, name: str, value: float) -> None:
        """Take down a value."""
        self.record[name].append(value)

    def brief(self) -> "Bench":
        """The same with brief runs."""
        return dataclasses.replace(self, pace=dataclasses.replace(self.pace, seconds=self.pace.brief))

    def longer(self) -> "Bench":
        """The same with longer runs, for batches that take long: there must be time for some of them."""
        return dataclasses.replace(self, pace=dataclasses.replace(self.pace, seconds=self.pace.seconds + 2))

    async def drive(self, gateway: Gateway, label: str, count: int, connections: int, *, wait: bool = True) -> Run:
        """Batches of so many items of a key on so many connections, after one whose signatures are verified.

        wait: until the gateway has nothing more to do.
        """
        request = await self.stand.request(gateway, label, count)
        run = await self._drive(request, gateway.process.pid, count, connections)
        if wait:
            await settle(gateway)
        return run

    async def drive_bare(self, gateway: Gateway, label: str, count: int, connections: int) -> Run:
        """The same against the bare server, with requests and answers of the same sizes."""
        request = await self.stand.request(gateway, label, count)
        async with bare_server([request.answer_size]) as (url, pid):
            bare = dataclasses.replace(request, url=f"{url}/{request.answer_size}")
            return await self._drive(bare, pid, count, connections)

    async def _drive(self, request: load.Request, pid: int, count: int, connections: int) -> Run:
        process = psutil.Process(pid)
        before = _cpu(process)
        # Single items come too fast to look at each of their answers.
        done = await load.run(request, connections, self.pace.seconds, look=count > 1)
        server_cpu = _cpu(process) - before
        items = done.requests * count
        return Run(done.per_second * count, done.p50, done.p99, server_cpu / items, (server_cpu + done.cpu) / items)


async def settle(gateway: Gateway) -> None:
    """Wait until nothing is left to do of what the load generator left behind."""
    pids = (gateway.process.pid, *gateway.signers())
    last = -1.0
    while (now := sum(_cpu(psutil.Process(pid)) for pid in pids)) - last > SETTLED:
        last = now
        await asyncio.sleep(0.1)


SETTLED = 0.015
"""Seconds of CPU in a tenth of a second: one tick of the clock it is counted by."""


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


class Memory:
    """What the gateway and its signers have in memory: their resident sets, what they share counted in each."""

    def __init__(self, gateway: Gateway) -> None:
        self._processes = [psutil.Process(pid) for pid in (gateway.process.pid, *gateway.signers())]

    def now(self) -> float:
        """Bytes."""
        return float(sum(process.memory_info().rss for process in self._processes))

    async def most_during(self, what: Awaitable[object]) -> float:
        """The most bytes that were seen until that was done."""
        doing = asyncio.ensure_future(what)
        most = self.now()
        while not doing.done():
            await asyncio.sleep(0.001)
            most = max(most, self.now())
        await doing
        return most
