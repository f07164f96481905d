"""GET /status.json: what /status shows, without credentials."""

from aiohttp import hdrs, web

from hsmgate.gateway.status import Status

STATUS = web.AppKey("status", Status)

_DIGITS = 9


async def status(request: web.Request) -> web.Response:
    """How the gateway is. `since` leaves the seconds out that the asker has already."""
    since = request.query.get("since") or "0"
    if not (since.isascii() and since.isdigit() and len(since) <= _DIGITS):
        raise web.HTTPBadRequest(text="since: not a number of seconds")
    headers = {hdrs.CACHE_CONTROL: "no-store", "X-Content-Type-Options": "nosniff"}
    answer = request.app[STATUS].answer(int(since))
    return web.Response(body=answer, content_type="application/json", headers=headers)


ROUTES = (web.get("/status.json", status),)
