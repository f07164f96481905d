"""A call that failed: a status and plain text, and when to come again where that may help."""

from aiohttp import web

from hsmgate.errors import NoSigner, TooMany

RETRY = {"Retry-After": "1"}
"""Seconds (RFC 9110, section 10.2.3)."""

RETRIED = frozenset({NoSigner.status, TooMany.status})
"""RETRY goes with every answer that has one of these in it."""


def failed(status: int, text: str) -> web.Response:
    """The answer to it."""
    return web.Response(status=status, text=text, headers=RETRY if status in RETRIED else None)
