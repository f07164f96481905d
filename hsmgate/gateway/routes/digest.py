"""POST /crypto/v1/digest: hash only (contract: dsm-wire, section 3)."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import msgspec
from aiohttp import web

from hsmgate.domain.digests import Compute, find_digest
from hsmgate.errors import BadItem, ItemError
from hsmgate.gateway.bodies import read_body
from hsmgate.gateway.requests import Request
from hsmgate.gateway.routes.credentials import caller
from hsmgate.gateway.routes.errors import failed
from hsmgate.gateway.routing import post
from hsmgate.gateway.wire import Sent, explain

ON_THE_LOOP_AT_MOST = 64 * 1024
"""Bytes that are hashed where they are; more would keep other calls waiting."""

_hashing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="digest")
"""A thread of its own: those of the pool read the config and key sets, and whoever hashes much delays only his like."""


class _Request(Sent, frozen=True):
    alg: str | None = None
    data: bytes | None = None


class _Answer(msgspec.Struct):
    digest: bytes


async def digest(request: Request) -> web.Response:
    """The digest of `data` by `alg`."""
    await caller(request)
    body = await read_body(request)
    try:
        wanted = msgspec.json.decode(body, type=_Request)
        if not wanted.alg:
            raise BadItem("alg: missing")
        if wanted.data is None:
            raise BadItem("data: missing")
        compute = find_digest(wanted.alg, "alg").compute
        small = len(wanted.data) <= ON_THE_LOOP_AT_MOST and not wanted.alg.upper().startswith("STREEBOG")
        answer = compute(wanted.data) if small else await _in_the_thread(compute, wanted.data)
    except msgspec.ValidationError as error:
        raise web.HTTPBadRequest(text=explain(str(error))) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise web.HTTPBadRequest(text="the body is not JSON") from None
    except ItemError as error:
        return failed(error.status, str(error))
    return web.Response(body=msgspec.json.encode(_Answer(answer)), content_type="application/json")


async def _in_the_thread(compute: Compute, data: bytes) -> bytes:
    return await asyncio.get_running_loop().run_in_executor(_hashing, compute, data)


ROUTES = (post("/crypto/v1/digest", digest),)
