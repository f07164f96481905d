"""HTTP calls: counted, and each a line in the log."""

import logging
import time
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from aiohttp import web

from hsmgate.gateway.batch import GONE
from hsmgate.gateway.call_log import CallLog, log

NO_ROUTE = "none"
"""The route, and the method, of a call that goes by none of ours: its own words may be anything."""

_QUIET = frozenset({"/metrics", "/livez", "/readyz", "/status.json", "/sys/v1/health"})
"""Routes that machines call all day: in the log by `log_level = "debug"` only."""


class _Route(NamedTuple):
    """How calls by a route are counted, and the level that they are logged at."""

    method: str
    path: str
    level: int


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
        self._routes: dict[web.AbstractRoute, _Route] = {}
        self._none = _Route(NO_ROUTE, NO_ROUTE, logging.INFO)

    def know(self, routes: Iterable[web.AbstractRoute]) -> None:
        """Count calls by these routes; all others are one."""
        for route in routes:
            if route.resource is not None:
                path = route.resource.canonical
                level = logging.DEBUG if path in _QUIET else logging.INFO
                self._routes[route] = _Route(route.method, path, level)

    def note(self, request: web.Request, response: web.StreamResponse | None, begun: float) -> None:
        """A call that came at `begun` (CLOCK_MONOTONIC) is answered; without a response its caller has gone."""
        method, path, level = self._routes.get(request.match_info.route, self._none)
        status = GONE if response is None else response.status
        self.counts[method, path, status] += 1
        self.statuses[status] += 1
        if log.isEnabledFor(level):
            self.log.add(request, (method, path, status), time.monotonic() - begun, level)

    def take(self) -> Counter[tuple[str, str, int]]:
        """The counts since the last time."""
        taken, self.counts = self.counts, Counter()
        return taken


CALLS = web.AppKey("calls", Calls)
