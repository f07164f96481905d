"""A config that changes all the time, under load: python -m benchmarks.reloads [--seconds 60] [--out FILE].

Every request to reload finds another config: other limits, another app, now and then a token more or less. Most come by
SIGHUP; now and then the file is only written. No item may fail, and nothing may be left behind.
"""

import argparse
import asyncio
import base64
import json
import os
import re
import shutil
import signal
import statistics
import sys
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from hsmgate.domain.api_keys import make_api_key
from hsmgate.provision.demo import make_demo
from tests.faults.page import table
from tests.gateway_process import Gateway, serving
from tests.token_tool import Demo
from tests.verify import verify

KEYS = ("p256", "ed25519", "rsa2048")
CALLERS = 4
ITEMS = 12
PAUSE_SECONDS = 0.02
"""Of a caller, after each answer: the signers of tokens that come need some of the machine too."""

BLOCKS = 10
"""Parts of a run: in each a token comes or goes with the first of many SIGHUPs; then nobody tells of a change."""

NOTICED_SECONDS = 1.2
"""Until a changed file was noticed, by the gateway itself."""

REST_SECONDS = 0.5
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Holding:
    """What the gateway holds at a moment; memory in bytes, descriptors without those of its callers."""

    requests: int
    memory: int
    descriptors: int
    threads: int
    signers: int

    @classmethod
    def of(cls, gateway: Gateway, requests: int) -> "Holding":
        """What it holds after so many requests to reload."""
        process = psutil.Process(gateway.process.pid)
        signers = len(gateway.signers())
        callers = sum(connection.status == psutil.CONN_ESTABLISHED for connection in process.net_connections("inet"))
        descriptors = process.num_fds() - callers
        return cls(requests, process.memory_info().rss, descriptors, process.num_threads(), signers)

    def row(self) -> tuple[str, ...]:
        """As the table has it."""
        return (
            f"{self.requests:,}",
            f"{self.memory / MIB:.1f} MiB",
            *map(str, (self.descriptors, self.threads, self.signers)),
        )


@dataclass(slots=True)
class Outcome:
    """What became of a run; times in seconds.

    merged: SIGHUPs that came while the one before was pending, of which the kernel makes one.
    """

    signals: int = 0
    merged: int = 0
    files: int = 0
    tokens: int = 0
    loads: int = 0
    taken_up: int = 0
    refused: int = 0
    seconds: float = 0.0
    items: Counter[str] = field(default_factory=Counter)
    calm: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    holdings: list[Holding] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Items that were not signed."""
        return self.items.total() - self.items["200"]


class Reloads:
    """A gateway on a demo, whose config is written again and again."""

    def __init__(self, demo: Demo, folder: Path) -> None:
        """folder: for the demo's clone and the log."""
        self._demo = demo
        self._log = folder / "reloads.log"
        self._text = demo.config.read_text()
        self._clone = _clone(demo, folder / "clone")
        self._has_clone = False
        self._public_keys = {label: key for label, _, key in demo.public_keys()}
        self._app: tuple[str, str] = "", ""
        self._number = 0
        self.outcome = Outcome()

    async def run(self, requests: int, seconds: float, *, blocks: int, calm_seconds: float) -> Outcome:
        """So many requests to reload in so many seconds, under load. calm_seconds: of load alone before."""
        done = self.outcome
        async with serving(self._demo.config, self._demo.api_key, self._log) as gateway:
            stopped = asyncio.Event()
            callers = [asyncio.create_task(self._call(gateway, stopped)) for _ in range(CALLERS)]
            await asyncio.sleep(calm_seconds)
            done.calm, done.latencies = done.latencies, []
            done.holdings.append(Holding.of(gateway, 0))
            began = time.monotonic()
            for block in range(blocks):
                await self._block(gateway, requests // blocks, began + (block + 1) * seconds / blocks)
                done.holdings.append(Holding.of(gateway, done.signals + done.files))
            done.seconds = time.monotonic() - began
            stopped.set()
            await asyncio.gather(*callers)
            self._has_clone = False
            await self._until_in_force(gateway)
            await self._until_at_rest(gateway)
            done.holdings.append(Holding.of(gateway, done.signals + done.files))
        log = self._log.read_text()
        taken = re.findall(r"the config is taken over(?: for (\d+) requests)?,", log)
        done.loads, done.taken_up = len(taken), sum(int(count or 1) for count in taken)
        done.refused = log.count("the config is not taken over")
        return done

    async def _block(self, gateway: Gateway, requests: int, until: float) -> None:
        """Requests at even intervals until then, the last of them by the file alone."""
        interval = (until - NOTICED_SECONDS - time.monotonic()) / (requests - 1)
        next_at = time.monotonic()
        for number in range(requests - 1):
            if number == 0:
                self._has_clone = not self._has_clone
                self.outcome.tokens += 1
            self._write()
            self._ask(gateway)
            next_at += interval
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
        before = self._count()
        self._write()
        self.outcome.files += 1
        await asyncio.sleep(max(0.0, until - time.monotonic()))
        async with asyncio.timeout(30):
            while self._count() == before:  # noqa: ASYNC110 - another process's log has no event to wait for
                await asyncio.sleep(0.05)

    def _ask(self, gateway: Gateway) -> None:
        self.outcome.merged += _pending(gateway.process.pid)
        os.kill(gateway.process.pid, signal.SIGHUP)
        self.outcome.signals += 1

    def _count(self) -> int:
        return self._log.read_text().count("the config is taken over")

    def _write(self) -> None:
        """Another config: the limits and the second app are others each time."""
        self._number += 1
        app_id = str(uuid.uuid4())
        api_key, secret_sha256 = make_api_key(app_id)
        self._app = api_key, self._app[0]
        limits = f"max_items = {1000 + self._number}\nmax_waiting = {10000 + self._number}\n"
        app = f'\n[[app]]\nid = "{app_id}"\nname = "{self._number}"\nsecret_sha256 = "{secret_sha256}"\n'
        text = self._text.replace("[server]\n", f"[server]\n{limits}") + app
        part = self._demo.config.with_suffix(".part")
        part.write_text(text + (self._clone if self._has_clone else ""))
        part.replace(self._demo.config)

    async def _until_in_force(self, gateway: Gateway) -> None:
        """Write one more, and wait until its app is let in and the one before is not."""
        self._write()
        self._ask(gateway)
        async with asyncio.timeout(60):
            while [await self._status(gateway, key) for key in self._app] != [204, 401]:  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.05)

    async def _until_at_rest(self, gateway: Gateway) -> None:
        """The token that was taken out last must have left."""
        async with asyncio.timeout(60):
            while len(gateway.signers()) > self.outcome.holdings[0].signers:  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.05)
        await asyncio.sleep(REST_SECONDS)

    async def _status(self, gateway: Gateway, api_key: str) -> int:
        headers = {"Authorization": f"Basic {api_key}"}
        async with gateway.client.post(f"{gateway.url}/sys/v1/session/refresh", headers=headers) as response:
            return response.status

    async def _call(self, gateway: Gateway, stopped: asyncio.Event) -> None:
        """Batches, until it is to stop. All statuses are counted, and one signature of each batch is verified."""
        number = 0
        while not stopped.is_set():
            items = [_item(KEYS[at % len(KEYS)], number + at) for at in range(ITEMS)]
            began = time.monotonic()
            answers = await gateway.sign(items)
            self.outcome.latencies.append(time.monotonic() - began)
            for answer in answers:
                self.outcome.items[f"{answer['status']} {answer.get('error', '')}".strip()] += 1
            at = number % ITEMS
            signature = base64.b64decode(answers[at].get("body", {}).get("signature", ""))
            verify(self._public_keys[KEYS[at % len(KEYS)]], items[at], signature)
            number += 1
            await asyncio.sleep(PAUSE_SECONDS)


