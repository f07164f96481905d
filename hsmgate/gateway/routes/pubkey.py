"""GET /crypto/v1/pubkey/{acct_id}/{name}: public keys for everyone, of the keys that the config publishes."""

import msgspec
from aiohttp import web

from hsmgate.errors import ItemError
from hsmgate.gateway.requests import Request
from hsmgate.gateway.routing import get
from hsmgate.gateway.sobjects import ACCOUNT_ID


async def pubkey(request: Request) -> web.Response:
    """The key's DER SubjectPublicKeyInfo by its kid. 404 for whatever is not published, there or not."""
    try:
        sobject = request.services.keyring.by_name(request.params["name"], request.services.published.everyone())
    except ItemError:
        raise _no_such_key() from None
    info = sobject.info
    if request.params["acct_id"].lower() != ACCOUNT_ID or info.public_key is None:
        raise _no_such_key()
    return web.Response(body=msgspec.json.encode({info.kid: info.public_key}), content_type="application/json")


def _no_such_key() -> web.HTTPNotFound:
    return web.HTTPNotFound(text="no such key")


ROUTES = (get("/crypto/v1/pubkey/{acct_id}/{name}", pubkey),)
