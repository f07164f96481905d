"""A line in the log for each HTTP call, in the log's format.

The logging library takes longer for a line than a signature of a small batch does, so these are made here.
"""

import asyncio
import logging
import os
import time

import msgspec
from aiohttp import web

from hsmgate import tracebacks
from hsmgate.gateway import logs
from hsmgate.gateway.requests import CALLER, ITEMS, REQUEST_ID, address_of

NAME = "hsmgate.calls"

log = logging.getLogger(NAME)
"""Its level decides; what is written goes to standard error by a shorter way."""

FLUSH_SECONDS = 0.05
"""Lines are written together: a system call for each would cost more than the line."""

WRITE_BYTES = 4096
"""At most so many at once, or lines of other processes could come into the middle of ours (PIPE_BUF)."""


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


class CallLog:
    """Lines that wait to be written, for FLUSH_SECONDS at most."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._lines: list[str] = []
        self._second = -1
        self._second_text = ""

    def add(self, request: web.Request, call: tuple[str, str, int], seconds: float, level: int) -> None:
        """Log a call: its method, route and status, and how long it took."""
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
        make = self._json if logs.log_format() == tracebacks.JSON else self._human
        self._lines.append(make(request, call, round(1000 * seconds, 3), logging.getLevelName(level)))

    def flush(self) -> None:
        """Write the lines that wait."""
        lines, self._lines = self._lines, []
        block = ""
        for line in lines:
            if len(block) + len(line) > WRITE_BYTES:
                logs.write(block)
                block = ""
            block += line
        logs.write(block)

    def _json(self, request: web.Request, call: tuple[str, str, int], milliseconds: float, level: str) -> str:
        method, route, status = call
        app = request.get(CALLER)
        line = _Line(
            self._now(utc=True),
            level.lower(),
            NAME,
            self._pid,
            f"{method} {route} {status}",
            method,
            route,
            status,
            milliseconds,
            request[REQUEST_ID],
            address_of(request),
            request.get(ITEMS),
            app.id if app else None,
        )
        return _encode(line).decode() + "\n"

    def _human(self, request: web.Request, call: tuple[str, str, int], milliseconds: float, level: str) -> str:
        method, route, status = call
        app, items = request.get(CALLER), request.get(ITEMS)
        many = "" if items is None else f" {items} items,"
        who = f" app {app.id}," if app else ""
        return (
            f"{self._now(utc=False)} {level} {NAME}[{self._pid}]: {method} {route} {status},{many}"
            f" {milliseconds} ms,{who} from {address_of(request)}, request {request[REQUEST_ID]}\n"
        )

    def _now(self, *, utc: bool) -> str:
        """The time as lines of that format have it. Most of it is as it was a moment ago."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            local = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
            self._second_text = tracebacks.utc(second)[:-5] if utc else local
        milliseconds = f"{int((now - second) * 1000):03d}"
        return f"{self._second_text}.{milliseconds}Z" if utc else f"{self._second_text},{milliseconds}"
