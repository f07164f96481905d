"""Where connections come in: sockets of our own, or those that a service manager has handed over."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hsmgate.errors import ConfigError
from hsmgate.gateway.preflight import check_socket

BACKLOG = 128
"""Connections that wait to be let in."""

Factory = Callable[[], asyncio.Protocol]


class Door:
    """What listens. Closing it leaves those in who came in."""

    def __init__(self, servers: Sequence[asyncio.Server], tls: bool) -> None:
        self.addresses = [address(one, tls) for server in servers for one in server.sockets]
        self._servers = servers
        # To be asked for before it is closed: afterwards it says nothing.
        self._empty = asyncio.gather(*(server.wait_closed() for server in servers))

    @classmethod
    async def open(cls, factory: Factory, listen: str, context: ssl.SSLContext | None) -> "Door":
        """Listen on an address of the config's. Raises ConfigError."""
        loop = asyncio.get_running_loop()
        try:
            if listen.startswith("unix:"):
                path = listen.removeprefix("unix:")
                check_socket(path)
                server = await loop.create_unix_server(factory, path, ssl=context, backlog=BACKLOG)
            else:
                host, _, port = listen.rpartition(":")
                server = await loop.create_server(factory, host.strip("[]"), int(port), ssl=context, backlog=BACKLOG)
        except OSError as error:
            raise ConfigError([f"cannot listen on {listen}: {error.strerror or error}"]) from None
        return cls([server], context is not None)

    @classmethod
    async def inherit(
        cls, factory: Factory, sockets: Sequence[socket.socket], context: ssl.SSLContext | None
    ) -> "Door":
        """Listen on sockets that others hold too: what they are bound to outlives this process."""
        loop = asyncio.get_running_loop()
        servers = []
        for inherited in sockets:
            if inherited.family == socket.AF_UNIX:
                kept: dict[str, Any] = {"cleanup_socket": False}  # uvloop's word: the path is for others to remove
                server = await loop.create_unix_server(
                    factory, sock=inherited, ssl=context, backlog=socket.SOMAXCONN, **kept
                )
            else:
                server = await loop.create_server(factory, sock=inherited, ssl=context, backlog=socket.SOMAXCONN)
            servers.append(server)
        return cls(servers, context is not None)

    def close(self) -> None:
        """Let nobody in any more."""
        for server in self._servers:
            server.close()

    async def emptied(self, timeout_seconds: float) -> bool:
        """Wait until all who came in have gone, those too whose TLS handshake lasts; whether it came to that."""
        done, _ = await asyncio.wait([self._empty], timeout=timeout_seconds)
        return bool(done)

    def forget(self) -> None:
        """Nobody waits for it any more."""
        self._empty.cancel()


def address(listening: socket.socket, tls: bool) -> str:
    """Its URL, or `unix:` and its path; @ stands for a name without a file (unix(7))."""
    name = listening.getsockname()
    if listening.family == socket.AF_UNIX:
        return f"unix:@{name[1:].decode('utf-8', 'replace')}" if isinstance(name, bytes) else f"unix:{name}"
    host, port = name[:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def bind(listen: str) -> list[socket.socket]:
    """Sockets that listen on an address of the config's, for several processes. Raises ConfigError."""
    try:
        if listen.startswith("unix:"):
            path = listen.removeprefix("unix:")
            check_socket(path)
            Path(path).unlink(missing_ok=True)
            bound = [_bound(socket.AF_UNIX, path)]
        else:
            host, _, port = listen.rpartition(":")
            found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            bound = [_bound(family, name) for family, name in {(family, name) for family, *_, name in found}]
    except OSError as error:
        raise ConfigError([f"cannot listen on {listen}: {error.strerror or error}"]) from None
    return bound


def _bound(family: int, name: Any) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    if family != socket.AF_UNIX:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    one.bind(name)
    one.listen(BACKLOG)
    return one
