"""A gateway whose config changes while it serves."""

import asyncio
import contextlib
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from hsmgate.gateway.metrics import SHORTEST_SECONDS
from hsmgate.gateway.sobjects import ACCOUNT_ID
from tests.e2e.test_several_tokens import clone_of
from tests.gateway_process import BATCH_SIGN, Gateway, b64, serving
from tests.secrets_scan import NOTES
from tests.token_tool import Demo

pytestmark = pytest.mark.asyncio(loop_scope="session")

RSA = {"key": {"name": "rsa2048"}, "hash_alg": "SHA256", "data": b64(b"x")}
ONLY = {"key": {"name": "only"}, "hash_alg": "SHA256", "data": b64(b"x")}
ITEM = {"key": {"name": "p256"}, "hash_alg": "SHA256", "data": b64(b"x")}


@dataclass
class Scene:
    """A gateway, and its config as it was at the start."""

    demo: Demo
    gateway: Gateway
    text: str
    seen: int = field(default=0)

    async def take(self, text: str) -> str:
        """Have the gateway load a config, and wait for what it says."""
        self.seen = len(self.gateway.log.read_text())
        self.demo.config.write_text(text)
        os.kill(self.gateway.process.pid, signal.SIGHUP)
        return await self.said("taken over")

    async def said(self, text: str) -> str:
        """What the log says since the last config was written, once the text is in it."""
        async with asyncio.timeout(60):
            while text not in (log := self.gateway.log.read_text()[self.seen :]):
                await asyncio.sleep(0.01)
        return log

    def with_words(self, words: Mapping[str, Any], app: str = "") -> str:
        """The config with these words in [server], and more for the app."""
        server = "".join(f"{word} = {json.dumps(value)}\n" for word, value in words.items())
        return self.text.replace("[server]\n", f"[server]\n{server}") + app

    async def get(self, path: str) -> int:
        async with self.gateway.client.get(self.gateway.url + path) as response:
            return response.status

    async def metrics(self) -> str:
        """As they are now: who asks again at once gets the same text."""
        await asyncio.sleep(SHORTEST_SECONDS + 0.01)
        async with self.gateway.client.get(self.gateway.url + "/metrics") as response:
            return await response.text()

    async def told(self) -> Any:
        """What /status.json tells, in the next second: until then it is the same."""
        await asyncio.sleep(1.1)
        async with self.gateway.client.get(self.gateway.url + "/status.json") as response:
            return await response.json()

    async def tokens_up(self) -> set[str]:
        """The tokens that the metrics tell of."""
        return {*re.findall(r'hsmgate_token_up\{token="(\w+)"\} 1', await self.metrics())}

    async def status(self, item: Any = ITEM) -> tuple[int, str]:
        """Of an item that is signed now, and its error."""
        answer = await self.gateway.sign_one(item)
        return answer["status"], answer.get("error", "")

    def signers(self) -> set[int]:
        return {*self.gateway.signers()}

    async def left(self) -> None:
        """Wait until the token that was taken out has left."""
        await self.said("has left")

    @contextlib.asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """Batches all the time, of which no item may fail."""
        going = True
        count = 0

        async def call() -> None:
            nonlocal count
            while going:
                answers = await self.gateway.sign([ITEM, RSA])
                assert [answer["status"] for answer in answers] == [200, 200], answers
                count += 1
                await asyncio.sleep(0.005)

        calls = [asyncio.create_task(call()) for _ in range(2)]
        yield
        going = False
        await asyncio.gather(*calls)
        assert count > len(calls)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    own = demo.copy(tmp_path_factory.mktemp("reload") / "own")
    (own.folder / "wrong-pin").write_text("314159265\n")
    NOTES.secret("wrong PIN", "314159265")
    own.config.write_text(own.config.read_text().replace("signers = 2", "signers = 1"))  # each takes a while to start
    async with serving(own.config, own.api_key, own.folder / "reload.log") as gateway:
        yield Scene(own, gateway, own.config.read_text())


