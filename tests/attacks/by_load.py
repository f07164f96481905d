"""Attacks by sheer quantity."""

import asyncio
import contextlib
import resource
from urllib.parse import urlsplit

from tests.attacks.stage import Stage, attack, item

CONNECTIONS = 10_000
STREEBOGS = 24


@attack("10,000 connections that say nothing", costly=True)
async def idle_connections(stage: Stage) -> str:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    address = urlsplit(stage.gateway.url)
    before = stage.memory_mib
    writers: list[asyncio.StreamWriter] = []
    wanted = min(CONNECTIONS, hard - 200)
    with contextlib.suppress(OSError):
        while len(writers) < wanted:
            writers.append((await asyncio.open_connection(address.hostname, address.port))[1])
    _, longest, _ = await stage.beside(asyncio.sleep(3))
    grown = max(0, stage.memory_mib - before)
    for writer in writers:
        writer.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert longest < 5
    return f"{len(writers)} at once: {grown} MiB more, {longest:.2f} s at most for a neighbour's item"


@attack(
    "The CPU of the gateway by the slowest hash: Streebog of 64 KiB, in plain Python, while a neighbour signs",
    costly=True,
)
async def slow_hashes(stage: Stage) -> str:
    body = {"alg": "STREEBOG512", "data": "AAAA" * 21_000}
    calls = asyncio.gather(*(stage.call("mine", "POST", "/crypto/v1/digest", body) for _ in range(STREEBOGS)))
    answers, longest, _ = await stage.beside(calls)
    assert {answer[0] for answer in answers} <= {200, 422}
    return f"one at a time, in a thread of its own: {longest:.1f} s at most for a neighbour's item"


@attack(
    "One app against the others: 40 connections with batches of 400, while a neighbour signs single items", costly=True
)
async def starving(stage: Stage) -> str:
    calls = asyncio.gather(*(stage.items("all", [item("p256")] * 400) for _ in range(40)))
    answers, longest, _ = await stage.beside(calls)
    refused = sum(answer["status"] != 200 for batch in answers for answer in batch)
    assert longest < 10
    return f"{16_000 - refused} signatures for it; a neighbour's item took {longest:.2f} s at most"


@attack(
    "Signers tied up: 8 transient RSA keys of 8192 bits at once, which take longer than `operation_timeout`",
    costly=True,
)
async def slow_keys(stage: Stage) -> str:
    wanted = {"transient": True, "obj_type": "RSA", "key_size": 8192}
    calls = asyncio.gather(*(stage.call("all", "POST", "/crypto/v1/keys", wanted) for _ in range(8)))
    answers, longest, _ = await stage.beside(calls)
    assert {answer[0] for answer in answers} <= {201, 503, 504}
    made = sum(answer[0] == 201 for answer in answers)
    return f"**costs a signer**: {made} keys, else 503; {longest:.1f} s at most for a neighbour on the other"
