"""What a service manager such as systemd hands over, and what it wants to hear.

Sockets that listen already: sd_listen_fds(3). Messages about ourselves: sd_notify(3). Both are variables in the
environment, which are taken out of it, so that no other process believes that they are meant for it.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Sequence
from typing import Self

from hsmgate.config import Config
from hsmgate.errors import ConfigError

log = logging.getLogger(__name__)

_FIRST_DESCRIPTOR = 3
_SEND_SECONDS = 1.0

START_SECONDS = 60
"""How long the start may go on after the last word of it."""

EXTEND_SECONDS = 15.0


def take_sockets() -> list[socket.socket]:
    """The sockets that this process was started with. Raises ConfigError where one is none to serve on."""
    words = {name: os.environ.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES", "PIDFDID")}
    if words["PID"] != str(os.getpid()):
        return []  # they were meant for a process that started this one
    if not (words["FDS"].isascii() and words["FDS"].isdigit()):
        raise ConfigError(["LISTEN_FDS: not a number"])
    end = _FIRST_DESCRIPTOR + int(words["FDS"])
    return [_listening(number) for number in range(_FIRST_DESCRIPTOR, end)]


def _listening(number: int) -> socket.socket:
    try:
        os.set_inheritable(number, False)
        inherited = socket.socket(fileno=number)
        listens = inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise ConfigError([f"LISTEN_FDS: descriptor {number}: {error.strerror}"]) from None
    inherited.setblocking(False)
    families = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
    if inherited.family not in families or inherited.type != socket.SOCK_STREAM or not listens:
        raise ConfigError(
            [f"LISTEN_FDS: descriptor {number}: not a TCP or unix stream socket that listens (systemd: Accept=no)"]
        )
    return inherited


class ServiceManager:
    """Who started this process and wants to know how it is; perhaps nobody.

    address: of its datagram socket, as in NOTIFY_SOCKET.
    watchdog_seconds: within which it wants a sign of life, time and again.
    """

    def __init__(self, address: str | None, watchdog_seconds: float | None) -> None:
        self._address = address
        self._watchdog_seconds = watchdog_seconds
        self._extended = -EXTEND_SECONDS

    @classmethod
    def take(cls) -> Self:
        """The one that the environment names."""
        address = os.environ.pop("NOTIFY_SOCKET", None)
        interval = os.environ.pop("WATCHDOG_USEC", "")
        meant_for = os.environ.pop("WATCHDOG_PID", str(os.getpid()))
        watched = meant_for == str(os.getpid()) and interval.isascii() and interval.isdigit() and int(interval)
        return cls(address, int(interval) / 1e6 if watched else None)

    def ready(self, address: str) -> None:
        """It can sign. Who started it by hand reads it in a line."""
        print(f"hsmgate serves on {address}", flush=True)
        self._tell("READY=1")

    def starting(self) -> None:
        """It is not ready yet, but at it: tokens may take long to open. To be said again and again."""
        now = time.monotonic()
        if now - self._extended >= EXTEND_SECONDS:
            self._extended = now
            self._tell(f"EXTEND_TIMEOUT_USEC={START_SECONDS * 1_000_000}")

    def reloaded(self) -> None:
        """It has loaded its config again, or refused it."""
        self._tell("READY=1")

    def took(self, config: Config, waiting: Sequence[str]) -> None:
        """It has taken that config over; who manages it does not care which."""

    def reloading(self) -> None:
        """It loads its config again; `reloaded` follows."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """It lets nobody in any more."""
        self._tell("STOPPING=1")

    async def reassure(self) -> None:
        """Give signs of life for ever, if they are wanted: twice as often as they must come."""
        while self.reassure_seconds is not None:
            self.live()
            await asyncio.sleep(self.reassure_seconds)

    @property
    def reassure_seconds(self) -> float | None:
        """How often a sign of life is to be given, if at all."""
        return None if self._watchdog_seconds is None else self._watchdog_seconds / 2

    def live(self) -> None:
        """A sign of life."""
        self._tell("WATCHDOG=1")

    def _tell(self, message: str) -> None:
        if self._address is None:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_SEND_SECONDS)
                sender.sendto(message.encode(), address)
        except OSError as error:
            log.warning("NOTIFY_SOCKET: %s", error.strerror or error)
