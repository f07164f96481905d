"""Signing: a batch, or one item (contract: seed page; dsm-wire, sections 1 and 3)."""

from aiohttp import web

from hsmgate.errors import BadItem
from hsmgate.gateway.routes.credentials import caller
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.wire import BadBody, Descriptor, read_item, read_items, write_answer, write_body
from hsmgate.ipc.messages import Failure

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


async def sign(request: web.Request) -> web.Response:
    """Sign one item, its key in the item or in the path. The item's status is the call's."""
    app = caller(request)
    try:
        item = read_item(await request.read())
    except BadBody as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    kid = request.match_info.get("kid")
    if kid is not None and not isinstance(item, BadItem):
        if item.key is not None:
            raise web.HTTPBadRequest(text="key: it is in the path already")
        item.key = Descriptor(kid=kid)
    kids, results = await request.app[SIGNER].sign([item], app)
    if isinstance(results[0], Failure):
        return web.Response(status=results[0].status, text=results[0].text)
    return web.Response(body=write_body(kids[0], results[0]), content_type="application/json")


ROUTES = (
    web.post("/crypto/v1/keys/batch/sign", batch_sign),
    web.post("/crypto/v1/sign", sign),
    web.post("/crypto/v1/keys/{kid}/sign", sign),
)
