"""The HTTP application: its routes, and what every call has in common.

It stands on aiohttp's server alone: an `aiohttp.web.Application` would cost each call 5 of some 45 µs.
"""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import AsyncIterator

from aiohttp import HttpVersion11, StreamReader, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage

from hsmgate.gateway.aiohttp_answers import tell_less
from hsmgate.gateway.logs import fields
from hsmgate.gateway.requests import HEADER, Request
from hsmgate.gateway.routes import description, digest, keys, monitoring, pages, pubkey, session, sign, status, system
from hsmgate.gateway.routing import Routing
from hsmgate.gateway.services import Services

log = logging.getLogger(__name__)

_PARTS = (sign, keys, pubkey, digest, session, system, monitoring, description, pages, status)

KEEPALIVE_SECONDS = 120.0
"""Clients that do not retry a POST want the server to be the last to hang up."""


class Application:
    """Answers calls with these services."""

    def __init__(self, services: Services) -> None:
        tell_less()
        self._services = services
        self._connections = services.connections
        self._calls = services.calls
        self.routing = Routing(itertools.chain.from_iterable(part.ROUTES for part in _PARTS))

    def server(self, lingering_seconds: float) -> web.Server:
        """What makes a protocol for each connection.

        lingering_seconds: for who is still sending when it has its answer, to see it before the connection ends.
        """
        loop, services, plain = asyncio.get_running_loop(), self._services, self.routing.plain

        def request(
            message: RawRequestMessage,
            payload: StreamReader,
            protocol: web.RequestHandler,
            writer: AbstractStreamWriter,
            task: "asyncio.Task[None]",
        ) -> Request:
            made = Request(message, payload, protocol, writer, task, loop)
            made.services = services
            made.route = plain.get((message.method, message.path))
            return made

        return web.Server(
            self._handle,  # type: ignore[arg-type] # which is only given what is made here
            request_factory=request,
            access_log=None,
            keepalive_timeout=KEEPALIVE_SECONDS,
            lingering_time=lingering_seconds,
            handler_cancellation=True,  # nobody waits for what a caller asked who has gone
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep meanwhile what calls do not wait for: figures, history, the key sets of identity providers."""
        services = self._services
        keeping = [asyncio.create_task(keeper.keep()) for keeper in (services.metrics, services.status.history)]
        services.callers.start()
        try:
            yield
        finally:
            services.callers.stop()
            for task in keeping:
                task.cancel()
            services.metrics.close()
            services.calls.log.flush()

    async def _handle(self, request: Request) -> web.StreamResponse:
        """Answer a call.

        It gets its id, is counted while it lasts and when it is done, and what goes wrong is told in plain text.
        """
        begun = time.monotonic()
        self._connections.begin(request.protocol)
        call = request.begin()
        response: web.StreamResponse | None = None
        try:
            route = request.route
            if route is None:
                route = request.route = await self.routing.find(request)
            if request.headers.get(hdrs.EXPECT):
                await _expect(request)
            response = await route.handler(request)
        except web.HTTPException as error:
            response = error
            raise
        except Exception as error:  # noqa: BLE001 - the last line of defence
            response = self._unexpected(request, error)
        finally:
            if response is not None:
                response.headers[HEADER] = call.id
            self._connections.end(response)
            self._calls.note(request, response, begun)
        return response

    def _unexpected(self, request: Request, error: Exception) -> web.Response:
        """The answer to a call that failed as we did not expect, which says nothing of that to the caller."""
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else "?"
        # Where, but not what: an error's own text may quote the request.
        call = request.call.id
        self._calls.bugs += 1
        log.error("request %s failed: %s at %s", call, type(error).__name__, place, extra=fields(request=call))
        return web.Response(status=500, text="internal error")


async def _expect(request: Request) -> None:
    """The Expect header (RFC 9110, section 10.1.1). Raises HTTPExpectationFailed."""
    if request.version < HttpVersion11:
        return
    if request.headers.get(hdrs.EXPECT, "").lower() != "100-continue":
        raise web.HTTPExpectationFailed(text="Expect: only 100-continue is known")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the answer itself has not begun
    await request.writer.drain()
