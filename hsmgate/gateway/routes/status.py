"""GET /status.json: what /status shows, without credentials."""

from aiohttp import hdrs, web

from hsmgate.gateway.requests import Request
from hsmgate.gateway.routing import QUIET, get

_DIGITS = 9


async def status(request: Request) -> web.Response:
    """How the gateway is. `since` leaves the seconds out that the asker has already."""
    since = request.query.get("since") or "0"
    if not (since.isascii() and since.isdigit() and len(since) <= _DIGITS):
        raise web.HTTPBadRequest(text="since: not a number of seconds")
    headers = {hdrs.CACHE_CONTROL: "no-store", "X-Content-Type-Options": "nosniff"}
    answer = request.services.status.answer(int(since))
    return web.Response(body=answer, content_type="application/json", headers=headers)


ROUTES = (get("/status.json", status, QUIET),)
