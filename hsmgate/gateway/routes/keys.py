"""Sobjects: listed, shown, and transient ones made (contract: dsm-wire, sections 3.2 to 3.5 and 4)."""

import msgspec
from aiohttp import web

from hsmgate.domain.model import KeyInfo
from hsmgate.errors import BadItem, ItemError, NoSuchKey, NotPermitted
from hsmgate.gateway.auth import App
from hsmgate.gateway.keyring import Keyring
from hsmgate.gateway.listing import Query, select
from hsmgate.gateway.routes.credentials import caller
from hsmgate.gateway.routes.sign import SIGNER
from hsmgate.gateway.sobjects import Sobject, describe, describe_transient, order, read_request, type_of
from hsmgate.gateway.wire import BadBody, Descriptor, read_descriptor

KEYRING = web.AppKey("keyring", Keyring)


async def list_keys(request: web.Request) -> web.Response:
    """The keys that the app may use: a bare array, or with `with_metadata` an object with counts."""
    app = await caller(request)
    try:
        query = Query.read(request.query)
    except BadItem as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    mine = [found.info for found in request.app[KEYRING].all_of(app) if type_of(found.info)]
    chosen, matching = select(mine, query)
    items = [describe(key) for key in chosen]
    if query.with_metadata:
        return _json({"metadata": {"total_count": len(mine), "filtered_count": matching}, "items": items})
    return _json(items)


async def show(request: web.Request) -> web.Response:
    """One key, by the kid in the path."""
    app = await caller(request)
    return _found(request, Descriptor(kid=request.match_info["kid"]), app)


async def info(request: web.Request) -> web.Response:
    """One key, by the descriptor in the body."""
    app = await caller(request)
    try:
        return _found(request, read_descriptor(await request.read()), app)
    except BadBody as error:
        raise web.HTTPBadRequest(text=str(error)) from None


async def generate(request: web.Request) -> web.Response:
    """Make a transient key. 201 with its sobject, `transient_key` in it."""
    app = await caller(request)
    try:
        wanted = read_request(await request.read())
    except BadBody as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    if not wanted.transient:
        raise web.HTTPNotImplemented(text="transient: only transient keys are made by this version")
    try:
        blob = await request.app[SIGNER].generate(order(wanted, app.id), app)
    except ItemError as error:
        return web.Response(status=error.status, text=str(error))
    return _json(describe_transient(blob, name=wanted.name, description=wanted.description), status=201)


def _found(request: web.Request, descriptor: Descriptor, app: App) -> web.Response:
    try:
        return _json(_find(request, descriptor, app))
    except ItemError as error:
        return web.Response(status=error.status, text=str(error))


def _find(request: web.Request, descriptor: Descriptor, app: App) -> Sobject:
    descriptor.check()
    keyring = request.app[KEYRING]
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


ROUTES = (
    web.get("/crypto/v1/keys", list_keys),
    web.post("/crypto/v1/keys", generate),
    web.post("/crypto/v1/keys/info", info),
    web.get("/crypto/v1/keys/{kid}", show),
)
