"""What is known of a request: its id (the caller's own where it is fit for a log), who calls, how many items."""

import os
import re
from collections.abc import Iterator

from aiohttp import web

from hsmgate.gateway.auth import App

HEADER = "X-Request-Id"

REQUEST_ID = web.RequestKey("request_id", str)
"""Where a request keeps its id."""

CALLER = web.RequestKey("caller", App)
"""The app that calls, once that is known."""

ITEMS = web.RequestKey("items", int)
"""How many items the call has, where it has any."""

_FIT = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def _made_up() -> Iterator[str]:
    """Ids of 8 random bytes in hex, for ever: a number would tell how many calls others make."""
    while True:
        block = os.urandom(4096).hex()  # a system call for each id would cost more than all else of it
        yield from (block[start : start + 16] for start in range(0, len(block), 16))


_ids = _made_up()


def note_id(request: web.Request) -> str:
    """Give the request its id."""
    sent = request.headers.get(HEADER)
    chosen = sent if sent is not None and _FIT.fullmatch(sent) else next(_ids)
    request[REQUEST_ID] = chosen
    return chosen


def address_of(request: web.Request) -> str:
    """The other end's IP address, "unix" on a Unix socket; what proxies say of others counts for nothing."""
    return request.remote or "unix"
