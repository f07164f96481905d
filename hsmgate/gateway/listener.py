"""The HTTP side of `hsmgate serve`: it listens, and it stops in good order."""

import asyncio
import logging

from aiohttp import web

from hsmgate.config import Config
from hsmgate.errors import ConfigError
from hsmgate.gateway.app import make_app
from hsmgate.gateway.audit.log import AuditLog
from hsmgate.gateway.connections import CONNECTIONS
from hsmgate.gateway.malformed import quote_nothing
from hsmgate.gateway.preflight import check_socket
from hsmgate.gateway.reload import Party
from hsmgate.gateway.routes.credentials import CALLERS
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.tls import Tls

KEEPALIVE_SECONDS = 120.0
"""Clients that do not retry a POST want the server to be the last to hang up."""

LINGER_SECONDS = 2.0
"""For who is still sending when it has its answer, to see it before the connection ends."""

LAST_SECONDS = 1.0
"""For what is still in flight when the time to drain is up: its errors are sent, the rest is cut off."""


class Listener:
    """The application on its address."""

    def __init__(self, config: Config, signer: BatchSigner, audit: AuditLog | None) -> None:
        self._drain_timeout = config.server.drain_timeout
        self._signer = signer
        self._app = make_app(config, signer, audit)
        self._connections = self._app[CONNECTIONS]
        self._runner = web.AppRunner(
            self._app,
            access_log=None,
            keepalive_timeout=KEEPALIVE_SECONDS,
            shutdown_timeout=LAST_SECONDS,
            lingering_time=LINGER_SECONDS,
            handler_cancellation=True,  # nobody waits for what a caller asked who has gone
        )
        self._watches: list[asyncio.Task[None]] = []

    @property
    def parties(self) -> list[Party]:
        """Who takes a new config while serving."""
        return [self._app[CALLERS].party]

    async def open(self, listen: str, tls: Tls | None) -> str:
        """Listen. Returns the address as a URL, or the socket's path. Raises ConfigError."""
        logging.getLogger("aiohttp.server").addFilter(_without_traceback)
        quote_nothing()
        await self._runner.setup()
        address = await _listen(self._runner, listen, tls)
        if self._runner.server is not None:
            self._watches.append(asyncio.create_task(self._connections.watch(self._runner.server)))
        if tls is not None:
            self._watches.append(asyncio.create_task(tls.watch()))
        return address

    async def drain(self) -> None:
        """Let nobody in any more, and answer who is in."""
        await asyncio.gather(*(site.stop() for site in self._runner.sites))
        await self._connections.drain(self._drain_timeout)
        self._signer.stop()
        await self._connections.drain(LAST_SECONDS)

    async def close(self) -> None:
        """Hang up."""
        for watch in self._watches:
            watch.cancel()
        await self._runner.cleanup()


def _without_traceback(record: logging.LogRecord) -> bool:
    """What a caller sent stays out of the log: aiohttp's traceback of a malformed request quotes its headers."""
    record.exc_info = None
    return True


async def _listen(runner: web.AppRunner, listen: str, tls: Tls | None) -> str:
    """Start to listen. Returns the address as a URL, or the socket's path."""
    context = tls.context if tls else None
    site: web.BaseSite
    if listen.startswith("unix:"):
        path = listen.removeprefix("unix:")
        check_socket(path)
        site = web.UnixSite(runner, path, ssl_context=context)
    else:
        host, _, port = listen.rpartition(":")
        site = web.TCPSite(runner, host.strip("[]"), int(port), ssl_context=context)
    try:
        await site.start()
    except OSError as error:
        raise ConfigError([f"cannot listen on {listen}: {error.strerror or error}"]) from None
    if listen.startswith("unix:"):
        return listen
    host, port = runner.addresses[0][:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
