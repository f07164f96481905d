"""A line in the log for each HTTP call, in the log's format.

The logging library takes longer for a line than a signature of a small batch does, so these are made here.
"""

import asyncio
import logging
import os
import time

import msgspec

from hsmgate import tracebacks
from hsmgate.gateway import logs
from hsmgate.gateway.requests import Request, address_of

NAME = "hsmgate.calls"

log = logging.getLogger(NAME)
"""Its level decides; what is written goes to standard error by a shorter way."""

FLUSH_SECONDS = 0.05
"""Lines are written together: a system call for each would cost more than the line."""


class _Line(msgspec.Struct, omit_defaults=True):
    """A call in JSON. Nothing in it is a word of the caller's own but the request's id, where that is fit."""

    time: str
    level: str
    logger: str
    pid: int
    message: str
    method: str
    route: str
    status: int
    milliseconds: float
    request: str
    peer: str
    items: int | None = None
    app: str | None = None


_encode = msgspec.json.Encoder().encode


class _Call(msgspec.Struct, gc=False):
    """What is known of a call when it is answered; a line is made of it later."""

    at: float
    route: tuple[str, str, int]
    seconds: float
    level: int
    request: str
    peer: str
    items: int | None
    app: str | None


class CallLog:
    """Calls that wait to be written, for FLUSH_SECONDS at most. Lines are made of many at a time, which is quicker."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._calls: list[_Call] = []
        self._second = -1
        self._second_text = ""

    def add(self, request: Request, call: tuple[str, str, int], seconds: float, level: int) -> None:
        """Log a call: its method, route and status, and how long it took."""
        if not self._calls:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
        known = request.call
        app = known.app.id if known.app else None
        peer = address_of(request)
        self._calls.append(_Call(time.time(), call, seconds, level, known.id, peer, known.items, app))

    def flush(self) -> None:
        """Write the lines that wait."""
        calls, self._calls = self._calls, []
        make = self._json if logs.log_format() == tracebacks.JSON else self._human
        logs.write([*map(make, calls)])

    def _json(self, call: _Call) -> str:
        method, route, status = call.route
        line = _Line(
            self._time(call.at, utc=True),
            logging.getLevelName(call.level).lower(),
            NAME,
            self._pid,
            f"{method} {route} {status}",
            method,
            route,
            status,
            round(1000 * call.seconds, 3),
            call.request,
            call.peer,
            call.items,
            call.app,
        )
        return _encode(line).decode() + "\n"

    def _human(self, call: _Call) -> str:
        method, route, status = call.route
        many = "" if call.items is None else f" {call.items} items,"
        who = f" app {call.app}," if call.app else ""
        return (
            f"{self._time(call.at, utc=False)} {logging.getLevelName(call.level)} {NAME}[{self._pid}]: {method} {route}"
            f" {status},{many} {1000 * call.seconds:.3f} ms,{who} from {call.peer}, request {call.request}\n"
        )

    def _time(self, at: float, *, utc: bool) -> str:
        """The time as lines of that format have it. Most of it is as it was a moment ago."""
        second = int(at)
        if second != self._second:
            self._second = second
            local = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
            self._second_text = tracebacks.utc(second)[:-5] if utc else local
        milliseconds = f"{int((at - second) * 1000):03d}"
        return f"{self._second_text}.{milliseconds}Z" if utc else f"{self._second_text},{milliseconds}"
