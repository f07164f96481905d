"""The test stand: a demo of its own, bodies to send, the C loop, gateways of every size, and a bare server."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.load import Request
from hsmgate.provision.demo import make_demo
from tests.faults import module as faults
from tests.gateway_process import BATCH_SIGN, Gateway, serving
from tests.token_tool import MODULE, Demo
from tests.verify import verify

SIGN_LOOP = Path(__file__).with_name("sign_loop.c")
TOKEN_LABEL = "hsmgate-demo"  # noqa: S105 - a name


class Ceiling(msgspec.Struct):
    """What the C loop reached: signatures per second of all together, and the seconds of one in one thread."""

    per_second: float
    seconds_each: float


@dataclass(frozen=True, slots=True)
class Size:
    """How large a pool is and how slow its token: what a C_Sign takes, in milliseconds; 0 for SoftHSM itself."""

    signers: int = 2
    sessions: int = 1
    delay_ms: float = 0.0

    def __str__(self) -> str:
        return f"{self.delay_ms:g} {self.signers} {self.sessions}"


class Stand:
    """Everything in a folder that exists for the run."""

    def __init__(self, folder: Path) -> None:
        """Make the demo, and compile what is in C."""
        self._folder = folder
        make_demo(folder / "demo")
        self._demo = Demo(folder / "demo")
        self._keys = {label: (uuid.UUID(ckaid), key) for label, ckaid, key in self._demo.public_keys()}
        self._loop = folder / "sign_loop"
        compiler = os.environ.get("CC", "gcc")
        subprocess.run(  # noqa: S603 - words of ours
            [compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-o", self._loop, SIGN_LOOP, "-ldl", "-lpthread"],
            check=True,
        )
        self._slow_module = faults.build()

    async def ceiling(self, label: str, size: Size, seconds: float) -> Ceiling:
        """Sign with that key in C, in as many processes as there are signers, with a thread for each session."""
        module, environment = self._module(size)
        process = await asyncio.create_subprocess_exec(
            *(self._loop, module, TOKEN_LABEL, self._demo.folder / "pin", label),
            *(str(seconds), str(size.signers), str(size.sessions)),
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | environment,
        )
        printed, _ = await process.communicate()
        assert process.returncode == 0, "the C loop failed"
        return msgspec.json.decode(printed, type=Ceiling)

    @contextlib.asynccontextmanager
    async def gateway(self, size: Size, *, audit: bool = False) -> AsyncIterator[Gateway]:
        """A gateway with a pool of that size. audit: with an audit log, as it is by default but for signed heads."""
        module, environment = self._module(size)
        text = self._demo.config.read_text()
        for word, value in {
            "signers": str(size.signers),
            "sessions": str(size.sessions),
            "module": json.dumps(module),
            "env": f"{{ {', '.join(f'{name} = {json.dumps(value)}' for name, value in environment.items())} }}",
        }.items():
            text, found = re.subn(rf"(?m)^{word} = .*$", lambda _, line=f"{word} = {value}": line, text)  # type: ignore[misc]
            assert found == 1, f"the demo's config says {word} {found} times"
        if audit:
            text += f'\n[audit]\nfolder = "{self._folder / "audit"}"\nhead_key = "p384"\n'
        config = self._demo.folder / f"bench{'-audited' if audit else ''}.toml"
        config.write_text(text)
        async with serving(config, self._demo.api_key, self._folder / "gateway.log") as gateway:
            yield gateway

    def _module(self, size: Size) -> tuple[str, Mapping[str, str]]:
        """The module to load and the environment it wants."""
        environment = {"SOFTHSM2_CONF": str(self._demo.folder / "softhsm2.conf")}
        if not size.delay_ms:
            return MODULE, environment
        rules = self._folder / f"delay-{size.delay_ms}"
        if not rules.exists():
            faults.Rules(rules).set(f"C_Sign takes {size.delay_ms:g}")
        return str(self._slow_module), environment | {"FAULTS_MODULE": MODULE, "FAULTS_RULES": str(rules)}

    def items(self, label: str, count: int) -> list[dict[str, Any]]:
        """So many items of that key, each with a hash of its own."""
        kid = str(self._keys[label][0])
        hashes = (hashlib.sha256(str(number).encode()).digest() for number in range(count))
        return [{"key": {"kid": kid}, "hash_alg": "SHA256", "hash": base64.b64encode(h).decode()} for h in hashes]

    async def request(self, gateway: Gateway, label: str, count: int) -> Request:
        """The batch of `items` as a request. It is made once here, and every signature verified."""
        items = self.items(label, count)
        body = self.body(items)
        authorization = f"Basic {gateway.api_key}"
        headers = {"Authorization": authorization, "Content-Type": "application/json"}
        url = gateway.url + BATCH_SIGN
        async with gateway.client.post(url, data=body.open("rb"), headers=headers) as response:
            answer = await response.read()
            assert response.status == 200, answer.decode()
            # The status line, the headers and the empty line, each with its line end.
            head = len("HTTP/1.1 200 OK") + 2 + sum(len(k) + len(v) + 4 for k, v in response.raw_headers) + 2
        self._verify(label, items, json.loads(answer))
        return Request(url, body, authorization, head, len(answer))

    def body(self, items: list[dict[str, Any]]) -> Path:
        """A file with that batch."""
        text = json.dumps(items, separators=(",", ":"))
        file = self._folder / f"{hashlib.sha256(text.encode()).hexdigest()}.json"
        file.write_text(text)
        return file

    def _verify(self, label: str, items: list[dict[str, Any]], answers: list[dict[str, Any]]) -> None:
        """Raise unless every answer is the signature that was asked for."""
        kid, key = self._keys[label]
        for item, answer in zip(items, answers, strict=True):
            assert answer["status"] == 200, answer
            assert answer["body"]["kid"] == str(kid)
            verify(key, item, base64.b64decode(answer["body"]["signature"]))


@contextlib.asynccontextmanager
async def bare_server(sizes: list[int]) -> AsyncIterator[tuple[str, int]]:
    """The URL and the process id of a bare server that knows answers of these sizes."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.bare_server", *map(str, sizes)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip(), process.pid
    finally:
        process.terminate()
        await process.wait()
