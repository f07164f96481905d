"""What is recorded of a call that is about keys or sessions."""

import asyncio
import functools
from collections.abc import Callable

from aiohttp import web

from hsmgate.errors import NoSigner
from hsmgate.gateway.audit.entries import Caller, call_record
from hsmgate.gateway.audit.log import AuditLog
from hsmgate.gateway.auth import App
from hsmgate.gateway.batch import GONE
from hsmgate.gateway.keyring import is_kid
from hsmgate.gateway.requests import Request, address_of
from hsmgate.gateway.routes.errors import failed
from hsmgate.gateway.routing import Handler

INTERNAL_ERROR = 500


def caller_of(request: Request, app: App) -> Caller:
    """Who calls, for the record."""
    return Caller(app, request.call.id, address_of(request))


def recorded(action: str) -> Callable[[Handler], Handler]:
    """A handler whose calls go on record, once it is known who calls."""

    def wrap(handler: Handler) -> Handler:
        @functools.wraps(handler)
        async def call(request: Request) -> web.StreamResponse:
            audit = request.services.audit
            return await (handler(request) if audit is None else _record(request, handler, action, audit))

        return call

    return wrap


async def _record(request: Request, handler: Handler, action: str, audit: AuditLog) -> web.StreamResponse:
    refusal = audit.refusal()
    if refusal is not None:
        return failed(refusal.status, str(refusal))
    status = INTERNAL_ERROR
    try:
        response = await handler(request)
        status = response.status
    except web.HTTPException as error:
        status = error.status
        raise
    except asyncio.CancelledError:
        status = GONE
        raise
    finally:
        app = request.call.app
        kid = request.call.kid or _asked(request)
        good = app is None or await audit.record(call_record(caller_of(request, app), action, kid, status))
    return (
        response if good else failed(NoSigner.status, "done, but the audit log could not be written; see what is there")
    )


def _asked(request: Request) -> str | None:
    """The kid in the path, if it is one: no text of a caller's own goes on record."""
    kid = request.params.get("kid")
    return kid.lower() if kid is not None and is_kid(kid) else None
