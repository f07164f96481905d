"""/sys/v1/session: from an API key to a session token and back (contract: dsm-wire, section 2.2)."""

from aiohttp import web

from hsmgate.gateway.routes.credentials import AUTHENTICATOR, SESSIONS, caller, session_token, unauthorized
from hsmgate.gateway.sessions import IDLE_SECONDS


async def auth(request: web.Request) -> web.Response:
    """A session token for an API key."""
    app = request.app[AUTHENTICATOR].identify(request.headers.get("Authorization"))
    if app is None:
        raise unauthorized()
    answer = {
        "token_type": "Bearer",
        "expires_in": IDLE_SECONDS,
        "access_token": await request.app[SESSIONS].issue(app.id),
        "entity_id": app.id,
        "allowed_mfa_methods": [],
    }
    return web.json_response(answer)


async def refresh(request: web.Request) -> web.Response:
    """Count as use, which any call does."""
    await caller(request)
    return web.Response(status=204)


async def terminate(request: web.Request) -> web.Response:
    """End the session whose token this is; an API key has none to end."""
    await caller(request)
    token = session_token(request.headers.get("Authorization"))
    if token is not None:
        request.app[SESSIONS].terminate(token)
    return web.Response(status=204)


ROUTES = (
    web.post("/sys/v1/session/auth", auth),
    web.post("/sys/v1/session/refresh", refresh),
    web.post("/sys/v1/session/terminate", terminate),
)
