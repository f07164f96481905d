"""Hostile calls to a gateway as it really runs: no 500, no signer lost, no memory kept."""

import asyncio
import contextlib

import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.fuzz.http import BATCH_PATHS, FINE, answers, request, seeds, with_length
from tests.fuzz.spoiling import spoiled
from tests.fuzz.tokens import API_KEY
from tests.gateway_process import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

COUNT = 300
AT_ONCE = 10
PATIENCE_SECONDS = 0.5
"""For the answer to what may be half a request, which the gateway waits for."""
GROWTH_BYTES_AT_MOST = 8 * 1024 * 1024


def for_gateway(seed: bytes, api_key: str) -> bytes:
    """With the demo's credentials, and names of its keys."""
    return seed.replace(API_KEY.encode(), api_key.encode()).replace(b'"rsa"', b'"rsa2048"')


async def call(gateway: Gateway, sent: bytes) -> list[tuple[int, bytes]]:
    """The answers to what is sent on a connection of its own."""
    host, _, port = gateway.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    answered = bytearray()
    with contextlib.suppress(TimeoutError, ConnectionError):
        writer.write(sent)
        while piece := await asyncio.wait_for(reader.read(65536), PATIENCE_SECONDS if not answered else 0.01):
            answered += piece
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answers(bytes(answered))


def resident_bytes(gateway: Gateway) -> dict[int, int]:
    """Of the gateway and its signers, by process id."""
    return {pid: psutil.Process(pid).memory_info().rss for pid in (gateway.process.pid, *gateway.signers())}


def hostile(api_key: str) -> list[bytes]:
    """So many calls of the batch endpoint, each spoiled somewhere."""
    good = [for_gateway(seed, api_key) for seed in seeds() if seed.partition(b" ")[2].startswith(BATCH_PATHS)]
    found: list[bytes] = []

    @settings(
        max_examples=COUNT, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=[*HealthCheck]
    )
    @given(spoiled(3000, (b"\r\n", b'"data"', b"{}", b"\xff"), good))
    def collect(data: bytes) -> None:
        found.append(data)

    collect()
    return found


async def test_hostile_calls_cost_nothing_but_themselves(gateway: Gateway) -> None:
    calls = [with_length(data) for data in hostile(gateway.api_key)]
    signers, statuses, sizes = gateway.signers(), set[int](), []
    for _ in range(3):
        for start in range(0, len(calls), AT_ONCE):
            together = calls[start : start + AT_ONCE]
            for sent, answered in zip(
                together, await asyncio.gather(*(call(gateway, c) for c in together)), strict=True
            ):
                assert all(status in FINE for status, _ in answered), (sent, answered)
                assert not any(b'"status":5' in text for _, text in answered), (sent, answered)
                statuses |= {status for status, _ in answered}
        sizes.append(resident_bytes(gateway))
    assert {200, 400} <= statuses
    assert gateway.signers() == signers
    _, warm, end = sizes
    assert all(end[pid] - warm[pid] <= GROWTH_BYTES_AT_MOST for pid in warm), (warm, end)


@pytest.mark.parametrize(
    ("headers", "body", "status", "text"),
    [
        ("Content-Encoding: deflate", b"x" * 100, 400, b"the body is not encoded as its headers say"),
        ("Content-Encoding: gzip", b"[]", 400, b"the body is not encoded as its headers say"),
        ("Expect: \xa8", b"[]", 417, b"Expect: only 100-continue is known"),
        ("Expect: 100-continue", b"[]", 200, b"[]"),
    ],
)
async def test_headers_that_cost_a_500_once(
    gateway: Gateway, headers: str, body: bytes, status: int, text: bytes
) -> None:
    # Found by fuzzing, the third in aiohttp.
    assert await _call_with(gateway, BATCH_PATHS[0].decode(), body, headers) == [(status, text)]


async def test_a_path_that_does_not_exist_does_not_whatever_is_expected_of_it(gateway: Gateway) -> None:
    assert await _call_with(gateway, "/nowhere", b"", "Expect: \xa8") == [(404, b"404: Not Found")]


async def _call_with(gateway: Gateway, path: str, body: bytes, headers: str) -> list[tuple[int, bytes]]:
    """The answers to a POST with these headers, whose bytes are those of Latin-1."""
    sent = with_length(for_gateway(request("POST", path, body, headers), gateway.api_key))
    return await call(gateway, sent.replace("\xa8".encode(), b"\xa8"))
