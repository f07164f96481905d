"""GET /docs, GET /status and what they are made of, without credentials."""

from aiohttp import ETag, hdrs, web

from hsmgate.gateway.pages import FILES, HEADERS, PARTS, WebFile
from hsmgate.gateway.requests import Request
from hsmgate.gateway.routing import get


async def docs(request: Request) -> web.Response:
    """The API for people: /openapi.json drawn, with a form for each call."""
    return _answer(request, FILES["docs.html"])


async def status(request: Request) -> web.Response:
    """How the gateway is, for people: /status.json drawn, again and again."""
    return _answer(request, FILES["status.html"])


async def part(request: Request) -> web.Response:
    """A script or a style sheet of the pages, or 404."""
    name = request.params["file"]
    if name not in PARTS:
        raise web.HTTPNotFound(text="no such file")
    return _answer(request, FILES[name])


def _answer(request: Request, file: WebFile) -> web.Response:
    """The file, or 304 where the browser has it. It asks each time, so that a new release is seen at once."""
    tag = ETag(file.tag)
    if any(known.value in (file.tag, "*") for known in request.if_none_match or ()):
        response = web.Response(status=304)
    else:
        response = web.Response(body=file.body, content_type=file.content_type, charset="utf-8")
    response.etag = tag
    response.headers[hdrs.CACHE_CONTROL] = "no-cache"
    response.headers.update(HEADERS)
    return response


ROUTES = (get("/docs", docs), get("/status", status), get("/web/{file}", part))
