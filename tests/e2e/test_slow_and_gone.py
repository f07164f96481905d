"""Clients that are slow, clients that leave, and the gateway's own leaving."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway_process import Gateway, b64, serving
from tests.token_tool import Demo

pytestmark = pytest.mark.asyncio(loop_scope="session")

ITEM = {"key": {"name": "rsa4096"}, "hash_alg": "SHA256", "data": b64(b"x")}
HEAD = "POST /crypto/v1/keys/batch/sign HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {}\r\nContent-Length: {}\r\n\r\n"


@contextlib.asynccontextmanager
async def with_words(demo: Demo, folder: Path, words: str) -> AsyncIterator[Gateway]:
    """A gateway with these words in its [server]."""
    config = demo.folder / f"{folder.name}.toml"
    config.write_text(demo.config.read_text().replace("[server]\n", f"[server]\n{words}\n"))
    assert words in config.read_text()
    async with serving(config, demo.api_key, folder / "serve.log") as gateway:
        yield gateway


async def connect(gateway: Gateway) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = gateway.url.removeprefix("http://").rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def test_who_does_not_send_is_cut_off(demo: Demo, tmp_path: Path) -> None:
    async with with_words(demo, tmp_path, "request_timeout = 1.0") as gateway:
        silent, silent_to = await connect(gateway)
        half, half_to = await connect(gateway)
        half_to.write(b"POST /crypto/v1/keys/batch/sign HT")
        slow, slow_to = await connect(gateway)
        slow_to.write(HEAD.format(gateway.api_key, 100).encode() + b"[")
        async with asyncio.timeout(20):
            assert await silent.read() == b""
            assert await half.read() == b""
            assert b" 408 " in await slow.readline()
            assert b"the body did not come within 1 s" in await slow.read()
        for writer in (silent_to, half_to, slow_to):
            writer.close()


async def test_who_does_not_take_the_answer_is_cut_off(demo: Demo, tmp_path: Path) -> None:
    async with with_words(demo, tmp_path, "request_timeout = 2.0\nmax_body = '32MiB'") as gateway:
        body = json.dumps([{"key": {"name": "x" * 4000}, "hash_alg": "SHA256", "data": ""}] * 7000).encode()
        head = HEAD.format(gateway.api_key, len(body)).encode()
        reader, writer = await connect(gateway)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        with contextlib.suppress(ConnectionError):
            for _ in range(20):  # more answers than the buffers on the way can hold
                writer.write(head + body)
                async with asyncio.timeout(20):
                    await writer.drain()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionError):
                while await reader.read(1 << 20):
                    pass
        writer.close()


async def test_what_a_caller_asked_who_has_gone_is_not_signed(own_gateway: Gateway) -> None:
    body = json.dumps([ITEM] * 5000).encode()
    _, writer = await connect(own_gateway)
    writer.write(HEAD.format(own_gateway.api_key, len(body)).encode() + body)
    await writer.drain()
    await asyncio.sleep(0.5)
    writer.close()
    # 5,000 of them take half a minute; whoever comes now would wait for his turn among them.
    before = time.monotonic()
    async with asyncio.timeout(20):
        answers = await own_gateway.sign([ITEM] * 50)
    assert {answer["status"] for answer in answers} == {200}
    assert time.monotonic() - before < 15


async def test_a_call_that_finds_the_queue_full_says_when_to_come_again(demo: Demo, tmp_path: Path) -> None:
    async with with_words(demo, tmp_path, "max_waiting = 10") as gateway:
        headers = {"Authorization": f"Basic {gateway.api_key}"}
        url = f"{gateway.url}/crypto/v1/keys/batch/sign"
        async with gateway.client.post(url, json=[ITEM] * 40, headers=headers) as response:
            statuses = [answer["status"] for answer in await response.json()]
            assert (response.status, response.headers["Retry-After"]) == (200, "1")
        assert (statuses.count(200), statuses.count(503)) == (10, 30)
        async with gateway.client.post(url, json=[ITEM] * 5, headers=headers) as response:
            assert "Retry-After" not in response.headers


async def test_sigterm_answers_what_is_in_flight(demo: Demo, tmp_path: Path) -> None:
    async with with_words(demo, tmp_path, "drain_timeout = 30") as gateway:
        in_flight = asyncio.create_task(gateway.sign([ITEM] * 300))
        await asyncio.sleep(0.4)
        gateway.process.terminate()
        await asyncio.sleep(0.2)
        with pytest.raises(ConnectionError):
            await connect(gateway)
        assert {answer["status"] for answer in await in_flight} == {200}
        assert await asyncio.wait_for(gateway.process.wait(), 30) == 0


async def test_when_the_time_to_drain_is_up_what_is_open_gets_its_error(demo: Demo, tmp_path: Path) -> None:
    async with with_words(demo, tmp_path, "drain_timeout = 0.5") as gateway:
        in_flight = asyncio.create_task(gateway.sign([ITEM] * 3000))
        await asyncio.sleep(0.5)
        gateway.process.terminate()
        answers = await in_flight
        errors = {answer["error"] for answer in answers if answer["status"] == 503}
        assert errors == {"the gateway was stopped before it was signed; try again"}
        assert any(answer["status"] == 200 for answer in answers)
        assert await asyncio.wait_for(gateway.process.wait(), 30) == 0
