"""Two gateways over two copies of a token, behind a real HAProxy with ops/haproxy.cfg: `make cluster`.

Callers sign through it on keep-alive connections while a gateway is killed, comes back, and both are upgraded in turn.
Prints how many calls there were in each phase and what became of them. Exit code 0 only if none failed but those in
flight on the gateway that was killed, and these were signed when their callers tried again, and if logs agree on ids.
"""

import asyncio
import contextlib
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.activation import ready_line
from tests.gateway_process import HSMGATE
from tests.keepalive_load import Tally, load
from tests.token_tool import Demo

EXAMPLE = Path(__file__).parents[2] / "ops" / "haproxy.cfg"
CALLERS, SLOW_CALLERS = 6, 2
CALLS_IN_A_PHASE = 300


@dataclass
class Box:
    """A gateway with a token of its own, and the port that HAProxy knows it by."""

    demo: Demo
    port: int
    log: Path
    process: Process | None = None

    async def start(self) -> None:
        with self.log.open("ab") as errors:
            self.process = await asyncio.create_subprocess_exec(
                *(*HSMGATE, "serve", "--config", str(self.demo.config), "--listen", f"127.0.0.1:{self.port}"),
                stdout=PIPE,
                stderr=errors,
            )
        assert (await ready_line(self.process)).startswith("hsmgate serves on"), self.log.read_text()

    async def end(self, number: int) -> int:
        """The exit code after that signal."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 40)


@dataclass
class Phases:
    """What the load came to, phase by phase."""

    tally: Tally
    lines: list[tuple[str, int, int, int]] = field(default_factory=list)
    _before: tuple[int, int, int] = (0, 0, 0)

    async def end(self, name: str) -> None:
        """Some more calls, and the phase is over."""
        await self.tally.reach(CALLS_IN_A_PHASE)
        now = (self.tally.signed, self.tally.failed.total(), self.tally.recovered)
        signed, failed, recovered = (after - before for after, before in zip(now, self._before, strict=True))
        self._before = now
        self.lines.append((name, signed, failed, recovered))
        print(f"| {name} | {signed} | {failed} | {recovered} |", flush=True)


async def main() -> int:
    """Run all phases. Returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="hsmgate-cluster-") as name:
        folder = Path(name)
        made = await asyncio.create_subprocess_exec(*HSMGATE, "init", str(folder / "one"), stdout=DEVNULL)
        assert await made.wait() == 0
        demo = Demo(folder / "one")
        boxes = [
            Box(demo, _free_port(), folder / "one.log"),
            Box(demo.copy(folder / "two"), _free_port(), folder / "two.log"),
        ]
        try:
            await asyncio.gather(*(box.start() for box in boxes))
            async with _haproxy(boxes, folder) as url, load(url, demo, CALLERS, SLOW_CALLERS) as tally:
                killed = await _phases(boxes, folder, Phases(tally))
                await _ids_are_one(url, folder)
        finally:
            await asyncio.gather(*(box.end(signal.SIGTERM) for box in boxes if box.process is not None))
    failed = tally.failed.total()
    print(f"signed: {tally.signed}; failed: {dict(tally.failed)}, of these signed at the second try: {tally.recovered}")
    return 0 if failed <= killed and tally.recovered == failed else 1


async def _phases(boxes: list[Box], folder: Path, phases: Phases) -> int:
    """Returns how many calls may have failed: those of callers that wait for an answer when a gateway is killed."""
    one, two = boxes
    print("| | signed | failed | of these signed at the second try |\n|---|---|---|---|")
    await phases.end("both serve")
    await one.end(signal.SIGKILL)
    await _until(folder, "box1", up=False)
    await phases.end("kill -9 of one, under load")
    failed = phases.tally.failed.total()
    await one.start()
    await _until(folder, "box1", up=True)
    await phases.end("it is started again")
    for box, name in ((one, "box1"), (two, "box2")):
        assert await box.end(signal.SIGTERM) == 0
        await box.start()
        await _until(folder, name, up=True)
        await phases.end(f"{name}: SIGTERM, and its successor")
    assert phases.tally.failed.total() == failed, "calls failed in an upgrade"
    return CALLERS + SLOW_CALLERS


async def _ids_are_one(url: str, folder: Path) -> None:
    """A call's id is the caller's own where it is fit for a log, and the same in HAProxy's log and in a gateway's."""
    async with aiohttp.ClientSession() as client:
        for sent in ("of-the-caller", "unfit for a log", None):
            headers = {} if sent is None else {"X-Request-Id": sent}
            async with client.get(f"{url}/sys/v1/version", headers=headers) as response:
                answered = response.headers["X-Request-Id"]
            assert (answered == sent) is (sent == "of-the-caller")
            await _logged(answered, folder)


async def _logged(request_id: str, folder: Path) -> None:
    async with asyncio.timeout(10):
        while True:
            proxy, *gateways = ((folder / f"{name}.log").read_text() for name in ("haproxy", "one", "two"))
            if f"{{{request_id}}}" in proxy and any(f"request {request_id}\n" in log for log in gateways):
                return
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def _haproxy(boxes: list[Box], folder: Path) -> AsyncIterator[str]:
    """HAProxy with the example's words, on free ports; its URL."""
    port = _free_port()
    text = EXAMPLE.read_text()
    for old, new in (("8443", port), ("8081", boxes[0].port), ("8082", boxes[1].port)):
        assert text.count(f"127.0.0.1:{old}") == 1
        text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
    config = folder / "haproxy.cfg"
    config.write_text(text.replace("global\n", f"global\n    stats socket {folder / 'stats'}\n", 1))
    with (folder / "haproxy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec("haproxy", "-f", str(config), stdout=log, stderr=log)
    try:
        for name in ("box1", "box2"):
            await _until(folder, name, up=True)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def _until(folder: Path, server: str, *, up: bool) -> None:
    """Wait until HAProxy's health check has seen it so (management guide, show stat)."""
    wanted = "UP" if up else "DOWN"
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_unix_connection(folder / "stats")
                writer.write(b"show stat\n")
                rows = [line.split(",") for line in (await reader.read()).decode().splitlines()]
                writer.close()
                # L7OK: a check that was made; a server counts as up before its first.
                if any(
                    row[1] == server and row[17] == wanted and row[36].startswith("L") for row in rows if len(row) > 36
                ):
                    return
            await asyncio.sleep(0.05)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
