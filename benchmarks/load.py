"""The load generator: wrk, which sends a ready body for next to nothing."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

SCRIPT = Path(__file__).with_name("load.lua")

ANSWERS_DIFFER = 0.02
"""By this share an answer may be longer or shorter than the one that was looked at: a DER signature's length varies."""


class _Said(msgspec.Struct):
    """What the script says at the end of a run; times in seconds."""

    requests: int
    bytes: int
    failed: int
    counted: int
    seconds: float
    p50: float
    p99: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Load:
    """What a run came to; times in seconds.

    cpu: of the generator itself.
    """

    requests: int
    per_second: float
    p50: float
    p99: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent, and how many bytes the answer's headers and its body have."""

    url: str
    body: Path
    authorization: str
    head_size: int
    answer_size: int


async def run(request: Request, connections: int, seconds: int, *, look: bool) -> Load:
    """Send the request on so many connections for so long; with `look`, look into every answer.

    Raises AssertionError where an answer was not what it should be.
    """
    environment: Mapping[str, str] = os.environ | {
        "LOAD_BODY": str(request.body),
        "LOAD_AUTHORIZATION": request.authorization,
        **({"LOAD_WINDOW": str(connections)} if look else {}),
    }
    # One thread is enough to keep two cores busy, and two would be in each other's way.
    process = await asyncio.create_subprocess_exec(
        *("wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"),
        *("--timeout", "30s", "--latency", "--script", str(SCRIPT), request.url),
        stdout=asyncio.subprocess.PIPE,
        env=environment,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    said = msgspec.json.decode(printed.splitlines()[-1], type=_Said)
    assert said.failed == 0, f"{said.failed} of {said.requests} requests failed"
    assert said.counted > 0, f"{said.requests} requests in {seconds} s are too few to tell a rate by"
    mean = said.bytes / said.requests
    expected = request.head_size + request.answer_size
    assert abs(mean / expected - 1) < ANSWERS_DIFFER, f"answers of {mean:.0f} bytes, not as they should be"
    return Load(said.requests, said.counted / said.seconds, said.p50, said.p99, said.cpu)
