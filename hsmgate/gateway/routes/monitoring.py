"""What is asked by machines that watch the gateway: metrics, whether it lives and is ready. Without credentials."""

from aiohttp import web

from hsmgate.gateway.metrics import CONTENT_TYPE
from hsmgate.gateway.requests import Request
from hsmgate.gateway.routing import QUIET, get


async def metrics(request: Request) -> web.Response:
    """The metrics, as Prometheus reads them."""
    return web.Response(body=request.services.metrics.text(), headers={"Content-Type": CONTENT_TYPE})


async def livez(request: Request) -> web.Response:
    """200: who answers lives."""
    return web.Response(text="alive\n")


async def readyz(request: Request) -> web.Response:
    """200 where every token that is needed has signed lately, else 503 with a line for each reason."""
    problems = request.services.readiness.problems()
    if problems:
        return web.Response(status=503, text="".join(f"{problem}\n" for problem in problems))
    return web.Response(text="ready\n")


ROUTES = (get("/metrics", metrics, QUIET), get("/livez", livez, QUIET), get("/readyz", readyz, QUIET))
