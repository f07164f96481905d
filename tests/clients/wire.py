"""Requests as bytes, over one connection that is kept, as the clients in Rust and Go send them (dsm-wire.md, 1.1)."""

import http.client
import socket
import ssl
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.clients.https import Https
from tests.clients.strict import Answer


class Connection:
    """A TLS connection that trusts the private CA alone."""

    def __init__(self, https: Https) -> None:
        self.host = https.url.removeprefix("https://")
        address, _, port = self.host.rpartition(":")
        trusting = ssl.create_default_context(cafile=https.ca)
        plain = socket.create_connection((address, int(port)), timeout=30)
        self._socket = trusting.wrap_socket(plain, server_hostname=address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, request: bytes) -> Answer:
        """The answer to a request, which is sent as it is."""
        self._socket.sendall(request)
        with http.client.HTTPResponse(self._socket, method=request.split()[0].decode()) as response:
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())


@dataclass(frozen=True)
class Rust:
    """hyper: small letters, no User-Agent, no Accept."""

    connection: Connection
    authorization: str | None

    def __call__(self, method: str, target: str, body: bytes | None = None) -> Answer:
        lines = [f"{method} {target} HTTP/1.1"]
        if self.authorization:
            lines.append(f"authorization: {self.authorization}")
        if body is not None:
            lines.append("content-type: application/json")
        if method != "GET":
            lines.append(f"content-length: {len(body or b'')}")
        lines.append(f"host: {self.connection.host}")
        return self.connection.send("\r\n".join([*lines, "", ""]).encode() + (body or b""))


@dataclass(frozen=True)
class Go:
    """net/http: no Content-Type, and json.Encoder ends every body with a line feed."""

    connection: Connection
    authorization: str | None

    def __call__(self, method: str, target: str, body: bytes | None = None) -> Answer:
        sent = b"" if body is None else body + b"\n"
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.connection.host}", "User-Agent: Go-http-client/1.1"]
        if method != "GET":
            lines.append(f"Content-Length: {len(sent)}")
        if self.authorization:
            lines.append(f"Authorization: {self.authorization}")
        lines.append("Accept-Encoding: gzip")
        return self.connection.send("\r\n".join([*lines, "", ""]).encode() + sent)
