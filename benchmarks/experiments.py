"""What is measured. Each experiment notes values by name, one in each round; `benchmarks.table` says what they mean."""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable

from benchmarks.measures import Bench, Memory, settle
from benchmarks.stand import Size
from tests.gateway_process import Gateway

DEFAULT = Size()
BATCHES = {1000: 2, 100: 4, 10: 8}
"""Items of a batch, and the connections that send it."""

MANY_CONNECTIONS = 64
SLOW_CONNECTIONS = 16
"""On a slow token: with 4 its 32 sessions have a dozen items each, with so many always enough to do."""

LARGEST_BATCH = 10_000
CORES = len(os.sched_getaffinity(0))


async def p256(bench: Bench) -> None:
    """P-256 in batches: shares of what C reaches, and the gateway's own CPU."""
    async with bench.stand.gateway(DEFAULT) as gateway:
        await _shares(bench, gateway, "p256", BATCHES)


async def rsa2048(bench: Bench) -> None:
    """RSA-2048 in batches of 100."""
    async with bench.stand.gateway(DEFAULT) as gateway:
        await _shares(bench, gateway, "rsa2048", {100: 4})


async def rsa4096(bench: Bench) -> None:
    """RSA-4096: one batch of 64 at a time."""
    async with bench.stand.gateway(DEFAULT) as gateway:
        await _shares(bench.longer(), gateway, "rsa4096", {64: 1})


async def _shares(bench: Bench, gateway: Gateway, label: str, batches: dict[int, int]) -> None:
    """The C loop and the gateway in turn; a run is held against the mean of the C runs before and after its round."""
    before = await _ceiling(bench, label)
    for _ in range(bench.pace.rounds):
        runs = {count: await bench.drive(gateway, label, count, on) for count, on in batches.items()}
        after = await _ceiling(bench, label)
        for count, run in runs.items():
            bench.note(f"share {label} {count}", 2 * run.items_per_second / (before + after))
            bench.note(f"rate {label} {count}", run.items_per_second)
            bench.note(f"cpu {label} {count}", run.server_cpu)
        before = after


async def _ceiling(bench: Bench, label: str) -> float:
    per_second = (await bench.stand.ceiling(label, DEFAULT, bench.pace.brief)).per_second
    bench.note(f"ceiling {label}", per_second)
    return per_second


async def audit(bench: Bench) -> None:
    """P-256 in batches of 100, with and without an audit log: two gateways, in turn."""
    async with bench.stand.gateway(DEFAULT) as without, bench.stand.gateway(DEFAULT, audit=True) as audited:
        before = await bench.drive(without, "p256", 100, BATCHES[100])
        for _ in range(bench.pace.rounds):
            run = await bench.drive(audited, "p256", 100, BATCHES[100])
            after = await bench.drive(without, "p256", 100, BATCHES[100])
            mean = (before.items_per_second + after.items_per_second) / 2
            bench.note("audit share", run.items_per_second / mean)
            bench.note("audit cpu", run.server_cpu - (before.server_cpu + after.server_cpu) / 2)
            bench.note("audit rate", run.items_per_second)
            before = after


async def singles(bench: Bench) -> None:
    """Single items on many connections, held against what HTTP and the token cost by themselves."""
    async with bench.stand.gateway(DEFAULT) as gateway:
        for _ in range(bench.pace.rounds):
            bare = await bench.drive_bare(gateway, "p256", 1, MANY_CONNECTIONS)
            run = await bench.drive(gateway, "p256", 1, MANY_CONNECTIONS)
            token_seconds = DEFAULT.signers / await _ceiling(bench, "p256")
            bench.note("share p256 1", run.items_per_second * (bare.cpu + token_seconds) / CORES)
            bench.note("rate p256 1", run.items_per_second)
            bench.note("cpu p256 1", run.server_cpu)
            bench.note("rate bare 1", bare.items_per_second)
            bench.note("cpu bare 1", bare.cpu)


async def bare(bench: Bench) -> None:
    """What the load generator reaches where there is nothing to sign."""
    bench = bench.brief()
    async with bench.stand.gateway(DEFAULT) as gateway:
        for count, connections in BATCHES.items():
            run = await bench.drive_bare(gateway, "p256", count, connections)
            bench.note(f"rate bare {count}", run.items_per_second)


