"""What is known of a call: its id (the caller's own where it is fit for a log), who calls, how many items."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from aiohttp import web
from multidict import istr

from hsmgate.gateway.auth import App

HEADER = istr("X-Request-Id")


@dataclass(slots=True)
class Call:
    """A call that is in hand.

    app: who calls, once that is known. items: how many it has, where it has any.
    """

    id: str
    app: App | None = None
    items: int | None = None


CALL = web.RequestKey("call", Call)
"""Where a request keeps it."""

_FIT = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def _made_up() -> Iterator[str]:
    """Ids of 8 random bytes in hex, for ever: a number would tell how many calls others make."""
    while True:
        block = os.urandom(4096).hex()  # a system call for each id would cost more than all else of it
        yield from (block[start : start + 16] for start in range(0, len(block), 16))


_ids = _made_up()


def note_call(request: web.Request) -> Call:
    """Give the request its id, and a place for what else will be known of it."""
    sent = request.headers.get(HEADER)
    call = request[CALL] = Call(sent if sent is not None and _FIT.fullmatch(sent) else next(_ids))
    return call


def address_of(request: web.Request) -> str:
    """The other end's IP address, "unix" on a Unix socket; what proxies say of others counts for nothing."""
    return request.remote or "unix"
