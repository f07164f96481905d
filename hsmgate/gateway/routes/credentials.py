"""Who is calling, or 401."""

from aiohttp import web

from hsmgate.gateway.auth import App, Authenticator

AUTHENTICATOR = web.AppKey("authenticator", Authenticator)


def caller(request: web.Request) -> App:
    """The app that calls. Raises HTTPUnauthorized."""
    app = request.app[AUTHENTICATOR].identify(request.headers.get("Authorization"))
    if app is None:
        raise web.HTTPUnauthorized(text="no valid credentials: send 'Authorization: Basic <API key>'")
    return app
