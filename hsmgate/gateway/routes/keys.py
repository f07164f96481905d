"""Sobjects: listed, shown, made, imported, changed, destroyed (contract: dsm-wire, sections 3.2 to 3.5 and 4)."""

import msgspec
from aiohttp import web

from hsmgate.domain.model import KeyInfo
from hsmgate.errors import BadItem, ItemError, NoSuchKey, NotPermitted
from hsmgate.gateway.auth import App
from hsmgate.gateway.bodies import read_body
from hsmgate.gateway.listing import Query, is_old, select
from hsmgate.gateway.requests import Request
from hsmgate.gateway.routes.auditing import recorded
from hsmgate.gateway.routes.credentials import caller
from hsmgate.gateway.routes.errors import failed
from hsmgate.gateway.routing import Route, get, post
from hsmgate.gateway.sobjects import (
    Sobject,
    SobjectRequest,
    describe,
    describe_transient,
    order,
    read_request,
    type_of,
)
from hsmgate.gateway.wire import BadBody, Descriptor, read_descriptor


async def list_keys(request: Request) -> web.Response:
    """The keys that the app may use: a bare array, or with `with_metadata` an object with counts."""
    app = await caller(request)
    try:
        query = Query.read(request.query)
    except BadItem as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    shown = is_old if request.services.current.server.strict_listing else type_of
    mine = [found.info for found in request.services.keyring.all_of(app) if shown(found.info)]
    chosen, matching = select(mine, query)
    items = [describe(key) for key in chosen]
    if query.with_metadata:
        return _json({"metadata": {"total_count": len(mine), "filtered_count": matching}, "items": items})
    return _json(items)


async def show(request: Request) -> web.Response:
    """One key, by the kid in the path."""
    app = await caller(request)
    return _found(request, Descriptor(kid=request.params["kid"]), app)


async def info(request: Request) -> web.Response:
    """One key, by the descriptor in the body."""
    app = await caller(request)
    try:
        return _found(request, read_descriptor(await read_body(request)), app)
    except BadBody as error:
        raise web.HTTPBadRequest(text=str(error)) from None


@recorded("generate")
async def generate(request: Request) -> web.Response:
    """Make a key: on the token, or a transient one, whose sobject has `transient_key`. 201 with the sobject."""
    app = await caller(request)
    wanted = await _wanted(request)
    try:
        if wanted.transient:
            blob = await request.services.signer.generate(order(wanted, app.id), app)
            return _json(describe_transient(blob, name=wanted.name, description=wanted.description), status=201)
        return _made(request, await request.services.manager.generate(wanted, app))
    except ItemError as error:
        return failed(error.status, str(error))


@recorded("import")
async def import_(request: Request) -> web.Response:
    """Put a key that was made elsewhere on the token. 201 with its sobject."""
    app = await caller(request)
    wanted = await _wanted(request)
    if wanted.transient:
        raise web.HTTPNotImplemented(text="transient: transient keys are generated, not imported; send it inline")
    try:
        return _made(request, await request.services.manager.import_(wanted, app))
    except ItemError as error:
        return failed(error.status, str(error))


@recorded("change")
async def change(request: Request) -> web.Response:
    """Change a key's name, description, metadata, operations, or whether it is enabled."""
    app = await caller(request)
    wanted = await _wanted(request)
    try:
        return _json(describe(await request.services.manager.update(request.params["kid"], wanted, app)))
    except ItemError as error:
        return failed(error.status, str(error))


@recorded("delete")
async def delete(request: Request) -> web.Response:
    """Destroy a key. 204."""
    app = await caller(request)
    try:
        await request.services.manager.destroy(request.params["kid"], app)
    except ItemError as error:
        return failed(error.status, str(error))
    return web.Response(status=204)


def _made(request: Request, key: KeyInfo) -> web.Response:
    request.call.kid = key.kid
    return _json(describe(key), status=201)


async def _wanted(request: Request) -> SobjectRequest:
    try:
        return read_request(await read_body(request))
    except BadBody as error:
        raise web.HTTPBadRequest(text=str(error)) from None


def _found(request: Request, descriptor: Descriptor, app: App) -> web.Response:
    try:
        return _json(_find(request, descriptor, app))
    except ItemError as error:
        return failed(error.status, str(error))


def _find(request: Request, descriptor: Descriptor, app: App) -> Sobject:
    descriptor.check()
    keyring = request.services.keyring
    if descriptor.transient_key is not None:
        shown = describe_transient(descriptor.transient_key)
        if shown.creator != {"app": app.id}:
            raise NotPermitted("transient_key: it belongs to another app")
        return shown
    if descriptor.inline is not None:
        raise BadItem("inline: there is nothing to tell of it")
    if descriptor.kid is not None:
        return _describe(keyring.by_kid(descriptor.kid, app).info)
    return _describe(keyring.by_name(descriptor.name or "", app).info)


def _describe(key: KeyInfo) -> Sobject:
    if type_of(key) is None:
        raise NoSuchKey
    return describe(key)


def _json(answer: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), status=status, content_type="application/json")


_ONE = "/crypto/v1/keys/{kid:(?!info$)[^{}/]+}"
"""The path of one key. `info` is a place of its own, for other methods than its own too."""

ROUTES = (
    get("/crypto/v1/keys", list_keys),
    post("/crypto/v1/keys", generate),
    Route("PUT", "/crypto/v1/keys", import_),
    post("/crypto/v1/keys/info", info),
    get(_ONE, show),
    Route("PATCH", _ONE, change),
    Route("DELETE", _ONE, delete),
)
