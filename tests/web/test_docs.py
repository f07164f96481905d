"""GET /docs in a browser: every operation is there, and calls can be sent."""

import base64
import json
from urllib.parse import urlsplit

import pytest

from hsmgate.gateway.openapi import openapi
from tests.gateway_process import Gateway
from tests.token_tool import Demo
from tests.verify import verify
from tests.web.browser import Browser

pytestmark = pytest.mark.asyncio(loop_scope="session")

METHODS = {"get", "put", "post", "patch", "delete"}
OPERATIONS = {
    (method.upper(), path, item[method]["operationId"])
    for path, item in openapi()["paths"].items()
    for method in item.keys() & METHODS
}
HTML = "<img src=x onerror=\"document.title='bad'\">"


async def test_it_shows_every_operation_and_asks_nobody_else(gateway: Gateway, browser: Browser) -> None:
    browser.open(f"{gateway.url}/docs")
    browser.find("details.operation")
    shown = browser.run(
        "return [...document.querySelectorAll('details.operation')].map((one) =>"
        " [one.querySelector('.method').textContent, one.querySelector('.path').textContent, one.id])"
    )
    assert {tuple(one) for one in shown} == OPERATIONS
    assert len(shown) == len(OPERATIONS)

    browser.run("for (const one of document.querySelectorAll('details.operation')) one.open = true")
    browser.wait(lambda: len(browser.all("details.operation > div form")) == len(OPERATIONS), "all drawn")
    text = browser.run("return document.getElementById('operations').innerText")
    assert "undefined" not in text
    assert "[object" not in text
    assert browser.complaints() == []
    assert_nobody_else_was_asked(browser, gateway)


async def test_a_call_signs_and_leaves_no_trace_of_its_key(gateway: Gateway, browser: Browser, demo: Demo) -> None:
    browser.open(f"{gateway.url}/docs#sign")
    browser.find("#credential").send_keys(gateway.api_key)
    signature = base64.b64decode(json.loads(send(browser, "sign", "200"))["signature"])
    public_key = next(key for label, _, key in demo.public_keys() if label == "p256")
    verify(public_key, {"hash_alg": "SHA256", "data": "aGVsbG8="}, signature)

    kept = browser.run("return [{...localStorage}, {...sessionStorage}, document.cookie, location.href]")
    assert kept == [{}, {}, "", f"{gateway.url}/docs#sign"]
    assert gateway.api_key not in browser.run("return document.documentElement.outerHTML")
    assert "$API_KEY" in browser.run("return document.querySelector('#sign .answer details pre').textContent")
    assert browser.complaints() == []
    assert_nobody_else_was_asked(browser, gateway)
    browser.open(f"{gateway.url}/docs#sign")
    assert browser.run("return document.getElementById('credential').value") == ""


async def test_what_an_answer_says_is_shown_as_text(gateway: Gateway, browser: Browser) -> None:
    browser.open(f"{gateway.url}/docs#createKey")
    browser.find("#credential").send_keys(gateway.api_key)
    wanted = {"transient": True, "obj_type": "EC", "elliptic_curve": "NistP256", "description": HTML}
    assert json.loads(send(browser, "createKey", "201", json.dumps(wanted)))["description"] == HTML
    assert browser.all("#createKey img") == []
    assert browser.run("return document.title") == "API · hsmgate"

    browser.find("#credential").clear()
    assert "no valid credentials" in send(browser, "createKey", "401")
    browser.find("#credential").send_keys("☃")
    browser.find("#createKey form button").click()
    assert "could not be sent" in browser.find("#createKey .answer .bad").text
    # The browser itself logs the 401.
    assert [line for line in browser.complaints() if "401" not in line] == []


async def test_parameters_go_where_they_belong_and_nothing_is_destroyed_by_one_click(
    gateway: Gateway, browser: Browser
) -> None:
    browser.open(f"{gateway.url}/docs#listKeys")
    browser.find("#credential").send_keys(gateway.api_key)
    browser.find("#listKeys-name").send_keys("p256")
    (key,) = json.loads(send(browser, "listKeys", "200"))
    assert key["name"] == "p256"

    browser.open(f"{gateway.url}/docs#deleteKey")
    browser.find("#credential").send_keys(gateway.api_key)
    browser.find("#deleteKey form button").click()
    assert browser.all("#deleteKey input:invalid")  # there is no kid
    browser.find("#deleteKey-kid").send_keys("a/../b?c#d")
    for yes in (False, True):
        browser.find("#deleteKey form button").click()
        assert "cannot be undone" in browser.answer(yes=yes)
    browser.wait(lambda: browser.find("#deleteKey .answer strong").text.startswith("400"), "a 400")
    sent = [request["url"] for request in browser.requests() if request["method"] == "DELETE"]
    assert sent == [f"{gateway.url}/crypto/v1/keys/a%2F..%2Fb%3Fc%23d"]


def send(browser: Browser, operation: str, status: str, body: str | None = None) -> str:
    """Send an operation's form, as it is or with another body, and give the body of the answer."""
    if body is not None:
        field = browser.find(f"#{operation} textarea")
        field.clear()
        field.send_keys(body)
    browser.find(f"#{operation} form button").click()
    answer = f"#{operation} .answer"
    browser.wait(lambda: browser.find(f"{answer} strong").text.startswith(status), f"a {status}")
    return browser.find(f"{answer} > pre").text


def assert_nobody_else_was_asked(browser: Browser, gateway: Gateway) -> None:
    asked = [urlsplit(request["url"]) for request in browser.requests()]
    elsewhere = [url for url in asked if url.scheme in ("http", "https", "ws") and url.netloc != gateway.url[7:]]
    assert asked
    assert elsewhere == []
