"""The id of a request: the caller's own where it is fit for a log, else one of ours."""

import re
import secrets

from aiohttp import web

HEADER = "X-Request-Id"

REQUEST_ID = web.RequestKey("request_id", str)
"""Where a request keeps its id."""

_FIT = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def note_id(request: web.Request) -> str:
    """Give the request its id."""
    sent = request.headers.get(HEADER)
    chosen = (
        sent if sent is not None and _FIT.fullmatch(sent) else secrets.token_hex(8)
    )  # a number would tell how many calls others make
    request[REQUEST_ID] = chosen
    return chosen


def address_of(request: web.Request) -> str:
    """The other end's IP address, "unix" on a Unix socket; what proxies say of others counts for nothing."""
    return request.remote or "unix"
