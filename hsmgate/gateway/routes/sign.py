"""Signing and verifying: a batch, or one item (contract: seed page; dsm-wire, sections 1 and 3)."""

import asyncio
from collections.abc import Callable, Sequence

from aiohttp import web
from msgspec import structs

from hsmgate.errors import BadItem
from hsmgate.gateway.answers import write_answer, write_body
from hsmgate.gateway.audit.batches import run_recorded
from hsmgate.gateway.auth import App
from hsmgate.gateway.batch import Result
from hsmgate.gateway.bodies import read_body
from hsmgate.gateway.json_answer import JsonAnswer
from hsmgate.gateway.requests import Request
from hsmgate.gateway.routes.auditing import caller_of
from hsmgate.gateway.routes.credentials import caller
from hsmgate.gateway.routes.errors import RETRIED, RETRY, failed
from hsmgate.gateway.routing import post
from hsmgate.gateway.wire import (
    BadBody,
    Descriptor,
    SignItem,
    VerifyItem,
    read_item,
    read_items,
    read_verify_items,
)
from hsmgate.ipc.messages import Action, Failure

LARGE = 500
"""From so many items on, other calls come in between what is done with a batch: reading it, finding out what its items
mean, and writing the answer take milliseconds each."""


async def batch_sign(request: Request) -> web.Response:
    """Sign the items of a batch. 200 with an answer for each, in order, whatever became of them."""
    return await _batch(request, read_items)


async def batch_verify(request: Request) -> web.Response:
    """Verify the items of a batch, likewise. A wrong signature is a result, not an error."""
    return await _batch(request, read_verify_items)


async def sign(request: Request) -> web.Response:
    """Sign one item, its key in the item or in the path. The item's status is the call's."""
    return await _single(request, SignItem)


async def verify(request: Request) -> web.Response:
    """Verify one item, likewise."""
    return await _single(request, VerifyItem)


async def _batch(request: Request, read: Callable[[bytes], Sequence[SignItem | BadItem]]) -> web.Response:
    app = await caller(request)
    most = request.services.current.server.max_items
    try:
        items = read(await read_body(request, most))
    except BadBody as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    if len(items) > most:
        text = f"{len(items)} items, but a batch has at most {most} (max_items)"
        raise web.HTTPRequestEntityTooLarge(most, len(items), text=text)
    if len(items) >= LARGE:
        await asyncio.sleep(0)
    kids, results = await _run(request, items, app, verify=read is read_verify_items)
    if len(items) >= LARGE:
        await asyncio.sleep(0)
    body = write_answer(kids, results)
    if len(items) >= LARGE:
        await asyncio.sleep(0)
    headers = RETRY if Failure in map(type, results) and any(map(_is_to_retry, results)) else None
    return JsonAnswer(body, headers)


def _is_to_retry(result: Result) -> bool:
    return isinstance(result, Failure) and result.status in RETRIED


async def _single(request: Request, item_type: type[SignItem]) -> web.Response:
    app = await caller(request)
    try:
        item = read_item(await read_body(request), item_type)
    except BadBody as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    kid = request.params.get("kid")
    if kid is not None and not isinstance(item, BadItem):
        if item.key is not None:
            raise web.HTTPBadRequest(text="key: it is in the path already")
        item = structs.replace(item, key=Descriptor(kid=kid))
    kids, results = await _run(request, [item], app, verify=item_type is VerifyItem)
    result = results[0]
    if isinstance(result, Failure):
        return failed(result.status, result.text)
    return JsonAnswer(write_body(kids[0], result))


async def _run(
    request: Request, items: Sequence[SignItem | BadItem], app: App, *, verify: bool
) -> tuple[Sequence[str | None], Sequence[Result]]:
    """The kid and the result of every item, in order, on record if there is a log."""
    count = request.call.items = len(items)
    signer, audit = request.services.signer, request.services.audit
    batch = signer.batch(count, Action.VERIFY if verify else Action.SIGN)
    if audit is None:
        return batch.kids, await signer.run(batch, items, app)
    return batch.kids, await run_recorded(audit, signer, batch, items, caller_of(request, app), verify=verify)


ROUTES = (
    post("/crypto/v1/keys/batch/sign", batch_sign),
    post("/crypto/v1/keys/batch/verify", batch_verify),
    post("/crypto/v1/sign", sign),
    post("/crypto/v1/verify", verify),
    post("/crypto/v1/keys/{kid}/sign", sign),
    post("/crypto/v1/keys/{kid}/verify", verify),
)
