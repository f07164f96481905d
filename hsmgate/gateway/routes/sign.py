"""POST /crypto/v1/keys/batch/sign (contract: seed page)."""

from aiohttp import web

from hsmgate.gateway.routes.credentials import caller
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.wire import BadBody, read_items, write_answer

SIGNER = web.AppKey("signer", BatchSigner)
MAX_ITEMS = web.AppKey("max_items", int)


async def batch_sign(request: web.Request) -> web.Response:
    """Sign the items of a batch. 200 with an answer for each, in order, whatever became of them."""
    app = caller(request)
    body = await request.read()
    try:
        items = read_items(body)
    except BadBody as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    if len(items) > request.app[MAX_ITEMS]:
        text = f"{len(items)} items, but a batch has at most {request.app[MAX_ITEMS]} (max_items)"
        raise web.HTTPRequestEntityTooLarge(request.app[MAX_ITEMS], len(items), text=text)
    kids, results = await request.app[SIGNER].sign(items, app)
    return web.Response(body=write_answer(kids, results), content_type="application/json")


ROUTES = (web.post("/crypto/v1/keys/batch/sign", batch_sign),)
