"""GET /status in a browser: live figures, errors in words, and nothing that anyone may not know."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hsmgate.gateway.history import SECONDS
from hsmgate.gateway.status import RECENT_SECONDS
from tests.gateway_process import Gateway
from tests.token_tool import Demo
from tests.web.browser import Browser
from tests.web.test_docs import HTML, assert_nobody_else_was_asked

pytestmark = pytest.mark.asyncio(loop_scope="session")

ITEM = {"key": {"name": "p256"}, "hash_alg": "SHA256", "data": "aGVsbG8="}


@asynccontextmanager
async def load(gateway: Gateway) -> AsyncIterator[None]:
    """Somebody signs all the while."""

    async def sign() -> None:
        while True:
            await gateway.sign([ITEM] * 10)
            await asyncio.sleep(0.05)

    signing = asyncio.create_task(sign())
    yield
    signing.cancel()


async def test_it_shows_what_happens(own_gateway: Gateway, own_demo: Demo, browser: Browser) -> None:
    """The browser waits in a thread, so that the load goes on."""

    def watch() -> str:
        browser.open(f"{own_gateway.url}/status")
        browser.wait(lambda: browser.find("#rate strong").text not in ("", "–", "0"), "a rate")
        browser.wait(lambda: browser.find("#latency strong").text not in ("", "–"), "a latency")
        sessions = "#tokens tbody td:nth-of-type(3)"
        browser.wait(lambda: browser.find(sessions).text == "2", "both signers")
        strip = "#tokens .strip"
        browser.wait(lambda: browser.find(f"{strip} span").text not in ("", "–", "0"), "the token's own rate")
        assert "demo, items per second, now: " in str(browser.find(f"{strip} svg").get_attribute("aria-label"))
        own_gateway.kill_signers(1)
        said = browser.wait(lambda: next((row.text for row in browser.all("#errors tbody tr")), None), "an error")
        assert browser.find("#ready").text == "Ready"
        assert [one.get_attribute("aria-label") for one in browser.all("svg[role=img]")] != [None] * 4
        assert browser.complaints() == []
        assert_nobody_else_was_asked(browser, own_gateway)
        return said

    async with load(own_gateway):
        said = await asyncio.to_thread(watch)
    assert said.startswith("a signer was killed by somebody demo 1")

    state = "#tokens tbody td:nth-of-type(1)"
    assert browser.find(state).text == "up"
    text = own_demo.config.read_text()
    own_demo.config.write_text(text.replace("[[token]]\n", "[[token]]\ndrain = true\n"))
    browser.wait(lambda: browser.find(state).text == "drained", "the drained token")
    own_demo.config.write_text(text.replace("signers = 2", "signers = 0"))
    assert "The newest config is refused: token[0].signers." in browser.find("#config_refused p").text

    browser.find("#pause").click()
    assert browser.find("#pause").get_attribute("aria-pressed") == "true"
    await own_gateway.stop()
    browser.find("#pause").click()
    assert "does not answer" in browser.find("#lost").text


@pytest.mark.parametrize(("reduced", "milliseconds"), [(False, 1000), (True, 10_000)])
async def test_it_moves_less_for_whom_wants_that(
    gateway: Gateway, browser: Browser, reduced: bool, milliseconds: int
) -> None:
    noting = (
        "window.waits = []; const real = setTimeout; setTimeout = (f, ms) => { waits.push(ms); return real(f, ms) }"
    )
    script = browser.cdp("Page.addScriptToEvaluateOnNewDocument", source=noting)
    browser.prefer(reduced_motion=reduced)
    browser.open(f"{gateway.url}/status")
    browser.wait(lambda: browser.run("return waits.length"), "the next look")
    assert browser.run("return waits[0]") == milliseconds
    browser.cdp("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])
    browser.prefer()


@pytest.mark.parametrize(("page", "drawn"), [("status", "#tokens table"), ("docs#createKey", "#createKey textarea")])
async def test_it_fits_a_phone(gateway: Gateway, browser: Browser, page: str, drawn: str) -> None:
    browser.open(f"{gateway.url}/{page}")
    browser.cdp("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=1, mobile=True)
    browser.find(drawn)
    assert browser.run("return document.scrollingElement.scrollWidth") <= 360


async def test_what_it_is_told_is_shown_as_text(gateway: Gateway, browser: Browser) -> None:
    browser.open(f"{gateway.url}/status")
    browser.find("#tokens table")
    signers = {HTML: 1}
    state = {"up": False, "drained": False, "required": False, "why": HTML, "wanted": 3}
    told = {
        "tokens": [
            {"name": HTML, **state, "signers": signers, "sessions": HTML, "in_flight": 0, "waiting": 0},
        ],
        "refused": [HTML],
        "errors": [{"what": HTML, "token": HTML, "count": HTML, "last": 0}],
        "keys": {HTML: HTML},
        "text": {
            "version": HTML,
            "uptime_seconds": 90061,
            "process": {"number": 2, "of": 3},
            "config_taken_over_at": 0,
        },
    }
    shown = browser.run(
        "const told = arguments[0]; return import('/web/tables.js').then((tables) => {"
        " const place = document.body.appendChild(document.createElement('div'));"
        " place.append(tables.tokensView(told.tokens, (name) => ({ place: name })),"
        " tables.errorsView(told.errors), tables.keysView(told.keys),"
        " tables.processText(told.text), ...tables.refusedView(told.refused)); return place.innerText })",
        told,
    )
    assert shown.count(HTML) == 12
    assert f"1 {HTML}, 2 missing" in shown
    assert f"down: {HTML} (not required)" in shown
    assert "up for 1 d 1 h · this is process 2 of 3" in shown
    assert browser.all("img") == []
    assert browser.complaints() == []


async def test_it_tells_nothing_of_names(gateway: Gateway, demo: Demo) -> None:
    headers = {"Authorization": f"Basic {gateway.api_key}"}
    async with gateway.client.get(f"{gateway.url}/crypto/v1/keys", headers=headers) as response:
        keys = await response.json()
    await gateway.sign([{**ITEM, "key": {"name": "a-name-that-nobody-has"}}, {**ITEM, "hash_alg": "a-word"}])
    async with gateway.client.get(f"{gateway.url}/status.json") as response:
        assert response.headers["Cache-Control"] == "no-store"
        told = await response.text()
    assert keys
    for secret in [*(key["name"] for key in keys), *(key["kid"] for key in keys), "a-name", "a-word", str(demo.folder)]:
        assert secret not in told
    assert json.loads(told)["keys"]["RSA 2048"] >= 1


async def test_only_what_is_new_is_sent(gateway: Gateway) -> None:
    async def history(since: str) -> tuple[int, str]:
        async with gateway.client.get(f"{gateway.url}/status.json", params={"since": since}) as response:
            return response.status, await response.text()

    while True:
        status, text = await history("")
        last = json.loads(text)["history"]["last"]
        if last > 1:
            break
        await asyncio.sleep(0.1)
    for since in (0, 1, last - 1, last, last + 1000, 999_999_999):
        status, text = await history(str(since))
        news = json.loads(text)["history"]
        new = max(0, news["last"] - since)
        assert status == 200
        assert len(news["ok"]) == (new if new <= RECENT_SECONDS else min(news["last"], SECONDS))
        assert {len(news[column]) for column in ("ok", "failed", "p50_ms", "p99_ms", "waiting")} == {len(news["ok"])}
    for wrong in ("-1", "1.5", "x", HTML, "9" * 10, "٣"):
        assert await history(wrong) == (400, "since: not a number of seconds")
