"""The bodies of requests: read as far as they may go, and not for ever."""

import asyncio

from aiohttp import web

from hsmgate.gateway.requests import Request

MEMBERS_OF_AN_ITEM, MEMBERS_BESIDES = 32, 10_000
"""Values in a body's JSON, counted by the commas: what is read of it takes memory by them, not by its bytes."""


async def read_body(request: Request, items: int = 1) -> bytes:
    """The body of a request, which may hold so many items.

    Raises HTTPRequestTimeout where it is too long in coming, HTTPRequestEntityTooLarge, or HTTPBadRequest where its
    Content-Encoding or Transfer-Encoding is not what it says.
    """
    server = request.services.current.server
    limit = server.request_timeout
    try:
        if request.content.is_eof():  # it came with the head
            body = request.content.read_nowait()
            if len(body) > server.max_body:
                raise web.HTTPRequestEntityTooLarge(server.max_body)
        else:
            async with asyncio.timeout(limit):
                body = await _read(request, server.max_body)
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"the body did not come within {limit:g} s") from None
    except web.RequestPayloadError:
        raise web.HTTPBadRequest(text="the body is not encoded as its headers say") from None
    most = MEMBERS_OF_AN_ITEM * items + MEMBERS_BESIDES
    commas = body.count(b",")
    if commas > most:
        text = f"the body has {commas} commas, but at most {most} are allowed"
        raise web.HTTPRequestEntityTooLarge(most, commas, text=text)
    return body


async def _read(request: Request, most: int) -> bytes:
    """A body of at most so many bytes; `request.read` would go by a limit of its own.

    Raises HTTPRequestEntityTooLarge.
    """
    request.content.set_read_chunk_size(most)
    body = bytearray()
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > most:
            raise web.HTTPRequestEntityTooLarge(most)
    return bytes(body)
