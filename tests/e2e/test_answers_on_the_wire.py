"""The heads of answers to batches, which are not all written by aiohttp, byte by byte."""

import asyncio
import json
from email.utils import parsedate_to_datetime

import pytest
from yarl import URL

from tests.gateway_process import BATCH_SIGN, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

ITEM = {"key": {"name": "nobody"}, "hash_alg": "SHA256", "data": "aGk="}
ANSWER = [{"status": 404, "error": "key: no such key"}]


async def heads(gateway: Gateway, version: str, connection: str, count: int = 1) -> list[tuple[str, dict[str, str]]]:
    """The status lines and headers of the answers to so many calls that are sent at once; their bodies are right."""
    url = URL(gateway.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    for number in range(1, count + 1):
        body = json.dumps([ITEM] * number)
        lines = (
            f"POST {BATCH_SIGN} HTTP/{version}",
            *("Host: h", f"Authorization: Basic {gateway.api_key}", f"Connection: {connection}"),
            *(f"X-Request-Id: call-{number}", f"Content-Length: {len(body)}", "", body),
        )
        writer.write("\r\n".join(lines).encode())
    try:
        async with asyncio.timeout(10):
            found = [await head(reader, number) for number in range(1, count + 1)]
            if "close" in (connection, found[-1][1].get("Connection")):
                assert await reader.read() == b""
    finally:
        writer.close()
    return found


async def head(reader: asyncio.StreamReader, number: int) -> tuple[str, dict[str, str]]:
    """That of the answer to the call of that number, without what is its own."""
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(headers) == len(lines)
    assert headers.pop("X-Request-Id") == f"call-{number}"
    parsedate_to_datetime(headers.pop("Date"))
    assert json.loads(await reader.readexactly(int(headers.pop("Content-Length")))) == ANSWER * number
    return status, headers


COMMON = {"Content-Type": "application/json", "Server": "hsmgate"}


async def test_connections_go_on(gateway: Gateway) -> None:
    assert await heads(gateway, "1.1", "keep-alive", count=3) == [("HTTP/1.1 200 OK", COMMON)] * 3


@pytest.mark.parametrize(
    ("version", "connection", "answered"),
    [
        ("1.1", "close", {"Connection": "close"}),
        ("1.0", "keep-alive", {"Connection": "keep-alive"}),
        ("1.0", "close", {}),
    ],
)
async def test_or_end_and_old_clients_are_told_what_they_know(
    gateway: Gateway, version: str, connection: str, answered: dict[str, str]
) -> None:
    assert await heads(gateway, version, connection) == [(f"HTTP/{version} 200 OK", COMMON | answered)]
