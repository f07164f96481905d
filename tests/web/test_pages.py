"""The pages and their parts as files: types, caching, what a browser is told to forbid."""

import re
from importlib import resources

import jsonschema_rs
import pytest

from hsmgate.gateway.openapi import openapi
from hsmgate.gateway.pages import FILES, PARTS
from tests.gateway_process import Gateway
from tests.web.browser import Browser

TYPES = {"js": "text/javascript", "css": "text/css"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("path", ["docs", "status", *(f"web/{name}" for name in PARTS)])
async def test_a_page_is_sent_once_and_forbids_what_it_does_not_need(gateway: Gateway, path: str) -> None:
    url = f"{gateway.url}/{path}"
    async with gateway.client.get(url) as response:
        body = await response.read()
        assert response.status == 200
        assert response.content_type == TYPES.get(path.rpartition(".")[2], "text/html")
        assert response.charset == "utf-8"
        headers = response.headers
    assert headers["Content-Security-Policy"] == POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-cache"
    async with gateway.client.get(url, headers={"If-None-Match": f'"old", {headers["ETag"]}'}) as response:
        assert (response.status, await response.read()) == (304, b"")
        assert response.headers["ETag"] == headers["ETag"]
    async with gateway.client.get(url, headers={"If-None-Match": '"old", W/"\xff'}) as response:
        assert (response.status, await response.read()) == (200, body)
    async with gateway.client.head(url) as response:
        assert response.headers["Content-Length"] == str(len(body))


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("name", ["docs.html", "none.js", "..%2fapp.py", "%2e%2e/app.py", "%00", "docs.js%00.css"])
async def test_there_are_no_other_files(gateway: Gateway, name: str) -> None:
    async with gateway.client.get(f"{gateway.url}/web/{name}") as response:
        assert response.status == 404
        assert b"import" not in await response.read()


@pytest.mark.asyncio(loop_scope="session")
async def test_a_page_may_not_do_more_than_it_does(gateway: Gateway, browser: Browser) -> None:
    browser.open(f"{gateway.url}/docs")
    tried = browser.run(
        "const script = document.createElement('script'); script.textContent = 'window.ran = true';"
        "document.head.append(script);"
        "const style = document.createElement('style'); style.textContent = 'body { zoom: 3 }';"
        "document.head.append(style);"
        "return fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused').then((fetched) =>"
        " [fetched, window.ran ?? null, style.sheet])"
    )
    assert tried == ["refused", None, None]
    complaints = browser.complaints()
    for directive in ("script-src", "style-src", "connect-src"):
        assert any(directive in line for line in complaints), directive


def test_every_file_is_served_and_none_makes_html_of_data() -> None:
    there = {file.name for file in resources.files("hsmgate.gateway").joinpath("web").iterdir()}
    assert there == set(FILES)
    for name, file in FILES.items():
        text = file.body.decode()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function", text), name
        assert not re.search(r"localStorage|sessionStorage|indexedDB|document\.cookie", text), name
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style| style=| on\w+=", text), name


def test_examples_are_what_is_asked_for() -> None:
    document = openapi()
    operations = [one for item in document["paths"].values() for one in item.values() if isinstance(one, dict)]
    bodies = [one["requestBody"]["content"]["application/json"] for one in operations if "requestBody" in one]
    assert bodies
    for body in bodies:
        schema = body["schema"] | {"components": document["components"]}
        assert jsonschema_rs.is_valid(schema, body["example"]), body
