"""X-Request-Id: the caller's own where it is fit for a log, else one of ours, on every answer."""

import asyncio
import re

import pytest
from yarl import URL

from tests.gateway_process import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def answered(gateway: Gateway, path: str, sent: str | None, status: int) -> str:
    headers = {} if sent is None else {"X-Request-Id": sent}
    async with gateway.client.get(gateway.url + path, headers=headers) as response:
        assert response.status == status
        assert response.headers["Server"] == "hsmgate"  # without versions
        return response.headers["X-Request-Id"]


@pytest.mark.parametrize("sent", ["a", "0af7651916cd43dd:8448-eb211c80319c_1.2", "x" * 128])
async def test_it_is_the_callers_own(gateway: Gateway, sent: str) -> None:
    assert await answered(gateway, "/sys/v1/version", sent, 200) == sent


@pytest.mark.parametrize("sent", [None, "", "x" * 129, "two words", 'quo"te', "ü", "{}"])
async def test_what_is_not_fit_is_replaced(gateway: Gateway, sent: str | None) -> None:
    first, second = [await answered(gateway, "/sys/v1/version", sent, 200) for _ in range(2)]
    assert first != second
    assert re.fullmatch(r"[0-9a-f]{16}", first)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/crypto/v1/keys", 401), ("/", 404), ("/nowhere", 404), ("/a%0Ab", 404), ("/crypto/v1/sign", 405)],
)
async def test_errors_have_one_too(gateway: Gateway, path: str, status: int) -> None:
    assert await answered(gateway, path, "mine", status) == "mine"


@pytest.mark.parametrize(
    ("head", "status", "is_http"),
    [
        (b"NONSENSE", b"400", False),
        (b"OPTIONS * HTTP/1.1\r\nHost: x", b"404", True),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x", b"404", True),
        (b"POST /crypto/v1/sign HTTP/1.1\r\nHost: x\r\nExpect: nonsense\r\nContent-Length: 0", b"417", True),
    ],
)
async def test_no_answer_names_the_versions_of_what_is_inside(
    gateway: Gateway, head: bytes, status: bytes, is_http: bool
) -> None:
    url = URL(gateway.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(head + b"\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    assert answer.split()[1] == status
    assert b"\r\nServer: hsmgate\r\n" in answer
    assert b"aiohttp" not in answer
    assert (b"\r\nX-Request-Id: " in answer) is is_http
