"""Sockets that a service manager holds: one gateway takes over from another, and no call fails."""

import asyncio
import os
import signal
import socket
import subprocess
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.activation import Manager, listening, ready_line, start_on
from tests.gateway_process import HSMGATE
from tests.keepalive_load import load
from tests.secrets_scan import NotingResponse
from tests.token_tool import Demo

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_it_serves_on_what_was_handed_over_and_says_how_it_is(demo: Demo, tmp_path: Path) -> None:
    manager = Manager(tmp_path / "notify")
    path = tmp_path / "gate.sock"
    with listening() as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))
        unix.listen()
        watchdog = {"WATCHDOG_USEC": "400000", "LISTEN_FDNAMES": "tcp:unix"}
        process = await start_on((tcp, unix), demo.config, tmp_path / "log", manager.environment | watchdog)
        url = f"http://127.0.0.1:{tcp.getsockname()[1]}"
        assert await ready_line(process) == f"hsmgate serves on {url} unix:{path}"
        assert await manager.hears("") in ("READY=1", "WATCHDOG=1")
        for connector, base in ((None, url), (aiohttp.UnixConnector(str(path)), "http://gate")):
            async with (
                aiohttp.ClientSession(connector=connector, response_class=NotingResponse) as client,
                client.get(f"{base}/sys/v1/health") as response,
            ):
                assert response.status == 204
        _look_at_signers(process.pid, tcp)
        process.send_signal(signal.SIGHUP)
        assert "\nMONOTONIC_USEC=" in await manager.hears("RELOADING=1")
        await manager.hears("READY=1")
        await manager.hears("WATCHDOG=1")
        process.terminate()
        await manager.hears("STOPPING=1")
        assert await process.wait() == 0
    manager.close()
    assert path.is_socket()


def _look_at_signers(gateway: int, held: socket.socket) -> None:
    """They have neither the socket nor the words that go with it."""
    inode = f"socket:[{os.fstat(held.fileno()).st_ino}]"
    signers = psutil.Process(gateway).children()
    assert signers
    for signer in signers:
        folder = Path(f"/proc/{signer.pid}")
        assert b"LISTEN_" not in (folder / "environ").read_bytes()
        assert b"NOTIFY_SOCKET" not in (folder / "environ").read_bytes()
        assert inode not in [str(link.readlink()) for link in (folder / "fd").iterdir()]


async def test_an_upgrade_under_load_fails_no_call(demo: Demo, tmp_path: Path) -> None:
    workers = demo.folder / "handover.toml"
    workers.write_text(demo.config.read_text().replace("[server]\n", "[server]\nworkers = 2\n"))
    with listening() as held:
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        old = await start_on((held,), demo.config, tmp_path / "old.log")
        await ready_line(old)
        async with load(url, demo) as tally:
            await tally.reach(200)
            new = await start_on((held,), workers, tmp_path / "new.log")
            await ready_line(new)
            old.terminate()
            assert await asyncio.wait_for(old.wait(), 30) == 0
            after = tally.signed
            await tally.reach(200)
        assert not tally.failed, (tally.failed, tally.signed, after)
        assert tally.connections > 8  # some began with the old one
        new.terminate()
        assert await asyncio.wait_for(new.wait(), 30) == 0


async def test_what_cannot_be_served_on_is_refused_before_a_token_is_opened(demo: Demo) -> None:
    starter = "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.argv[1], sys.argv[1:])"

    async def refusal(count: str) -> str:
        done = await asyncio.to_thread(
            subprocess.run,
            [HSMGATE[0], "-c", starter, *HSMGATE, "serve", "--config", str(demo.config)],
            env={**os.environ, "LISTEN_FDS": count},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        return done.stderr.splitlines()[-1]

    assert (await refusal("1")).startswith("hsmgate: LISTEN_FDS: descriptor 3: ")
    assert await refusal("-1") == "hsmgate: LISTEN_FDS: not a number"
