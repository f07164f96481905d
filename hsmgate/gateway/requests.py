"""A request, and what is known of its call: its id (the caller's own where it is fit for a log), and who calls."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from aiohttp import web
from multidict import istr

from hsmgate.gateway.auth import App
from hsmgate.gateway.routing import Route

if TYPE_CHECKING:
    from hsmgate.gateway.services import Services

HEADER = istr("X-Request-Id")

_FIT = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(slots=True)
class Call:
    """A call that is in hand.

    app: who calls, once that is known. items: how many it has, where it has any. kid: of the key that it made.
    """

    id: str
    app: App | None = None
    items: int | None = None
    kid: str | None = None


class Request(web.BaseRequest):
    """A request as handlers get it.

    services: what they work with. call: what is known of it, from when it has begun.
    route: None where it goes by none of ours. params: what stands in the path for the route's parameters.
    """

    services: "Services"
    call: Call
    route: Route | None = None
    params: Mapping[str, str] = MappingProxyType({})

    def begin(self) -> Call:
        """Give its call an id, and a place for what else will be known of it."""
        sent = self.headers.get(HEADER)
        call = self.call = Call(sent if sent is not None and _FIT.fullmatch(sent) else next(_ids))
        return call


def _made_up() -> Iterator[str]:
    """Ids of 8 random bytes in hex, for ever: a number would tell how many calls others make."""
    while True:
        block = os.urandom(4096).hex()  # a system call for each id would cost more than all else of it
        yield from (block[start : start + 16] for start in range(0, len(block), 16))


_ids = _made_up()


def address_of(request: web.BaseRequest) -> str:
    """The other end's IP address, "unix" on a Unix socket; what proxies say of others counts for nothing."""
    return request.remote or "unix"
