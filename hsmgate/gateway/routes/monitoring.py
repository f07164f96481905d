"""What is asked by machines that watch the gateway: metrics, whether it lives and is ready. Without credentials."""

from aiohttp import web

from hsmgate.gateway.metrics import CONTENT_TYPE, Metrics
from hsmgate.gateway.readiness import Readiness

METRICS = web.AppKey("metrics", Metrics)
READINESS = web.AppKey("readiness", Readiness)


async def metrics(request: web.Request) -> web.Response:
    """The metrics, as Prometheus reads them."""
    return web.Response(body=request.app[METRICS].text(), headers={"Content-Type": CONTENT_TYPE})


async def livez(request: web.Request) -> web.Response:
    """200: who answers lives."""
    return web.Response(text="alive\n")


async def readyz(request: web.Request) -> web.Response:
    """200 where every token that is needed has signed lately, else 503 with a line for each reason."""
    problems = request.app[READINESS].problems()
    if problems:
        return web.Response(status=503, text="".join(f"{problem}\n" for problem in problems))
    return web.Response(text="ready\n")


ROUTES = (web.get("/metrics", metrics), web.get("/livez", livez), web.get("/readyz", readyz))
