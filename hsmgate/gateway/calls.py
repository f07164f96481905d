"""HTTP calls: counted, and each a line in the log."""

import logging
import time
from collections import Counter

from aiohttp import web

from hsmgate.gateway.batch import GONE
from hsmgate.gateway.call_log import CallLog, log
from hsmgate.gateway.requests import Request

NO_ROUTE = "none"
"""The route, and the method, of a call that goes by none of ours: its own words may be anything."""

_NONE = (NO_ROUTE, NO_ROUTE, logging.INFO)


class Calls:
    """What came of HTTP calls.

    counts: by method, route and status, since they were last taken. statuses: by status, since the start.
    bugs: how many met with an error that nobody expected, since the start.
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, int]] = Counter()
        self.statuses: Counter[int] = Counter()
        self.bugs = 0
        self.log = CallLog()

    def note(self, request: Request, response: web.StreamResponse | None, begun: float) -> None:
        """A call that came at `begun` (CLOCK_MONOTONIC) is answered; without a response its caller has gone."""
        route = request.route
        method, path, level = (route.method, route.path, route.level) if route is not None else _NONE
        status = GONE if response is None else response.status
        call = method, path, status
        self.counts[call] += 1
        self.statuses[status] += 1
        if log.isEnabledFor(level):
            self.log.add(request, call, time.monotonic() - begun, level)

    def take(self) -> Counter[tuple[str, str, int]]:
        """The counts since the last time."""
        taken, self.counts = self.counts, Counter()
        return taken
