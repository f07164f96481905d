"""What aiohttp says by itself, and has no setting for.

Its answer to what is no HTTP quotes what came, credentials and all; ours says only of what kind it is. And every answer
of its own names the versions of what is inside.
"""

from aiohttp import web, web_response

SERVER = "hsmgate"
"""The Server header (RFC 9110, section 10.2.4): who answers, but no versions."""

_answer = web.RequestHandler.handle_error


def tell_less() -> None:
    """Quote nothing, and name no versions, in the whole process."""
    web_response.SERVER_SOFTWARE = SERVER  # type: ignore[attr-defined]
    web.RequestHandler.handle_error = _answer_without_quotes  # type: ignore[method-assign]


def _answer_without_quotes(
    self: web.RequestHandler,
    request: web.BaseRequest,
    status: int = 500,
    exc: BaseException | None = None,
    message: str | None = None,
) -> web.StreamResponse:
    said = f"the request cannot be read as HTTP ({type(exc).__name__})" if message is not None else None
    return _answer(self, request, status, exc, said)
