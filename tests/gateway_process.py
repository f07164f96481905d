"""A gateway as it really runs: `hsmgate serve`, its signers, HTTP."""

import asyncio
import base64
import contextlib
import io
import json
import os
import signal
import sys
import tomllib
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from hsmgate.domain.api_keys import make_api_key
from tests.secrets_scan import NOTES, NotingResponse, look_at_processes

HSMGATE = (sys.executable, "-m", "hsmgate")
HEARS_SIGINT = ("env", "--default-signal=INT")
"""Before a command, for who runs the tests in the background, where shells have SIGINT ignored."""
BATCH_SIGN = "/crypto/v1/keys/batch/sign"


@dataclass
class Gateway:
    """A serving gateway, and a client that has its API key."""

    process: asyncio.subprocess.Process
    url: str
    api_key: str = field(repr=False)
    client: aiohttp.ClientSession
    log: Path

    async def post(self, body: Any, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Status and body of a batch sign; `body` is sent as it is if it is bytes, else as JSON."""
        data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        sent = {"Authorization": f"Basic {self.api_key}"} if headers is None else headers
        async with self.client.post(self.url + BATCH_SIGN, data=data, headers=sent) as response:
            return response.status, await response.read()

    async def sign(self, items: Sequence[Any]) -> list[dict[str, Any]]:
        """The answers to a batch that is answered as one."""
        sent = {"Authorization": f"Basic {self.api_key}"}
        async with self.client.post(self.url + BATCH_SIGN, json=items, headers=sent) as response:
            assert response.status == 200, await response.text()
            answers: list[dict[str, Any]] = await response.json()
        assert len(answers) == len(items)
        return answers

    async def sign_one(self, item: Any) -> dict[str, Any]:
        (answer,) = await self.sign([item])
        return answer

    def signers(self) -> list[int]:
        """The process ids of the signers."""
        return [child.pid for child in psutil.Process(self.process.pid).children()]

    def kill_signers(self, count: int) -> None:
        for pid in self.signers()[:count]:
            os.kill(pid, signal.SIGKILL)

    async def logged(self, text: str) -> None:
        """Wait until the log has it: a thread writes it, a little later than what it tells happens."""
        await logged(self.log, text)

    async def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self.process.returncode is None:
            self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 40)


async def logged(log: Path, text: str) -> None:
    """Wait until that log has it."""
    async with asyncio.timeout(10):
        while text not in log.read_text():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def serving(config: Path, api_key: str, log: Path) -> AsyncIterator[Gateway]:
    """A gateway on a free port, whose secrets and outside are noted for the look-through at the end of the run."""
    _note_secrets(config, api_key)
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *(*HSMGATE, "serve", "--config", str(config), "--listen", "127.0.0.1:0"),
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
    assert line.startswith("hsmgate serves on http"), log.read_text()
    # The operating system's own limit on connections is enough.
    connector = aiohttp.TCPConnector(limit=0, ssl=False)
    timeout = aiohttp.ClientTimeout(total=100)
    look_at_processes(process.pid)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, response_class=NotingResponse) as client:
        gateway = Gateway(process, line.split()[-1], api_key, client, log)
        try:
            yield gateway
        finally:
            if process.returncode is None:
                look_at_processes(process.pid)
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with client.get(f"{gateway.url}/metrics", timeout=aiohttp.ClientTimeout(2)) as response:
                        NOTES.sight("/metrics", await response.read())
                await client.close()  # idle connections are given seconds before they are hung up on
                await gateway.stop()


def _note_secrets(config: Path, api_key: str) -> None:
    NOTES.api_key(api_key)
    files = {config.parent / "pin"}  # a demo's, whatever tells it
    for token in tomllib.loads(config.read_text()).get("token", ()):
        scheme, _, rest = token["pin_source"].partition(":")
        if scheme == "file":
            files.add(config.parent / rest)
        elif scheme == "env":
            NOTES.secret("PIN", os.environ.get(rest, ""))
    for file in files:
        if file.is_file():
            NOTES.secret("PIN", file.read_text().strip())


def app_section(name: str, words: str) -> tuple[str, str, str]:
    """A new [[app]] of the config, with those words; its id, and its API key."""
    app_id = str(uuid.uuid4())
    api_key, secret_sha256 = make_api_key(app_id)
    NOTES.api_key(api_key)
    text = f'[[app]]\nid = "{app_id}"\nname = "{name}"\nsecret_sha256 = "{secret_sha256}"\n{words}\n\n'
    return text, app_id, api_key


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
