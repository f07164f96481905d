"""What aiohttp says by itself, and has no setting for.

Its answer to what is no HTTP quotes what came, credentials and all; ours says only of what kind it is. And every answer
of its own names the versions of what is inside.
"""

from aiohttp import web, web_response

_answer = web.RequestHandler.handle_error


def name_ourselves() -> None:
    """Let every answer of the process say who answers, and no more (the Server header; RFC 9110, section 10.2.4)."""
    web_response.SERVER_SOFTWARE = "hsmgate"  # type: ignore[attr-defined]


def quote_nothing() -> None:
    """Quote nothing of what is no HTTP, in the whole process."""
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
