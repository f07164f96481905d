"""A good answer in JSON, with less ado than aiohttp's.

`web.Response` asks of each answer whether it has cookies, may have a body, is compressed or in chunks, and looks up
each header that it may need. Without that 7 % more single items are signed.
"""

from collections.abc import Mapping

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time

from hsmgate.gateway.aiohttp_answers import SERVER


class JsonAnswer(web.Response):
    """200 and a body, to a request other than HEAD."""

    def __init__(self, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(body=body, content_type="application/json", headers=headers)
        self._json = body
        self._writer: AbstractStreamWriter | None = None

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection goes on after it."""
        return True if self._writer is not None else super().keep_alive

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write the head; where the connection ends with this answer, or it is HTTP/1.0, as aiohttp does."""
        if self.keep_alive is False or not request.keep_alive or request.version != HttpVersion11:
            return await super().prepare(request)
        headers = self.headers
        headers[hdrs.CONTENT_LENGTH] = str(len(self._json))
        headers[hdrs.DATE] = rfc822_formatted_time()
        headers[hdrs.SERVER] = SERVER
        self._writer = request.writer
        await self._writer.write_headers("HTTP/1.1 200 OK", headers)
        return self._writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Write the body."""
        if self._writer is None:
            await super().write_eof(data)
        else:
            await self._writer.write_eof(self._json)
