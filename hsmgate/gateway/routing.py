"""Which handler a call goes to. Paths and methods are matched by aiohttp's router; most need no looking for."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from aiohttp import hdrs, web

if TYPE_CHECKING:
    from hsmgate.gateway.requests import Request

QUIET = logging.DEBUG
"""The level of routes that machines call all day: in the log by `log_level = "debug"` only."""

Handler = Callable[["Request"], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path, and who answers.

    path: with `{name}` for what may vary; also how its calls are counted.
    level: what its calls are logged at.
    """

    method: str
    path: str
    handler: Handler
    level: int = logging.INFO


def get(path: str, handler: Handler, level: int = logging.INFO) -> Route:
    """GET, and HEAD with it (RFC 9110, section 9.3.2)."""
    return Route(hdrs.METH_GET, path, handler, level)


def post(path: str, handler: Handler) -> Route:
    """POST."""
    return Route(hdrs.METH_POST, path, handler)


class Routing:
    """Finds a call's route.

    plain: the routes whose path has no parameters, by method and path as they stand in a request.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.plain: dict[tuple[str, str], Route] = {}
        self._dispatcher = web.UrlDispatcher()
        self._routes: dict[web.AbstractRoute, Route] = {}
        for route in routes:
            for method in (hdrs.METH_HEAD, hdrs.METH_GET) if route.method == hdrs.METH_GET else (route.method,):
                self._add(replace(route, method=method))
        self._dispatcher.freeze()

    def _add(self, route: Route) -> None:
        added = self._dispatcher.add_route(route.method, route.path, cast("Any", route.handler))
        assert added.resource is not None  # noqa: S101 - it has just got one
        # Without the patterns of its parameters.
        route = self._routes[added] = replace(route, path=added.resource.canonical)
        if "{" not in route.path:
            self.plain[route.method, route.path] = route

    @property
    def routes(self) -> Sequence[Route]:
        """All there are."""
        return [*self._routes.values()]

    async def find(self, request: "Request") -> Route:
        """The route of a request, which gets the parameters of its path.

        Raises HTTPNotFound, or HTTPMethodNotAllowed where other methods have the path.
        """
        match = await self._dispatcher.resolve(cast("web.Request", request))
        if match.http_exception is not None:
            raise match.http_exception
        request.params = match
        return self._routes[match.route]
