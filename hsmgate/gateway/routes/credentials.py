"""Who is calling, or 401."""

from aiohttp import hdrs, web

from hsmgate.gateway.auth import App, Identity
from hsmgate.gateway.callers import Shown
from hsmgate.gateway.client_certificates import ClientCertificate
from hsmgate.gateway.key_sets import KeysNotHad
from hsmgate.gateway.requests import Request
from hsmgate.gateway.routes.errors import RETRY

CHALLENGE = {"WWW-Authenticate": 'Basic realm="hsmgate", Bearer realm="hsmgate"'}
"""What a 401 must say (RFC 9110, section 11.6.1), with the parameter that RFC 6750 (section 3) wants of Bearer."""

_OWN_SITE = ("same-origin", "none")
"""A page of ours, or the user himself; what is no browser sends none of these words."""


async def caller(request: Request) -> App:
    """The app that calls. Raises HTTPUnauthorized, or HTTPServiceUnavailable where its provider's keys are missing."""
    return (await identify(request, by_session=True)).app


async def identify(request: Request, *, by_session: bool) -> Identity:
    """The app that calls, and by what it is known; likewise. by_session: whether a session token will do."""
    values = request.headers.getall(hdrs.AUTHORIZATION, ())
    # Two of them are as good as a wrong one.
    authorization = "" if len(values) > 1 else values[0] if values else None
    callers = request.services.callers
    identity = callers.recognise(authorization) if authorization else None
    if identity is None:
        try:
            shown = Shown(authorization, lambda: _certificate(request))
            identity = await callers.identify(shown, by_session=by_session)
        except KeysNotHad:
            text = "the identity provider's keys cannot be had; try again"
            raise web.HTTPServiceUnavailable(text=text, headers=RETRY) from None
    if identity is None:
        text = "no valid credentials: send an API key, a session token, a JWT or a client certificate of an app"
        error = web.HTTPUnauthorized(text=text, headers=CHALLENGE)
        if _certificate(request) is not None:
            error.force_close()  # client_ca may have changed, and a new connection is verified against what it is now
        raise error
    request.call.app = identity.app
    return identity


def _certificate(request: Request) -> ClientCertificate | None:
    """The client's certificate. TLS has verified it, or there would be no connection.

    A browser shows it for the pages of every site, so what another site's page sends (Sec-Fetch-Site, W3C Fetch
    Metadata) is not its owner's word.
    """
    if request.headers.get("Sec-Fetch-Site", "none") not in _OWN_SITE:
        return None
    tls = request.transport.get_extra_info("ssl_object") if request.transport else None
    if tls is None:
        return None
    der = tls.getpeercert(binary_form=True)
    return ClientCertificate(der, tls.context.client_ca) if der else None
