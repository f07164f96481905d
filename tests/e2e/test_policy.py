"""What an app may do, and what it is told of what it may not: one gateway, and apps of every kind."""

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.e2e.test_batch_sign import MESSAGE, item, pss
from tests.gateway_process import BATCH_SIGN, Gateway, app_section, b64, serving
from tests.secrets_scan import NOTES
from tests.token_tool import Demo

pytestmark = pytest.mark.asyncio(loop_scope="session")

ALL = 'operations = ["sign", "verify", "inline", "transient", "manage"]'
POLICIES = {
    "all": ALL,
    "strict": 'hashes = ["sha256", "SHA512"]\npaddings = ["PSS"]\npayloads = ["data"]\n' + ALL,
    "hashes only": 'payloads = ["hash"]',
    "p256": f'keys = ["p256"]\n{ALL}',
    "five": "items_per_second = 5",
    "three": "items_in_flight = 3",
    "verifies": 'operations = ["verify"]',
}
SHA1 = item("p256", "SHA1")
HASHED = item("p256", hash=b64(hashlib.sha256(b"x").digest()), data=None)


@dataclass(frozen=True)
class Apps:
    """A gateway, and the API keys of its apps by the names of their policies."""

    gateway: Gateway
    keys: dict[str, str]
    kids: dict[str, str]

    async def call(self, app: str, method: str, path: str, body: Any = None) -> tuple[int, str, Any]:
        """Status, text and headers."""
        headers = {"Authorization": f"Basic {self.keys[app]}", "X-Request-Id": "the-same"}
        url = self.gateway.url + path
        async with self.gateway.client.request(method, url, json=body, headers=headers) as response:
            return response.status, await response.text(), response.headers

    async def batch(self, app: str, *items: Any, path: str = BATCH_SIGN) -> list[dict[str, Any]]:
        status, text, _ = await self.call(app, "POST", path, [*items])
        assert status == 200, text
        answers: list[dict[str, Any]] = json.loads(text)
        return answers

    async def statuses(self, app: str, *items: Any) -> list[int]:
        return [answer["status"] for answer in await self.batch(app, *items)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def apps(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Apps]:
    text = demo.config.read_text().partition("[[app]]")[0]
    keys = {}
    for name, words in POLICIES.items():
        section, _, keys[name] = app_section(name, words)
        text += section
    config = demo.folder / "policies.toml"
    config.write_text(text)
    kids = {label: str(uuid.UUID(ckaid)) for label, ckaid, _ in demo.public_keys()}
    log = tmp_path_factory.mktemp("policies") / "serve.log"
    async with serving(config, demo.api_key, log) as gateway:
        yield Apps(gateway, keys, kids)


@pytest.mark.parametrize(
    ("app", "asked", "text"),
    [
        ("strict", SHA1, "hash_alg: this app may not use SHA1"),
        ("strict", item("ed25519", "sha384"), "hash_alg: this app may not use SHA384"),
        ("strict", item("rsa2048", mode=pss("SHA1")), "mode.PSS.mgf.mgf1.hash: this app may not use SHA1"),
        ("strict", item("rsa2048", mode={"PKCS1_V15": {}}), "mode: this app may not use PKCS1_V15"),
        ("strict", item("rsa2048"), "mode: missing, and this app may not use PKCS1_V15, which that stands for"),
        ("strict", HASHED, "hash: this app may not sign it, only `data`"),
        ("hashes only", item("p256"), "data: this app may not sign it, only `hash`"),
        ("verifies", item("p256"), "this app may not sign"),
        (
            "hashes only",
            item("", key={"inline": {"value": "AAAA", "obj_type": "EC"}}, data=None, hash="AAAA"),
            "inline",
        ),
        ("hashes only", item("", key={"transient_key": "AAAA"}, data=None, hash="AAAA"), "transient"),
    ],
)
async def test_what_an_app_may_not_do_is_a_403_of_its_item(
    apps: Apps, app: str, asked: dict[str, Any], text: str
) -> None:
    (answer,) = await apps.batch(app, asked)
    assert answer["status"] == 403
    assert text in answer["error"]
    status, alone, _ = await apps.call(app, "POST", "/crypto/v1/sign", asked)
    assert (status, alone) == (403, answer["error"])


async def test_the_others_of_the_batch_are_signed(apps: Apps) -> None:
    good = [item("p256"), item("rsa2048", "sha512", mode={"PSS": {}}), item("ed25519", None), item("p384", "SHA512")]
    assert await apps.statuses("strict", SHA1, *good, HASHED) == [403, 200, 200, 200, 200, 403]
    assert await apps.statuses("all", SHA1, *good, HASHED) == [200] * 6
    assert await apps.statuses("hashes only", HASHED, *good) == [200] + [403] * 4


async def test_keys_that_a_caller_brings_are_under_the_same_rules(apps: Apps) -> None:
    private = rsa.generate_private_key(65537, 2048)
    NOTES.private_key("inline key", private)
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    wanted = {"transient": True, "obj_type": "RSA", "key_size": 2048}
    status, text, _ = await apps.call("strict", "POST", "/crypto/v1/keys", wanted)
    assert status == 201
    brought = ({"inline": {"value": b64(der), "obj_type": "rsa"}}, {"transient_key": json.loads(text)["transient_key"]})
    for key in brought:
        asked = item("", key=key)
        refused = [asked, asked | {"hash_alg": "SHA1", "mode": {"PSS": {}}}, asked | {"mode": {"PKCS1_V15": {}}}]
        assert await apps.statuses("strict", *refused, asked | {"mode": {"PSS": {}}}) == [403, 403, 403, 200]
        lying = asked | {"key": {"inline": {"value": b64(der), "obj_type": "EC"}}}
        assert (await apps.statuses("strict", lying))[0] in (400, 403)


async def test_verifying_is_under_none_of_the_rules_for_signing(apps: Apps) -> None:
    asked = [SHA1, HASHED, item("rsa2048", "SHA1", mode={"PKCS1_V15": {}}), item("rsa2048")]
    signed = await apps.batch("all", *asked)
    to_verify = [one | {"signature": done["body"]["signature"]} for one, done in zip(asked, signed, strict=True)]
    for app in ("all", "strict", "hashes only", "verifies"):
        answers = await apps.batch(app, *to_verify, path="/crypto/v1/keys/batch/verify")
        assert [answer["body"]["result"] for answer in answers] == [True] * 4


async def test_what_may_not_be_done_is_refused_before_there_is_a_key(apps: Apps) -> None:
    """So that the answer tells nothing of the key."""
    for asked in (SHA1, HASHED, item("p256", mode={"PKCS1_V15": {}})):
        answers = await apps.batch("strict", asked, asked | {"key": {"name": "no such key"}})
        assert answers[0] == answers[1]


async def test_more_than_the_limit_of_a_second_is_a_429_of_the_items_that_are_too_many(apps: Apps) -> None:
    """Counted: of thirty at once five are let in, and as many as fit into the time that it took."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    answers = await apps.batch("five", *[item("p256")] * 30)
    single = await apps.call("five", "POST", "/crypto/v1/sign", item("p256"))
    status, _, headers = await apps.call("five", "POST", BATCH_SIGN, [item("no such key")] * 30)
    seconds = loop.time() - started
    statuses = [answer["status"] for answer in answers]
    assert statuses == [200] * 5 + [429] * 25
    assert answers[-1]["error"] == "this app may have 5 items done per second; try again"
    if seconds < 0.2:  # no other item can have become free
        assert single[:2] == (429, answers[-1]["error"])
        assert single[2]["Retry-After"] == "1"
    assert (status, headers["Retry-After"]) == (200, "1")


async def test_more_than_the_limit_in_flight_is_a_429_and_what_is_done_makes_room(apps: Apps) -> None:
    assert await apps.statuses("three", *[item("rsa2048")] * 5) == [200, 200, 200, 429, 429]
    assert await apps.statuses("three", *[item("rsa2048")] * 3) == [200] * 3
    calls = [apps.batch("three", *[item("rsa4096")] * 3) for _ in range(20)]
    done = [[answer["status"] for answer in answers] for answers in await asyncio.gather(*calls)]
    assert [200] * 3 in done
    assert {status for statuses in done for status in statuses} <= {200, 429}
    assert await apps.statuses("three", *[item("rsa2048")] * 3) == [200] * 3


async def test_the_limits_of_one_app_are_not_those_of_another(apps: Apps) -> None:
    assert await apps.statuses("all", *[item("p256")] * 100) == [200] * 100


NOWHERE = str(uuid.uuid4())


async def test_a_key_that_is_not_there_and_one_of_others_are_refused_alike(apps: Apps) -> None:
    """By name and by kid, on every path: status, text and headers."""
    foreign = apps.kids["rsa2048"]
    for missing, others in (({"name": "no such key"}, {"name": "rsa2048"}), ({"kid": NOWHERE}, {"kid": foreign})):
        one, two = await apps.batch("p256", item("", key=missing), item("", key=others))
        assert one == two == {"status": 404, "error": "key: no such key"}
        for path in ("/crypto/v1/sign", "/crypto/v1/verify", "/crypto/v1/keys/info"):
            await same(apps, "POST", (path, path), [key_in(path, key) for key in (missing, others)])
    paths = [f"/crypto/v1/keys/{kid}" for kid in (NOWHERE, foreign)]
    await same(apps, "GET", paths)
    await same(apps, "DELETE", paths)
    await same(apps, "PATCH", paths, [{"enabled": False}] * 2)
    await same(apps, "PATCH", paths, [{"name": "p256"}] * 2)
    for action in ("sign", "verify"):
        body = {"hash_alg": "SHA256", "data": MESSAGE, "signature": "AAAA"}
        await same(apps, "POST", [f"{path}/{action}" for path in paths], [body] * 2)


async def test_names_that_others_have_taken_are_no_other_than_free_ones(apps: Apps) -> None:
    """A new key, an import, another name for a key of one's own, and the public keys that nobody published."""
    ec = {"obj_type": "EC", "elliptic_curve": "NistP256"}
    paths = ["/crypto/v1/keys"] * 2
    for names in (("no such key", "rsa2048"), ("p2567", "p384")):
        await same(apps, "POST", paths, [ec | {"name": name} for name in names], 403)
        await same(apps, "PUT", paths, [ec | {"name": name, "value": "AAAA"} for name in names], 403)
        own = [f"/crypto/v1/keys/{apps.kids['p256']}"] * 2
        await same(apps, "PATCH", own, [{"name": name} for name in names], 403)
        public = [f"/crypto/v1/pubkey/{NOWHERE}/{name}" for name in names]
        await same(apps, "GET", public)
    taken = await apps.call("p256", "POST", paths[0], ec | {"name": "p256"})
    assert taken[:2] == (409, "name: there is a key of that name")


async def test_a_listing_counts_and_shows_only_what_is_one_s_own(apps: Apps) -> None:
    for query in ("", "?name=rsa2048", "?start=a", f"?sort=kid&start={apps.kids['rsa2048']}"):
        status, text, _ = await apps.call("p256", "GET", f"/crypto/v1/keys{query}")
        assert {key["name"] for key in json.loads(text)} <= {"p256"}
        assert status == 200
    _, text, _ = await apps.call("p256", "GET", "/crypto/v1/keys?with_metadata=true")
    assert json.loads(text)["metadata"] == {"total_count": 1, "filtered_count": 1}


def key_in(path: str, key: dict[str, str]) -> Any:
    return key if path.endswith("info") else item("", key=key) | {"signature": "AAAA"}


async def same(apps: Apps, method: str, paths: Any, bodies: Any = (None, None), expected: int = 404) -> None:
    """Two calls of the app that may use p256 are refused, and alike."""
    answers = []
    for path, body in zip(paths, bodies, strict=True):
        status, text, headers = await apps.call("p256", method, path, body)
        answers.append((status, text, {name: value for name, value in headers.items() if name != "Date"}))
    assert answers[0] == answers[1], (method, paths)
    assert answers[0][0] == expected, answers
