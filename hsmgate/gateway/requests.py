"""What is known of a request: its id (the caller's own where it is fit for a log), who calls, how many items."""

import os
import re

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


def note_id(request: web.Request) -> str:
    """Give the request its id."""
    sent = request.headers.get(HEADER)
    # A number of ours would tell how many calls others make.
    chosen = sent if sent is not None and _FIT.fullmatch(sent) else os.urandom(8).hex()
    request[REQUEST_ID] = chosen
    return chosen


def address_of(request: web.Request) -> str:
    """The other end's IP address, "unix" on a Unix socket; what proxies say of others counts for nothing."""
    return request.remote or "unix"
