"""What is no HTTP. aiohttp's own answer quotes what came, credentials and all; ours says only of what kind it is."""

from aiohttp import web

_answer = web.RequestHandler.handle_error


def quote_nothing() -> None:
    """Make it so, for the whole process: aiohttp has no setting for it."""
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
