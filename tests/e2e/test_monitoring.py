"""Metrics, readiness and logs of a real gateway, whose token fails on order."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from hsmgate.config import Config
from tests.faults.module import FaultyToken, faulty
from tests.gateway_process import Gateway, b64, serving
from tests.promtool import ROOT, promtool
from tests.token_tool import Demo

pytestmark = pytest.mark.asyncio(loop_scope="session")

ITEM: dict[str, Any] = {"key": {"name": "p256"}, "hash_alg": "SHA256", "data": b64(b"x")}
HOSTILE = "hostile-word-4711"
WITH_TLS = {"hsmgate_tls_certificate_expires_timestamp_seconds"}
NAME = re.compile(r"\bhsmgate_[a-z_]+\b")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def token(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> FaultyToken:
    """A faulty token, under a gateway that logs JSON and has an audit log with signed heads."""
    folder = tmp_path_factory.mktemp("monitored")
    token = faulty(demo.config, folder)
    text = token.config.read_text()
    server = '[server]\nlog_format = "json"\nlog_level = "debug"\n'
    text = text.replace("[server]\n", server) if "[server]\n" in text else server + text
    token.config.write_text(text + f'\n[audit]\nfolder = "{folder}/audit"\nhead_key = "p384"\n')
    return token


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def monitored(demo: Demo, token: FaultyToken) -> AsyncIterator[Gateway]:
    async with serving(token.config, demo.api_key, token.config.with_name("log")) as gateway:
        await until_ready(gateway, 200)
        yield gateway


async def get(gateway: Gateway, path: str) -> tuple[int, str]:
    async with gateway.client.get(gateway.url + path) as response:
        return response.status, await response.text()


async def until_ready(gateway: Gateway, status: int) -> str:
    """Wait for that answer of /readyz."""
    async with asyncio.timeout(30):
        while (answer := await get(gateway, "/readyz"))[0] != status:
            await asyncio.sleep(0.05)
    return answer[1]


async def metrics(gateway: Gateway) -> str:
    await asyncio.sleep(0.21)  # who asks again sooner gets the same text
    return (await get(gateway, "/metrics"))[1]


def values(text: str, name: str, **labels: str) -> float:
    """The sum of the samples of that name that have these labels."""
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples if s.name == name]
    return sum(s.value for s in samples if labels.items() <= s.labels.items())


async def test_items_and_calls_are_counted(monitored: Gateway) -> None:
    before = await metrics(monitored)
    items = [ITEM] * 3 + [{"key": {"name": HOSTILE}}, {"key": {"name": HOSTILE}, "hash_alg": "SHA256", "data": ""}]
    await monitored.sign(items)
    async with monitored.client.request("PROPFIND", f"{monitored.url}/{HOSTILE}?{HOSTILE}") as response:
        assert response.status == 404
    async with monitored.client.get(f"{monitored.url}/crypto/v1/keys/{HOSTILE}/sign") as response:
        assert response.status == 405
    after = await metrics(monitored)

    def more(name: str, **labels: str) -> float:
        return values(after, name, **labels) - values(before, name, **labels)

    assert more("hsmgate_items_total", operation="sign", status="200", key_type="EC", mechanism="CKM_ECDSA") >= 3
    assert more("hsmgate_items_total", status="400", key_type="none", mechanism="none") == 1
    assert more("hsmgate_items_total", status="404", key_type="none", mechanism="none") == 1
    assert more("hsmgate_item_seconds_count") >= 5
    for name in ("hsmgate_item_queue_seconds", "hsmgate_item_signer_seconds"):
        assert more(f"{name}_count", token="demo") >= 3
        assert 0 < more(f"{name}_sum", token="demo") < 60
    assert more("hsmgate_http_calls_total", method="POST", route="/crypto/v1/keys/batch/sign", status="200") == 1
    assert more("hsmgate_http_calls_total", method="none", route="none", status="404") == 1
    assert more("hsmgate_http_calls_total", method="none", route="none", status="405") == 1
    assert HOSTILE not in after
    assert "p256" not in after
    assert values(after, "hsmgate_audit_records_total") > 2
    assert values(after, "hsmgate_audit_last_head_timestamp_seconds") > 1e9


async def test_what_is_exported_is_what_is_written_of_it(monitored: Gateway) -> None:
    text = await metrics(monitored)
    exported = set(re.findall(r"(?m)^# TYPE (\S+)", text))
    table = set(re.findall(r"(?m)^\| `(hsmgate_[a-z_]+)` \|", (ROOT / "docs/monitoring.md").read_text()))
    assert exported | WITH_TLS == table
    samples = {s.name for family in text_string_to_metric_families(text) for s in family.samples}
    for file in ("ops/grafana-dashboard.json", "ops/alerts.yml", "ops/alerts.test.yml"):
        named = set(NAME.findall((ROOT / file).read_text()))
        assert named
        assert named <= samples | exported | WITH_TLS, file


async def test_promtool_has_nothing_against_it(monitored: Gateway) -> None:
    text = await metrics(monitored)
    assert promtool("check", "metrics", text=text) == (0, "")


async def test_a_signer_that_is_killed_is_counted(monitored: Gateway) -> None:
    async with asyncio.timeout(20):
        while values(await metrics(monitored), "hsmgate_signers", state="ready") != 2:
            await asyncio.sleep(0.05)
    before = await metrics(monitored)
    monitored.kill_signers(1)
    async with asyncio.timeout(20):
        while True:
            text = await metrics(monitored)
            if values(text, "hsmgate_signer_restarts_total", token="demo", reason="killed") > values(
                before, "hsmgate_signer_restarts_total", token="demo", reason="killed"
            ):
                break
    assert values(text, "hsmgate_token_up", token="demo") == 1
    assert values(text, "hsmgate_signers_wanted", token="demo") == 2
    assert values(text, "hsmgate_ready") == 1


async def test_a_token_that_cannot_sign_is_not_ready(monitored: Gateway, token: FaultyToken) -> None:
    try:
        token.rules.set("C_Sign rv 0x30")
        answers = await monitored.sign([ITEM] * 4)
        assert {answer["status"] for answer in answers} <= {500, 503}
        assert await until_ready(monitored, 503) == "token demo: it has no signer\n"
        assert (await get(monitored, "/livez"))[0] == 200
        text = await metrics(monitored)
        assert (values(text, "hsmgate_token_up"), values(text, "hsmgate_ready")) == (0, 0)
        assert values(text, "hsmgate_signer_restarts_total", reason="token_lost") >= 1
    finally:
        token.rules.clear()
    await until_ready(monitored, 200)
    assert (await monitored.sign_one(ITEM))["status"] == 200
    assert values(await metrics(monitored), "hsmgate_token_up") == 1


async def test_the_log_is_json_line_by_line(monitored: Gateway, demo: Demo) -> None:
    headers = {"Authorization": f"Basic {monitored.api_key}", "X-Request-Id": "mine-1"}
    async with monitored.client.post(f"{monitored.url}/crypto/v1/sign", json=ITEM, headers=headers) as response:
        assert response.status == 200
    for sent in ('"}{"', "x" * 200, "a b", "'", "\u202e"):
        async with monitored.client.get(f"{monitored.url}/{HOSTILE}", headers={"X-Request-Id": sent}) as response:
            assert response.headers["X-Request-Id"] != sent
    await asyncio.sleep(0.1)
    log = monitored.log.read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
        assert line["level"] in ("debug", "info", "warning", "error")
        assert {"logger", "message", "pid"} <= line.keys()
    (call,) = (line for line in lines if line.get("request") == "mine-1")
    app = Config.load(demo.config).app[0].id
    assert call["milliseconds"] > 0
    assert {name: call[name] for name in ("level", "method", "route", "status", "items", "app", "peer")} == {
        "level": "info",
        "method": "POST",
        "route": "/crypto/v1/sign",
        "status": 200,
        "items": 1,
        "app": app,
        "peer": "127.0.0.1",
    }
    assert HOSTILE not in log
    assert any(line["level"] == "debug" and line.get("route") == "/metrics" for line in lines)
    assert any(line.get("reason") == "killed" and line["token"] == "demo" for line in lines)
    assert any(line["message"].startswith("token demo is up again") for line in lines)
    assert any(line["logger"] == "hsmgate.signer" and "gives up" in line["message"] for line in lines)
