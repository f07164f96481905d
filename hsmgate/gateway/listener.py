"""The HTTP side of `hsmgate serve`: it listens, and it stops in good order."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Sequence

from aiohttp import web

from hsmgate.config import Config
from hsmgate.gateway.app import Application
from hsmgate.gateway.audit.log import AuditLog
from hsmgate.gateway.door import Door
from hsmgate.gateway.loads import Loads
from hsmgate.gateway.logs import fields
from hsmgate.gateway.reload import Party
from hsmgate.gateway.services import Services
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.tls import Tls
from hsmgate.gateway.vital import Vital
from hsmgate.gateway.workers.counts import Counts
from hsmgate.gateway.workers.door import SharedDoor

log = logging.getLogger(__name__)

LINGER_SECONDS = 2.0
"""For who is still sending when it has its answer, to see it before the connection ends."""

IDLE_SECONDS = 3.0
"""That a connection without a request is kept when the door is closed: its client may just be sending one."""

LAST_SECONDS = 1.0
"""For what is still in flight when the time to drain is up: its errors are sent, the rest is cut off."""


class Listener:
    """The application on its address."""

    def __init__(
        self, config: Config, signer: BatchSigner, audit: AuditLog | None, loads: Loads, tls: Tls | None
    ) -> None:
        self._signer = signer
        self._tls = tls
        self._services = Services.of(config, signer, audit, loads, tls)
        self._app = Application(self._services)
        self._connections = self._services.connections
        self._server: web.Server | None = None
        self._running = contextlib.AsyncExitStack()
        self._watches: list[asyncio.Task[None]] = []
        self._door: Door | SharedDoor | None = None

    @property
    def parties(self) -> list[Party]:
        """Who takes a new config while serving."""
        parties = [self._services.callers.party, self._signer.party]
        return [*parties, self._tls.party] if self._tls is not None else parties

    async def open(
        self, listen: str, inherited: Sequence[socket.socket], vital: Vital, counts: Counts | None = None
    ) -> str:
        """Listen, on inherited sockets if there are any. Returns URLs and sockets' paths. Raises ConfigError.

        vital: for what goes on while it does.
        counts: what is counted with other workers, who listen on the same sockets.
        """
        logging.getLogger("aiohttp.server").addFilter(_without_traceback)
        await self._running.enter_async_context(self._app.running())
        server = self._server = self._app.server(LINGER_SECONDS)
        context = self._tls.context if self._tls is not None else None
        if counts is not None:
            self._door = SharedDoor(server, inherited, context, counts)
        elif inherited:
            self._door = await Door.inherit(server, inherited, context)
        else:
            self._door = await Door.open(server, listen, context)
        watching = self._connections.watch(server)
        self._watches.append(vital.start(watching, "looking after connections"))
        if self._tls is not None:
            self._watches.append(vital.start(self._tls.watch(), "looking after the TLS files"))
        return " ".join(self._door.addresses)

    async def drain(self) -> None:
        """Let nobody in any more, and answer who is in.

        Every connection ends with its next answer, which says so. One that has nothing to answer gets the chance to
        send another request before it is hung up on: a client cannot know that the one it sends then is too late.
        """
        if self._door is None or self._server is None:
            return
        calls, drain_seconds = self._connections.active, self._signer.current.server.drain_timeout
        text = "drains: %d calls in hand have %g s; no more are let in"
        log.info(text, calls, drain_seconds, extra=fields(calls=calls))
        self._door.close()
        self._connections.end_with_answers()
        idle_seconds = min(IDLE_SECONDS, drain_seconds)
        if not await self._door.emptied(idle_seconds):
            self._server.pre_shutdown()
            await self._connections.answered(drain_seconds - idle_seconds)
        self._signer.stop()
        await self._connections.answered(LAST_SECONDS)
        calls = self._connections.active
        if calls:
            log.warning("drained, but for %d calls that are cut off", calls, extra=fields(calls=calls))
        else:
            log.info("drained: every call is answered")

    async def close(self) -> None:
        """Hang up."""
        for watch in self._watches:
            watch.cancel()
        if self._door is not None:
            self._door.close()
            self._door.forget()
        if self._server is not None:
            await asyncio.sleep(0)  # for what has come to begin
            self._server.pre_shutdown()
            await self._server.shutdown(LAST_SECONDS)
        await self._running.aclose()


def _without_traceback(record: logging.LogRecord) -> bool:
    """What a caller sent stays out of the log: aiohttp's traceback of a malformed request quotes its headers."""
    record.exc_info = None
    return True
