"""GET /crypto/v1/pubkey/{acct_id}/{name}: public keys for everyone, of the keys that the config publishes."""

import msgspec
from aiohttp import web

from hsmgate.domain.policy import Grant
from hsmgate.errors import ItemError
from hsmgate.gateway.auth import App
from hsmgate.gateway.current import Current
from hsmgate.gateway.requests import Request
from hsmgate.gateway.routing import get
from hsmgate.gateway.sobjects import ACCOUNT_ID


class Published:
    """What is published, by the config as it is now."""

    def __init__(self, current: Current) -> None:
        self._current = current
        self._words: list[str] = []
        self._everyone = App("everyone", "everyone", Grant.of((), ()))

    def everyone(self) -> App:
        """Whoever asks, who may use the published keys and do nothing with them."""
        words = self._current.server.published_keys
        if words != self._words:
            self._words, self._everyone = words, App("everyone", "everyone", Grant.of(words, ()))
        return self._everyone


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