def _pending(pid: int) -> bool:
    """Whether a SIGHUP waits for the process (proc_pid_status(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = re.findall(r"ShdPnd:\s*([0-9a-f]+)", status)
    return bool(int(mask, 16) & 1 << signal.SIGHUP - 1)


def _item(key: str, number: int) -> dict[str, Any]:
    data = base64.b64encode(f"item {number}".encode()).decode()
    return {"key": {"name": key}, "data": data} | ({"hash_alg": "SHA256"} if key != "ed25519" else {})


def _clone(demo: Demo, folder: Path) -> str:
    """The `[[token]]` of a copy of the demo's token."""
    shutil.copytree(demo.folder, folder)
    conf = folder / "softhsm2.conf"
    conf.write_text(conf.read_text().replace(str(demo.folder), str(folder)))
    section = demo.config.read_text().split("[[token]]")[1].split("[[app]]")[0]
    return "\n[[token]]" + section.replace('"demo"', '"clone"').replace('"softhsm2.conf"', json.dumps(str(conf)))


def page(done: Outcome) -> str:
    """The run as the documentation has it."""
    asked = done.signals + done.files
    errors = ", ".join(f"{status}: {count:,}" for status, count in done.items.items() if status != "200") or "none"
    lines = [
        f"{asked:,} requests to reload in {done.seconds:.0f} s became {done.loads:,} loads. {done.signals:,} came by "
        f"SIGHUP and {done.files} by writing the file and no more; a token came or went {done.tokens} times. The log "
        f"has the loads as taken over for {done.taken_up:,} requests, and {done.refused} as not; {done.merged} SIGHUPs "
        "came while the one before was still pending in the kernel, which makes one of them.",
        f"{done.items.total():,} items were sent meanwhile in batches of {ITEMS} by {CALLERS} callers, {done.failed} "
        f"of them failed. Errors: {errors}.",
        table(
            ("a batch took", "median", "99 %", "at most"),
            [("before", *_times(done.calm)), ("meanwhile", *_times(done.latencies))],
        ),
        "What the gateway held, the last line at rest and without the second token:",
        table(
            ("after so many requests", "memory", "file descriptors", "threads", "signers"),
            [holding.row() for holding in done.holdings],
        ),
    ]
    return "\n\n".join(lines) + "\n"


def _times(seconds: list[float]) -> tuple[str, ...]:
    parts = statistics.quantiles(seconds, n=100)
    return tuple(f"{1000 * value:.1f} ms" for value in (parts[49], parts[98], max(seconds)))


def main() -> int:
    """Run it. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--out", type=Path, help="write what it prints to this file, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_demo(Path(folder) / "demo")
        reloads = Reloads(Demo(Path(folder) / "demo"), Path(folder))
        done = asyncio.run(reloads.run(arguments.requests, arguments.seconds, blocks=BLOCKS, calm_seconds=5.0))
    if arguments.out:
        arguments.out.write_text(page(done))
    print(page(done))
    return 1 if done.failed or done.refused or not done.loads else 0


if __name__ == "__main__":
    sys.exit(main())
