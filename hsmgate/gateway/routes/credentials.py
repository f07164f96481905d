"""Who is calling, or 401."""

from aiohttp import web

from hsmgate.gateway.auth import App, Authenticator
from hsmgate.gateway.sessions import Sessions

AUTHENTICATOR = web.AppKey("authenticator", Authenticator)
SESSIONS = web.AppKey("sessions", Sessions)


async def caller(request: web.Request) -> App:
    """The app that calls, by its API key or a session token. Raises HTTPUnauthorized."""
    authorization = request.headers.get("Authorization")
    app = request.app[AUTHENTICATOR].identify(authorization)
    token = session_token(authorization)
    if app is None and token is not None:
        app_id = await request.app[SESSIONS].identify(token)
        app = request.app[AUTHENTICATOR].app(app_id) if app_id else None
    if app is None:
        raise unauthorized()
    return app


def session_token(authorization: str | None) -> str | None:
    """What may be a session token."""
    scheme, _, credentials = (authorization or "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None


def unauthorized() -> web.HTTPUnauthorized:
    """The 401 of every call, whatever was wrong."""
    return web.HTTPUnauthorized(text="no valid credentials: send 'Authorization: Basic <API key>' or a session token")
