"""Clients that behave badly, beside others that go on as before."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import psutil

from tests.faults.fault import During, Fault
from tests.faults.load import write
from tests.faults.scene import Scene
from tests.gateway_process import BATCH_SIGN

CLIENTS = 30
CUT_OFF_WITHIN = 4.0
"""A client that is too slow is to be rid of so many seconds after request_timeout."""

PIPELINED = 150
"""So many answers of 50 KB, one after the other, are more than the kernel holds (3 MB) for one who does not read."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def request(there: Scene, body: bytes, length: int | None = None) -> bytes:
    """A batch as it goes over the wire; `length` is what it claims to be long."""
    head = (
        f"POST {BATCH_SIGN} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Basic {there.gateway.api_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n"
    )
    return head.encode() + body


async def connect(there: Scene, receive_buffer: int | None = None) -> Connection:
    """A connection to the gateway; with a small buffer, what is not read soon stops the gateway's writing."""
    address = urlsplit(there.gateway.url)
    sock = socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (address.hostname, address.port))
    return await asyncio.open_connection(sock=sock, limit=2**12)


@contextlib.asynccontextmanager
async def clients_vanish(there: Scene) -> AsyncIterator[None]:
    """Batches are sent by clients that do not wait for the answer: as many items as the token could sign."""
    start = time.monotonic()

    async def vanish() -> None:
        while True:
            _, writer = await connect(there)
            writer.write(request(there, write(there.load.mixer.batch_of("rsa2048", 50))))
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.transport.abort()

    vanishing = [asyncio.create_task(vanish()) for _ in range(2)]
    yield
    end = time.monotonic()
    for task in vanishing:
        task.cancel()
    await asyncio.wait(vanishing)
    there.problems += [f"a client failed: {task.exception()!r}" for task in vanishing if not task.cancelled()]
    share = there.load.tally.rate(start + 0.5, end - 0.3) / there.rate
    there.figures["rate of the others"] = f"{share:.0%}"


Act = Callable[[Scene, Connection], Coroutine[Any, Any, None]]


def cut_off(act: Act, receive_buffer: int | None = None) -> During:
    """Many clients do the same for as long as they can; the gateway has to close all their connections in time."""

    @contextlib.asynccontextmanager
    async def during(there: Scene) -> AsyncIterator[None]:
        limit = there.request_timeout + CUT_OFF_WITHIN
        connections = [await connect(there, receive_buffer) for _ in range(CLIENTS)]
        acting = [asyncio.create_task(act(there, connection)) for connection in connections]
        ports = {writer.get_extra_info("sockname")[1] for _, writer in connections}
        start = time.monotonic()
        while (left := ports & connected_ports(there)) and time.monotonic() < start + limit:
            await asyncio.sleep(0.2)
        if left:
            there.problems.append(f"{len(left)} of {CLIENTS} clients were not cut off within {limit:g} s")
        there.figures["cut off after"] = f"{time.monotonic() - start:.1f} s"
        for task in acting:
            task.cancel()
        await asyncio.wait(acting)
        for _, writer in connections:
            writer.transport.abort()
        yield

    return during


def connected_ports(there: Scene) -> set[int]:
    """The clients' ports of the connections that the gateway has."""
    connections = psutil.Process(there.gateway.process.pid).net_connections("tcp")
    return {connection.raddr[1] for connection in connections if connection.status == psutil.CONN_ESTABLISHED}


async def write_slowly(there: Scene, connection: Connection) -> None:
    """Send a byte every 0.2 s of a body that would take hours."""
    _, writer = connection
    writer.write(request(there, b"[", 100_000))
    while True:
        await asyncio.sleep(0.2)
        writer.write(b" ")


async def read_slowly(there: Scene, connection: Connection) -> None:
    """Ask for more than the sockets' buffers hold, and take a few bytes of it every 0.2 s."""
    reader, writer = connection
    writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: gateway\r\n\r\n" * PIPELINED)
    with contextlib.suppress(ConnectionError):
        while await reader.read(64):
            await asyncio.sleep(0.2)


SHORT = {"request_timeout": 4.0}

FAULTS = (
    Fault(
        "clients vanish",
        "Two clients send batches of 50 and hang up 50 ms later, again and again.",
        clients_vanish,
        seconds=4,
        errors_at_most=0,
    ),
    Fault(
        "slow writers",
        f"{CLIENTS} clients send a byte of their batch every 0.2 s; `request_timeout` is 4 s.",
        cut_off(write_slowly),
        seconds=0,
        server=SHORT,
        errors_at_most=0,
    ),
    Fault(
        "slow readers",
        f"{CLIENTS} clients take 64 bytes of their answers every 0.2 s; `request_timeout` is 4 s.",
        cut_off(read_slowly, receive_buffer=2**12),
        seconds=0,
        server=SHORT,
        errors_at_most=0,
    ),
)
