"""The description against what it describes."""

from typing import Any

import jsonschema_rs
import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from hsmgate.config import Config
from hsmgate.gateway.app import Application
from hsmgate.gateway.current import Current
from hsmgate.gateway.keyring import Keyring
from hsmgate.gateway.openapi import openapi
from hsmgate.gateway.services import Services
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.sobjects import SobjectRequest
from hsmgate.gateway.wire import Descriptor, SignItem, VerifyItem
from tests.gateway_process import Gateway
from tests.token_tool import Demo

METHODS = {"get", "put", "post", "patch", "delete"}


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = openapi()["components"]["schemas"][name]
    return found


def test_it_is_valid_openapi() -> None:
    assert openapi()["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(openapi()).iter_errors()) == []


def test_it_has_every_route_and_no_other(demo: Demo) -> None:
    config = Config.load(demo.config)
    app = Application(Services.of(config, BatchSigner(Keyring(), [], Current(config.server))))
    # HEAD comes with GET (RFC 9110, section 9.3.2) and needs no description.
    routes = {(route.path, route.method.lower()) for route in app.routing.routes if route.method != "HEAD"}
    described = {(path, method) for path, item in openapi()["paths"].items() for method in item.keys() & METHODS}
    assert routes == described


@pytest.mark.parametrize(
    ("name", "struct"),
    [
        ("Descriptor", Descriptor),
        ("TokenDescriptor", Descriptor),
        ("SignItem", SignItem),
        ("SignItemOfPath", SignItem),
        ("VerifyItem", VerifyItem),
        ("VerifyItemOfPath", VerifyItem),
        ("NewKey", SobjectRequest),
        ("ImportedKey", SobjectRequest),
        ("KeyChange", SobjectRequest),
    ],
)
def test_a_request_has_the_members_that_are_read(name: str, struct: type[msgspec.Struct]) -> None:
    assert schema(name)["properties"].keys() == {field.encode_name for field in msgspec.structs.fields(struct)}


@pytest.mark.parametrize(
    ("mode", "right"),
    [
        *((None, True), ({"PSS": {}}, True), ({"PSS": {"mgf": None}}, True), ({"PKCS1_V15": {}}, True)),
        *(({}, False), ({"PSS": None}, False), ({"PSS": {}, "PKCS1_V15": {}}, False), ("PSS", False)),
    ],
)
def test_null_stands_for_an_absent_member_also_where_one_of_several_is_wanted(mode: object, right: bool) -> None:
    item = {"key": {"name": "k"}, "hash_alg": "SHA256", "data": "", "mode": mode}
    described = {"$ref": "#/components/schemas/SignItem", "components": openapi()["components"]}
    assert jsonschema_rs.is_valid(described, item) is right


def test_links_lead_to_operations() -> None:
    operations = [item[method] for item in openapi()["paths"].values() for method in item.keys() & METHODS]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    links = [
        link["operationId"]
        for operation in operations
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]
    assert links
    assert set(links) <= set(names)


@pytest.mark.asyncio(loop_scope="session")
async def test_it_is_served_without_credentials(gateway: Gateway) -> None:
    async with gateway.client.get(gateway.url + "/openapi.json") as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        assert await response.json() == openapi()


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_info_is_no_kid(gateway: Gateway, method: str) -> None:
    # Found by schemathesis: these reached the key "info", a 400, and Allow promised them.
    headers = {"Authorization": f"Basic {gateway.api_key}"}
    async with gateway.client.request(method, gateway.url + "/crypto/v1/keys/info", headers=headers) as response:
        assert response.status == 405
        assert response.headers["Allow"] == "POST"
