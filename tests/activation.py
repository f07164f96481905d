"""Gateways on sockets that somebody else holds, as systemd starts them (sd_listen_fds(3), sd_notify(3))."""

import asyncio
import os
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.gateway_process import HSMGATE

# Puts the descriptors where they belong, and becomes the gateway: LISTEN_PID is its own id.
_STARTER = """
import fcntl, os, sys
count = int(sys.argv[1])
given = [int(number) for number in sys.argv[2 : 2 + count]]
copies = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 100) for number in given]
for number in given:
    os.close(number)
for place, copy in enumerate(copies, 3):
    os.dup2(copy, place)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2 + count], sys.argv[2 + count :])
"""


async def start_on(
    sockets: Sequence[socket.socket], config: Path, log: Path, environment: Mapping[str, str] | None = None
) -> Process:
    """`hsmgate serve` with these sockets from descriptor 3 on."""
    numbers = [str(one.fileno()) for one in sockets]
    with log.open("ab") as errors:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _STARTER, str(len(numbers)), *numbers),
            *(*HSMGATE, "serve", "--config", str(config)),
            stdout=PIPE,
            stderr=errors,
            pass_fds=[one.fileno() for one in sockets],
            env={**os.environ, "LISTEN_FDS": str(len(numbers)), **(environment or {})},
        )


async def ready_line(process: Process) -> str:
    """What it prints once it can sign."""
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()


def listening(host: str = "127.0.0.1") -> socket.socket:
    """A TCP socket that listens on a free port."""
    holder = socket.socket()
    holder.bind((host, 0))
    holder.listen(4096)
    return holder


class Manager:
    """The socket that a service manager reads messages from."""

    def __init__(self, path: Path) -> None:
        self.environment = {"NOTIFY_SOCKET": str(path)}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(path))

    async def hears(self, start: str) -> str:
        """The next message that begins so."""
        async with asyncio.timeout(30):
            while True:
                message = (await asyncio.get_running_loop().sock_recv(self._socket, 4096)).decode()
                if message.startswith(start):
                    return message

    def close(self) -> None:
        self._socket.close()
