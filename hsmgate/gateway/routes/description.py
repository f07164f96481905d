"""GET /openapi.json: the description of all of this, without credentials."""

import json

from aiohttp import web

from hsmgate.gateway.openapi import openapi
from hsmgate.gateway.requests import Request
from hsmgate.gateway.routing import get

_DOCUMENT = json.dumps(openapi()).encode()


async def describe(request: Request) -> web.Response:
    """The OpenAPI document."""
    return web.Response(body=_DOCUMENT, content_type="application/json")


ROUTES = (get("/openapi.json", describe),)
