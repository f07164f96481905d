"""Where attacks are tried: a gateway with an audit log, and apps of different grants."""

import asyncio
import contextlib
import io
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from tests.gateway_process import BATCH_SIGN, Gateway, app_section, serving
from tests.token_tool import Demo

ALL = 'operations = ["sign", "verify", "inline", "transient", "manage"]'
APPS = {
    "all": ALL,
    "mine": 'keys = ["p256"]',
    "strict": 'hashes = ["SHA256"]\npaddings = ["PSS"]\n' + ALL,
    "five": "items_per_second = 5",
    "web": f'keys = ["web-*"]\n{ALL}',
    "verifies": 'operations = ["verify"]',
}
"""By name, what the config says of them. `p384` signs the heads of the log."""

MIB = 1024 * 1024


@dataclass
class Stage:
    """A gateway under attack.

    keys: the apps' API keys. kids: of the demo's keys, by their names.
    """

    gateway: Gateway
    demo: Demo
    keys: dict[str, str] = field(repr=False)
    ids: dict[str, str]
    kids: dict[str, str]
    audit: Path

    async def call(
        self, app: str | None, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, str, dict[str, str]]:
        """Status, text and headers. A body of bytes goes as it is, any other as JSON; no app, no credentials."""
        sent = ({"Authorization": f"Basic {self.keys[app]}"} if app else {}) | headers
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        data = None if raw is None else io.BytesIO(raw)
        url = self.gateway.url + path
        async with self.gateway.client.request(method, url, data=data, headers=sent) as response:
            return response.status, await response.text("utf-8", "replace"), dict(response.headers)

    async def items(self, app: str, body: Any, path: str = BATCH_SIGN) -> list[dict[str, Any]]:
        """The answers to a batch."""
        status, text, _ = await self.call(app, "POST", path, body)
        assert status == 200, text[:300]
        answers: list[dict[str, Any]] = json.loads(text)
        return answers

    async def raw(self, sent: bytes, seconds: float = 5.0) -> bytes:
        """All that comes back for these bytes until the gateway hangs up, or is silent for a second."""
        address = urlsplit(self.gateway.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        got = b""
        with contextlib.suppress(OSError, TimeoutError):
            writer.write(sent)
            async with asyncio.timeout(seconds):
                while more := await asyncio.wait_for(reader.read(65536), 1.0):
                    got += more
        writer.close()
        return got

    @property
    def memory_mib(self) -> int:
        """Of the gateway process."""
        return int(psutil.Process(self.gateway.process.pid).memory_info().rss // MIB)

    async def beside(self, attack: Awaitable[Any]) -> tuple[Any, float, int]:
        """What the attack gave, the longest that a neighbour's items took meanwhile, in seconds, and MiB grown by."""
        before = peak = self.memory_mib
        going = asyncio.ensure_future(attack)
        longest = 0.0
        while True:
            started = time.monotonic()
            assert (await self.call("mine", "POST", "/crypto/v1/sign", item("p256")))[0] == 200
            longest = max(longest, time.monotonic() - started)
            peak = max(peak, self.memory_mib)
            if going.done():
                return going.result(), longest, peak - before
            await asyncio.sleep(0.02)


def item(name: str, hash_alg: str | None = "SHA256", **members: Any) -> dict[str, Any]:
    return {"key": {"name": name}, "hash_alg": hash_alg, "data": "eA=="} | members


@contextlib.asynccontextmanager
async def stage(demo: Demo, folder: Path) -> AsyncIterator[Stage]:
    """demo: whose token will be changed. folder: for the logs."""
    text = demo.config.read_text().partition("[[app]]")[0]
    keys, ids = {}, {}
    for name, words in APPS.items():
        section, ids[name], keys[name] = app_section(name, words)
        text += section
    text += f'[audit]\nfolder = "{folder / "audit"}"\nhead_key = "p384"\nfsync = "never"\n'
    config = demo.folder / "attacked.toml"
    config.write_text(text)
    kids = {label: str(uuid.UUID(ckaid)) for label, ckaid, _ in demo.public_keys()}
    async with serving(config, demo.api_key, folder / "attacks.log") as gateway:
        yield Stage(gateway, demo, keys, ids, kids, folder / "audit")


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack: it raises AssertionError where it gave something, else it returns what was seen.

    costly: whether it takes too long or too much for every run of the tests.
    """

    name: str
    what: str
    run: Callable[[Stage], Awaitable[str]]
    costly: bool


ATTACKS: dict[str, Attack] = {}


def attack(
    what: str, *, costly: bool = False
) -> Callable[[Callable[[Stage], Awaitable[str]]], Callable[[Stage], Awaitable[str]]]:
    """Note a function as an attack. what: as the page has it."""

    def note(run: Callable[[Stage], Awaitable[str]]) -> Callable[[Stage], Awaitable[str]]:
        name = run.__name__
        ATTACKS[name] = Attack(name, what, run, costly)
        return run

    return note