@pytest.fixture(scope="module")
def clone(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The `[[token]]` of another token, with the keys of the demo and one more."""
    folder = tmp_path_factory.mktemp("clone") / "clone"
    section = clone_of(scene.demo, folder)
    Demo(folder).make_key("only", "EC:prime256v1")
    return section


async def test_the_limits_are_those_of_the_config_as_it_is_now(scene: Scene) -> None:
    gateway = scene.gateway
    published = f"/crypto/v1/pubkey/{ACCOUNT_ID}/p256"
    assert await scene.get(published) == 404
    words = {
        "max_body": "1KiB",
        "max_items": 2,
        "max_waiting": 1,
        "strict_listing": True,
        "published_keys": ["p256"],
        "request_timeout": 1e-6,
    }
    assert "restart" not in await scene.take(scene.with_words(words))
    assert (await gateway.post([ITEM] * 3))[0] == 413
    assert (await gateway.post([ITEM | {"data": b64(bytes(1000))}]))[0] == 413
    late, beyond = await gateway.sign([ITEM, ITEM])
    assert (late["status"], beyond["status"]) == (504, 503)
    assert "max_waiting is 1" in beyond["error"]
    assert await scene.get(published) == 200
    await scene.take(scene.text)
    assert [answer["status"] for answer in await gateway.sign([ITEM] * 3)] == [200] * 3


async def test_a_call_keeps_the_limits_that_it_began_with(scene: Scene) -> None:
    """Its head is there and half of its body when the config changes."""
    body = json.dumps([ITEM] * 5).encode()
    arrived = asyncio.Event()

    async def in_two() -> AsyncIterator[bytes]:
        yield body[:100]
        await arrived.wait()
        yield body[100:]

    headers = {"Authorization": f"Basic {scene.gateway.api_key}"}
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        posting = group.create_task(_post(scene, in_two(), headers))
        await asyncio.sleep(0.2)
        await scene.take(scene.with_words({"max_items": 1, "max_body": "1KiB", "request_timeout": 0.05}))
        arrived.set()
        status, answer = await posting
    await scene.take(scene.text)
    assert status == 200, answer
    assert [item["status"] for item in json.loads(answer)] in ([200] * 5, [504] * 5)


async def _post(scene: Scene, body: AsyncIterator[bytes], headers: Mapping[str, str]) -> tuple[int, bytes]:
    async with scene.gateway.client.post(scene.gateway.url + BATCH_SIGN, data=body, headers=headers) as response:
        return response.status, await response.read()


async def test_an_apps_limits_are_those_of_the_config_as_it_is_now(scene: Scene) -> None:
    await scene.take(scene.with_words({}, app="items_in_flight = 2\n"))
    assert [answer["status"] for answer in await scene.gateway.sign([ITEM] * 3)] == [200, 200, 429]
    await scene.take(scene.text)
    assert [answer["status"] for answer in await scene.gateway.sign([ITEM] * 3)] == [200] * 3


async def test_a_token_comes_and_goes_and_no_item_fails(scene: Scene, clone: str) -> None:
    before = scene.signers()
    assert await scene.status(ONLY) == (404, "key: no such key")
    async with scene.load():
        assert "restart" not in await scene.take(scene.text + clone)
        assert await scene.status(ONLY) == (200, "")
        assert len(scene.signers()) > len(before)
        in_flight = asyncio.create_task(scene.gateway.sign([ONLY, RSA] * 100))
        await asyncio.sleep(0.05)
        await scene.take(scene.text)
        assert await scene.status(ONLY) == (404, "key: no such key")
        assert {answer["status"] for answer in await in_flight} == {200}
        await scene.left()
    assert scene.signers() == before
    async with asyncio.timeout(10):
        while await scene.tokens_up() != {"demo"}:
            await asyncio.sleep(0.05)


async def test_a_token_that_is_configured_anew_is_opened_beside_the_old_one(scene: Scene) -> None:
    before = scene.signers()
    async with scene.load():
        text = scene.with_words({"verify_signatures": "always"}).replace("sessions = 1", "sessions = 2")
        log = await scene.take(text)
        assert "changed: server.verify_signatures, token[0].sessions, token[0].verify_signatures" in log
        assert "restart" not in log
        await scene.left()
        assert not scene.signers() & before
    await scene.take(scene.text)
    await scene.left()


async def test_a_drained_token_takes_nothing_new_until_it_is_drained_no_more(scene: Scene, clone: str) -> None:
    drained = clone.replace("signers =", "drain = true\nsigners =")
    async with scene.load():
        await scene.take(scene.text + clone)
        signers = scene.signers()
        in_flight = asyncio.create_task(scene.gateway.sign([ONLY, RSA] * 100))
        await asyncio.sleep(0.05)
        await scene.take(scene.text + drained)
        assert await scene.status(ONLY) == (503, "token clone is drained and takes nothing new at present; try again")
        assert {answer["status"] for answer in await in_flight} == {200}
        assert [token["drained"] for token in (await scene.told())["tokens"]] == [False, True]
        assert 'hsmgate_token_drained{token="clone"} 1.0' in await scene.metrics()
        await scene.take(scene.text + clone.replace("signers =", "required = false\nsigners ="))
        assert [token["required"] for token in (await scene.told())["tokens"]] == [True, False]
        await scene.take(scene.text + clone)
        assert await scene.status(ONLY) == (200, "")
    assert scene.signers() == signers, "all the time"
    await scene.take(scene.text.replace("signers =", "drain = true\nsigners =") + drained)
    assert (await scene.status())[0] == 503
    assert await scene.get("/sys/v1/health") == await scene.get("/readyz") == 503
    await scene.take(scene.text)
    await scene.left()
    assert await scene.get("/sys/v1/health") == 204


async def test_a_refused_config_is_told_of_until_one_is_taken(scene: Scene) -> None:
    successful = "\nhsmgate_config_last_reload_successful"
    wrong = scene.text.replace("signers = 1", "signers = 0")
    scene.demo.config.write_text(wrong)
    await scene.said("the config is not taken over: token[0].signers")
    assert f"{successful} 0.0\n" in await scene.metrics()
    told = await scene.told()
    assert told["config_refused"] == ["token[0].signers"]
    assert any(error["what"].startswith("a new config was refused") for error in told["errors"])
    scene.demo.config.write_text(scene.text)  # which is what is in force
    async with asyncio.timeout(20):
        while f"{successful} 1.0\n" not in await scene.metrics():
            pass
    assert (await scene.told())["config_refused"] == []


WRONG = {
    "a module that is not there": ("libsofthsm2.so", "nothing.so", "nothing.so"),
    "a token that is not there": ("token=hsmgate-demo", "token=nowhere", "matches no token"),
    "a PIN that is not there": ("file:pin", "file:no-pin", "pin_source file:no-pin: No such file"),
    "a name twice": ('"clone"', '"demo"', "stands more than once"),
    "a word that nobody knows": ("signers =", "singers =", "singers: unknown key"),
    "a value of another type": ("signers = 1", 'signers = "2"', "signers: input should be a valid integer"),
    "half a file": ("signers = 1", "signers = [", ""),
}


@pytest.mark.parametrize("mistake", WRONG)
async def test_a_config_with_a_mistake_is_refused_in_full(scene: Scene, clone: str, mistake: str) -> None:
    before, (old, new, said) = scene.signers(), WRONG[mistake]
    assert old in clone
    log = await scene.take(scene.with_words({"max_items": 1}) + clone.replace(old, new))
    assert "the config is not taken over: " in log
    assert said in log
    assert (await scene.gateway.post([ITEM] * 2))[0] == 200
    assert await scene.status(ONLY) == (404, "key: no such key")
    assert scene.signers() == before


async def test_a_pin_that_a_token_refused_is_not_tried_again_however_it_is_configured(scene: Scene, clone: str) -> None:
    wrong = clone.replace("file:pin", "file:wrong-pin")
    first = await scene.take(scene.text + wrong)
    assert "the token refused the PIN (CKR_PIN_INCORRECT); it was tried once" in first
    renamed = wrong.replace('"clone"', '"another"').replace("pkcs11:", "pkcs11:manufacturer=SoftHSM%20project;")
    for section in (wrong, renamed):
        assert "not taken over: token" in (log := await scene.take(scene.text + section))
        assert "the token has refused this PIN before (CKR_PIN_INCORRECT); it is not tried again" in log
    await scene.take(scene.text)


async def test_a_newer_config_takes_the_place_of_one_whose_token_is_still_opening(scene: Scene, clone: str) -> None:
    hanging = clone.replace("file:pin", "command:sleep 1000")
    before = scene.signers()
    scene.demo.config.write_text(scene.text + hanging)
    os.kill(scene.gateway.process.pid, signal.SIGHUP)
    await asyncio.sleep(0.3)
    log = await scene.take(scene.with_words({"max_items": 1}))
    assert "the config is taken over for 2 requests, changed: server.max_items" in log
    assert (await scene.gateway.post([ITEM] * 2))[0] == 413
    assert await scene.status() == (200, "")
    await scene.take(scene.text)
    async with asyncio.timeout(30):
        while scene.signers() != before:
            await asyncio.sleep(0.05)
