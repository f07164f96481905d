"""A gateway whose config changes while it serves."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from hsmgate.gateway.sobjects import ACCOUNT_ID
from tests.gateway_process import BATCH_SIGN, Gateway, b64, serving
from tests.token_tool import Demo

pytestmark = pytest.mark.asyncio(loop_scope="session")

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

    async def status(self, item: Any = ITEM) -> tuple[int, str]:
        """Of an item that is signed now, and its error."""
        answer = await self.gateway.sign_one(item)
        return answer["status"], answer.get("error", "")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    own = demo.copy(tmp_path_factory.mktemp("reload") / "own")
    async with serving(own.config, own.api_key, own.folder / "reload.log") as gateway:
        yield Scene(own, gateway, own.config.read_text())


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
