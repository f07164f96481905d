"""Connections: who is slow is cut off, and at the end everyone is answered before the door closes."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web

from hsmgate.gateway.current import Current

WATCH_SECONDS = 1.0


class Connections:
    """What the gateway's connections are doing.

    current: has the limits. `request_timeout` is also for sending a first request's head, for a body, and for taking an
    answer.
    """

    def __init__(self, current: Current) -> None:
        self.current = current
        self._seen: dict[web.RequestHandler, _Seen] = {}
        self._spoke: set[object] = set()
        self._active = 0
        self._answered = asyncio.Event()
        self._ending = False

    def begin(self, protocol: web.RequestHandler) -> None:
        """A request's head has come on that connection."""
        self._active += 1
        self._spoke.add(protocol)

    def end(self, response: web.StreamResponse | None) -> None:
        """Its answer is ready, or there is none."""
        self._active -= 1
        if self._ending:
            if response is not None:
                response.force_close()
            if not self._active:
                self._answered.set()

    @property
    def active(self) -> int:
        """How many requests are in hand."""
        return self._active

    @property
    def draining(self) -> bool:
        """Whether nobody is let in any more."""
        return self._ending

    def end_with_answers(self) -> None:
        """From now on each connection ends with its next answer."""
        self._ending = True

    async def answered(self, timeout_seconds: float) -> None:
        """Wait until all requests that have come are answered."""
        self._answered.clear()
        if self._active:
            await asyncio.wait((asyncio.ensure_future(self._answered.wait()),), timeout=timeout_seconds)

    async def watch(self, server: web.Server) -> None:
        """Cut off the slow, for ever."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for protocol in self._slow(server.connections):
                if protocol.transport is not None:
                    protocol.transport.abort()

    def _slow(self, protocols: Iterable[web.RequestHandler]) -> list[web.RequestHandler]:
        """Those that have not sent a first request, or not taken an answer, for too long."""
        now = time.monotonic()
        self._seen = {protocol: self._seen.get(protocol) or _Seen(now) for protocol in protocols}
        slow = []
        for protocol, seen in self._seen.items():
            if seen.waits_since is not None and protocol in self._spoke:
                seen.waits_since = None
            if protocol.transport is None or not protocol.transport.get_write_buffer_size():
                seen.unread_since = None
            elif seen.unread_since is None:
                seen.unread_since = now
            if now - min(seen.waits_since or now, seen.unread_since or now) > self.current.server.request_timeout:
                slow.append(protocol)
        self._spoke.clear()
        return slow


@dataclass(slots=True)
class _Seen:
    """Since when a connection has waited for its first request; since when there has been an answer that it must take.

    None where that is not so, or not any more.
    """

    waits_since: float | None
    unread_since: float | None = None