async def latency(bench: Bench) -> None:
    """A single item alone, and by how many come at a time."""
    async with bench.stand.gateway(DEFAULT) as gateway:
        for _ in range(bench.pace.rounds):
            own = (await bench.stand.ceiling("p256", Size(signers=1), bench.pace.brief)).seconds_each
            run = await bench.drive(gateway, "p256", 1, 1)
            bench.note("ceiling p256 alone", 1 / own)
            bench.note("latency above token", run.p50 - own)
            bench.note("latency p50 1", run.p50)
            bench.note("latency p99 1", run.p99)
            bench.note("latency rate 1", run.items_per_second)


async def load(bench: Bench) -> None:
    """Latency by the number of connections that send single items."""
    bench = bench.brief()
    async with bench.stand.gateway(DEFAULT) as gateway:
        for connections in (2, 4, 8, 16, 32, 64):
            run = await bench.drive(gateway, "p256", 1, connections)
            bench.note(f"latency p50 {connections}", run.p50)
            bench.note(f"latency p99 {connections}", run.p99)
            bench.note(f"latency rate {connections}", run.items_per_second)


async def busy(bench: Bench) -> None:
    """A single item's latency without and with a huge batch beside it."""
    async with bench.stand.gateway(DEFAULT) as gateway:
        body = json.dumps(bench.stand.items("rsa2048", LARGEST_BATCH)).encode()
        for _ in range(bench.pace.rounds):
            quiet = await bench.drive(gateway, "p256", 1, 1)
            over = asyncio.Event()
            batches = asyncio.create_task(_keep_busy(gateway, body, over))
            await asyncio.sleep(0.2)  # the first is on its way
            beside = await bench.drive(gateway, "p256", 1, 1, wait=False)
            over.set()
            await batches
            bench.note("latency quiet p99", quiet.p99)
            bench.note("latency busy p99", beside.p99)
            bench.note("latency busy ratio", beside.p99 / quiet.p99)


async def _keep_busy(gateway: Gateway, body: bytes, over: asyncio.Event) -> None:
    while not over.is_set():
        status, _ = await gateway.post(body)
        assert status == 200


async def slow1(bench: Bench) -> None:
    """A token that takes 1 ms, 2 signers of 16 sessions."""
    await _slow(bench, Size(2, 16, 1))


async def slow5(bench: Bench) -> None:
    """A token that takes 5 ms, one signer of 32 sessions."""
    await _slow(bench, Size(1, 32, 5))


async def _slow(bench: Bench, size: Size) -> None:
    """Batches of 100 on a slow token, and the C loop with as many threads."""
    async with bench.stand.gateway(size) as gateway:
        for _ in range(bench.pace.rounds):
            for connections in (4, SLOW_CONNECTIONS):
                run = await bench.drive(gateway, "p256", 100, connections)
                bench.note(f"slow {size} {connections}", run.items_per_second)
            ceiling = await bench.stand.ceiling("p256", size, bench.pace.brief)
            bench.note(f"slow C {size}", ceiling.per_second)


async def pools(bench: Bench) -> None:
    """Slow tokens under pools of every size, with always enough to do for all their sessions."""
    bench = bench.brief()
    for delay_ms in (0.3, 1, 5):
        for signers in (1, 2):
            for sessions in (1, 4, 16, 32):
                size = Size(signers, sessions, delay_ms)
                async with bench.stand.gateway(size) as gateway:
                    run = await bench.drive(gateway, "p256", min(100, 4 * signers * sessions), 4)
                bench.note(f"pool {size}", run.items_per_second)


async def start(bench: Bench) -> None:
    """From the command to the first signature, the memory then, and the most during a huge batch."""
    (item,) = bench.stand.items("p256", 1)
    items = bench.stand.items("p256", LARGEST_BATCH)
    for _ in range(bench.pace.rounds):
        started = time.perf_counter()
        async with bench.stand.gateway(DEFAULT) as gateway:
            assert (await gateway.sign_one(item))["status"] == 200
            bench.note("start", time.perf_counter() - started)
            await settle(gateway)
            memory = Memory(gateway)
            idle = memory.now()
            most = await memory.most_during(gateway.sign(items))
            bench.note("memory idle", idle)
            bench.note("memory peak", most)
            bench.note("memory above idle", most - idle)


Experiment = Callable[[Bench], Awaitable[None]]

EXPERIMENTS: dict[str, Experiment] = {
    experiment.__name__: experiment
    for experiment in (p256, rsa2048, rsa4096, audit, singles, bare, latency, load, busy, slow1, slow5, pools, start)
}
