"""The aiohttp application: routes, and what every call has in common."""

import asyncio
import functools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import HttpVersion11, web

from hsmgate.config import Config
from hsmgate.config.server import LARGEST_BODY
from hsmgate.gateway.aiohttp_answers import tell_less
from hsmgate.gateway.audit.log import AuditLog
from hsmgate.gateway.callers import Callers
from hsmgate.gateway.calls import CALLS, Calls
from hsmgate.gateway.connections import CONNECTIONS, Connections
from hsmgate.gateway.loads import Loads
from hsmgate.gateway.logs import fields
from hsmgate.gateway.management import KeyManager
from hsmgate.gateway.metrics import Metrics, Outside
from hsmgate.gateway.readiness import Readiness
from hsmgate.gateway.requests import CALL, HEADER, note_call
from hsmgate.gateway.routes import (
    auditing,
    credentials,
    description,
    digest,
    keys,
    monitoring,
    pages,
    pubkey,
    session,
    sign,
    status,
    system,
)
from hsmgate.gateway.sessions import Sessions
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.status import Status
from hsmgate.gateway.tls import NO_CLIENT_CA, Tls
from hsmgate.gateway.troubles import Troubles

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(
    config: Config,
    signer: BatchSigner,
    audit: AuditLog | None = None,
    loads: Loads | None = None,
    tls: Tls | None = None,
) -> web.Application:
    """The application over a signer that is ready, with an audit log if there is to be one.

    loads: what comes of new configs. tls: what it is served with.
    """
    tell_less()
    loads = loads or Loads()
    app = web.Application(client_max_size=LARGEST_BODY)
    app[session.SESSIONS] = Sessions(signer.pools)
    app[credentials.CALLERS] = Callers(config, app[session.SESSIONS], lambda: tls.client_ca if tls else NO_CLIENT_CA)
    app.cleanup_ctx.append(_callers)
    app[CONNECTIONS] = Connections(signer.current)
    app[CALLS] = Calls()
    app[sign.SIGNER] = signer
    app[keys.KEYRING] = signer.keyring
    app[pubkey.PUBLISHED] = pubkey.Published(signer.current)
    app[sign.CURRENT] = signer.current
    app[keys.MANAGER] = KeyManager(signer)
    if audit is not None:
        app[auditing.AUDIT] = audit
    app[monitoring.READINESS] = Readiness(signer, app[CONNECTIONS], audit)
    app[monitoring.METRICS] = Metrics(signer, app[CALLS], app[monitoring.READINESS], audit, Outside(loads, tls))
    app[status.STATUS] = Status(signer, app[monitoring.READINESS], Troubles(signer, app[CALLS], loads, audit), loads)
    app.cleanup_ctx.append(_monitored)
    for part in (sign, keys, pubkey, digest, session, system, monitoring, description, pages, status):
        routes = (
            web.RouteDef(r.method, r.path, _noted(app, r.handler), {**r.kwargs, "expect_handler": _expect})
            for r in part.ROUTES
        )
        app.add_routes([*routes])
    app[CALLS].know(app.router.routes())
    app.router.add_route("*", "/{path:(?s:.*)}", _noted(app, _nowhere), expect_handler=_expect)
    return app


async def _expect(request: web.Request) -> None:
    """The Expect header (RFC 9110, section 10.1.1). aiohttp's own handler fails on a value that is not UTF-8."""
    if request.version < HttpVersion11:
        return
    if request.headers.get("Expect", "").lower() != "100-continue":
        raise web.HTTPExpectationFailed(text="Expect: only 100-continue is known")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the answer itself has not begun


async def _callers(app: web.Application) -> AsyncIterator[None]:
    app[credentials.CALLERS].start()
    yield
    app[credentials.CALLERS].stop()


async def _monitored(app: web.Application) -> AsyncIterator[None]:
    keeping = [asyncio.create_task(keeper.keep()) for keeper in (app[monitoring.METRICS], app[status.STATUS].history)]
    yield
    for task in keeping:
        task.cancel()
    app[monitoring.METRICS].close()
    app[CALLS].log.flush()


def _noted(app: web.Application, handler: Handler) -> Handler:
    """The handler with what every call has in common.

    It gives the call its id, counts it while it lasts and when it is done, and answers what goes wrong in plain text.
    As aiohttp's middleware this would cost each call 7 µs more.
    """
    connections, calls = app[CONNECTIONS], app[CALLS]

    @functools.wraps(handler)
    async def handle(request: web.Request) -> web.StreamResponse:
        begun = time.monotonic()
        connections.begin(request)
        call = note_call(request)
        response: web.StreamResponse | None = None
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = error
            raise
        except Exception as error:  # noqa: BLE001 - the last line of defence
            response = _unexpected(request, error)
        finally:
            if response is not None:
                response.headers[HEADER] = call.id
            connections.end(response)
            calls.note(request, response, begun)
        return response

    return handle


async def _nowhere(request: web.Request) -> web.StreamResponse:
    """405 where other methods have the path, else 404."""
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        match, methods = await resource.resolve(request)
        if match is None:
            allowed |= methods
    if allowed:
        raise web.HTTPMethodNotAllowed(request.method, allowed)
    raise web.HTTPNotFound


def _unexpected(request: web.Request, error: Exception) -> web.Response:
    """The answer to a call that failed as we did not expect, which says nothing of that to the caller."""
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else "?"
    # Where, but not what: an error's own text may quote the request.
    call = request[CALL].id
    request.app[CALLS].bugs += 1
    log.error("request %s failed: %s at %s", call, type(error).__name__, place, extra=fields(request=call))
    return web.Response(status=500, text="internal error")
