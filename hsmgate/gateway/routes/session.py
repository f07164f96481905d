"""/sys/v1/session: from a credential to a session token and back (contract: dsm-wire, section 2.2)."""

from aiohttp import web

from hsmgate.gateway.callers import bearer_token
from hsmgate.gateway.requests import Request
from hsmgate.gateway.routes.auditing import recorded
from hsmgate.gateway.routes.credentials import caller, identify
from hsmgate.gateway.routing import post


@recorded("session")
async def auth(request: Request) -> web.Response:
    """A session token for any credential but a session token."""
    identity = await identify(request, by_session=False)
    app_id = identity.app.id
    token, idle_seconds = await request.services.sessions.issue(app_id, identity.credential, identity.until)
    answer = {
        "token_type": "Bearer",
        "expires_in": idle_seconds,
        "access_token": token,
        "entity_id": app_id,
        "allowed_mfa_methods": [],
    }
    return web.json_response(answer)


async def refresh(request: Request) -> web.Response:
    """Count as use, which any call does."""
    await caller(request)
    return web.Response(status=204)


@recorded("terminate")
async def terminate(request: Request) -> web.Response:
    """End the session whose token this is; another credential has none to end."""
    await caller(request)
    token = bearer_token(request.headers.get("Authorization", ""))
    if token is not None:
        request.services.sessions.terminate(token)
    return web.Response(status=204)


ROUTES = (
    post("/sys/v1/session/auth", auth),
    post("/sys/v1/session/refresh", refresh),
    post("/sys/v1/session/terminate", terminate),
)
