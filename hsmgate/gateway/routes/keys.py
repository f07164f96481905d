"""POST /crypto/v1/keys: transient keys (contract: dsm-wire, sections 3.3 and 4)."""

import msgspec
from aiohttp import web

from hsmgate.errors import ItemError
from hsmgate.gateway.routes.credentials import caller
from hsmgate.gateway.routes.sign import SIGNER
from hsmgate.gateway.sobjects import describe, order, read_request
from hsmgate.gateway.wire import BadBody


async def generate(request: web.Request) -> web.Response:
    """Make a transient key. 201 with its sobject, `transient_key` in it."""
    app = caller(request)
    try:
        wanted = read_request(await request.read())
    except BadBody as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    if not wanted.transient:
        raise web.HTTPNotImplemented(text="transient: only transient keys are made by this version")
    try:
        blob = await request.app[SIGNER].generate(order(wanted, app.id), app)
    except ItemError as error:
        return web.Response(status=error.status, text=str(error))
    body = msgspec.json.encode(describe(blob, wanted))
    return web.Response(status=201, body=body, content_type="application/json")


ROUTES = (web.post("/crypto/v1/keys", generate),)
