"""Version and health, without credentials (contract: dsm-wire, section 3)."""

from aiohttp import web

import hsmgate
from hsmgate.gateway.requests import Request
from hsmgate.gateway.routing import QUIET, get

SPOKEN_DSM_VERSION = "4.2.0"
"""The release of DSM whose API this is. It cannot be our own: clients compare it (sq-dsm wants 4.2.0 or newer)."""


async def version(request: Request) -> web.Response:
    """What we are, in the members that clients insist on."""
    answer = {
        "version": SPOKEN_DSM_VERSION,
        "api_version": "v1",
        "server_mode": "Software",
        "fips_level": None,
        "hsmgate_version": hsmgate.__version__,
    }
    return web.json_response(answer)


async def health(request: Request) -> web.Response:
    """204 while a signer is ready, else 503."""
    if request.services.signer.ready():
        return web.Response(status=204)
    return web.Response(status=503, text="no signer is ready")


ROUTES = (get("/sys/v1/version", version), get("/sys/v1/health", health, QUIET))
