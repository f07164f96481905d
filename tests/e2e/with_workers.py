"""Gateways with several workers."""

import asyncio
import contextlib
import re
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.activation import Manager, listening, ready_line, start_on
from tests.token_tool import Demo

READY = re.compile(r"worker \d+ is ready\n")


@dataclass
class Running:
    """A gateway with two workers, on an address that the test holds."""

    process: Process
    url: str
    manager: Manager
    log: Path

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    async def logs(self, text: str, count: int) -> None:
        """Wait until the log has the text so often."""
        async with asyncio.timeout(60):
            while self.log.read_text().count(text) < count:
                await asyncio.sleep(0.05)

    async def replace_worker(self) -> None:
        """Kill the older worker, and wait until another is ready."""
        ready = len(READY.findall(self.log.read_text()))
        min(self.workers(), key=psutil.Process.create_time).send_signal(signal.SIGKILL)
        async with asyncio.timeout(60):
            while len(READY.findall(self.log.read_text())) == ready:
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def with_workers(demo: Demo, folder: Path, *more: str) -> AsyncIterator[Running]:
    """more: lines for the end of the config."""
    config = demo.folder / "workers.toml"
    text = demo.config.read_text().replace("[server]\n", "[server]\nworkers = 2\n")
    config.write_text("\n".join([text, *more, ""]))
    manager = Manager(folder / "notify")
    # What the arbiter is killed over stays there.
    environment = manager.environment | {"TMPDIR": str(folder)}
    with listening() as held:
        process = await start_on((held,), config, folder / "serve.log", environment)
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        try:
            assert await ready_line(process) == f"hsmgate serves on {url}", (folder / "serve.log").read_text()
            await manager.hears("READY=1")
            yield Running(process, url, manager, folder / "serve.log")
        finally:
            manager.close()
            if process.returncode is None:
                process.terminate()
                await asyncio.wait_for(process.wait(), 40)
