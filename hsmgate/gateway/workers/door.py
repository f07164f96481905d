"""A door that other workers open too. Who comes in goes to one of those with the fewest connections.

Left to itself the event loop takes in whoever waits, and of clients that come together one worker would have all.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Sequence

from aiohttp import web

from hsmgate.gateway.door import address
from hsmgate.gateway.workers.counts import Counts

log = logging.getLogger(__name__)

YIELD_SECONDS = 0.005
"""For a worker with fewer connections to take in who waits; after that whoever comes to it does."""

COUNT_SECONDS = 0.5
"""How old the number of connections may be that other workers see."""

PAUSE_SECONDS = 1.0
"""After nobody could be let in: there are no more descriptors."""

LOOK_SECONDS = 0.02


class SharedDoor:
    """Sockets that all workers listen on. Closing it leaves those in who came in."""

    def __init__(
        self, server: web.Server, sockets: Sequence[socket.socket], context: ssl.SSLContext | None, counts: Counts
    ) -> None:
        self.addresses = [address(one, context is not None) for one in sockets]
        self._server = server
        self._sockets = sockets
        self._context = context
        self._counts = counts
        self._loop = asyncio.get_running_loop()
        self._coming: set[asyncio.Task[None]] = set()
        self._has_yielded = False
        self._open = True
        for one in sockets:
            one.setblocking(False)
            self._listen(one)
        self._counting = asyncio.create_task(self._count())

    def close(self) -> None:
        """Let nobody in any more."""
        if not self._open:
            return
        self._open = False
        self._counting.cancel()
        self._counts.note_connections(None)
        for one in self._sockets:
            self._loop.remove_reader(one)
            one.close()

    async def emptied(self, timeout_seconds: float) -> bool:
        """Wait until all who came in have gone, those too whose TLS handshake lasts; whether it came to that."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while self._connections():  # noqa: ASYNC110 - aiohttp tells nobody
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            return False
        return True

    def forget(self) -> None:
        """Nobody waits for it any more."""
        for task in self._coming:
            task.cancel()

    def _connections(self) -> int:
        return len(self._server.connections) + len(self._coming)

    async def _count(self) -> None:
        while True:
            self._counts.note_connections(self._connections())
            await asyncio.sleep(COUNT_SECONDS)

    def _listen(self, one: socket.socket) -> None:
        if self._open:
            self._loop.add_reader(one, self._accept, one)

    def _pause(self, one: socket.socket, seconds: float) -> None:
        self._loop.remove_reader(one)
        self._loop.call_later(seconds, self._listen, one)

    def _accept(self, one: socket.socket) -> None:
        """Somebody waits, or waited until another worker took him in."""
        self._counts.note_connections(self._connections())
        if self._counts.crowded() and not self._has_yielded:
            self._has_yielded = True
            self._pause(one, YIELD_SECONDS)
            return
        self._has_yielded = False
        try:
            accepted, _ = one.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            log.error("nobody can be let in: %s", error.strerror)
            self._pause(one, PAUSE_SECONDS)
            return
        accepted.setblocking(False)
        coming = asyncio.create_task(self._let_in(accepted))
        self._coming.add(coming)
        coming.add_done_callback(self._coming.discard)

    async def _let_in(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._server, accepted, ssl=self._context)
        except (OSError, ssl.SSLError):
            accepted.close()  # he left, or is none for TLS
