"""The least that an aiohttp handler can do: read a body, answer bytes of a given size.

python -m benchmarks.bare_server SIZE...      prints its address; POST /SIZE is answered with so many bytes

It shows what the load generator can do, and what HTTP alone costs. Its settings are those of hsmgate.gateway.app.
"""

import asyncio
import secrets
import sys

import uvloop
from aiohttp import web

from hsmgate.gateway.app import KEEPALIVE_SECONDS

LARGEST_BODY = 16 * 1024 * 1024


def make_app(sizes: list[int]) -> web.Application:
    """An application with an answer of each size."""
    app = web.Application(client_max_size=LARGEST_BODY)
    for size in sizes:
        app.router.add_post(f"/{size}", _Answer(b" " * size))
    return app


class _Answer:
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __call__(self, request: web.Request) -> web.Response:
        await request.read()
        headers = {"X-Request-Id": secrets.token_hex(8), "Server": "hsmgate"}  # as the gateway's answers have
        return web.Response(body=self._body, content_type="application/json", headers=headers)


async def serve(sizes: list[int]) -> None:
    """Serve until somebody ends it."""
    runner = web.AppRunner(make_app(sizes), access_log=None, keepalive_timeout=KEEPALIVE_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as _runner:
        _runner.run(serve([int(size) for size in sys.argv[1:]]))
