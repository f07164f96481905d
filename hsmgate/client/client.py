"""A gateway, as a program asks it: calls out, values back, refusals as errors in its own words."""

import os
import ssl
from collections.abc import Mapping
from typing import Any, TypeVar

import aiohttp
import msgspec

from hsmgate.client.address import Address, Caller
from hsmgate.errors import ClientError, Refused, shown

CONNECT_SECONDS = 10.0
SILENT_SECONDS = 300.0
"""For how long a gateway may say nothing: longer than any sensible `request_timeout`."""

LONGEST_REASON = 64 * 1024
"""Bytes of a refusal that are read."""

_T = TypeVar("_T")


class Client:
    """Calls a gateway. Each call has a connection of its own: what was idle for long may be closed by then."""

    def __init__(self, address: Address, caller: Caller) -> None:
        """Raises ClientError where a file of the caller's cannot be used."""
        self.address = address
        self._headers: dict[str, str] = {"User-Agent": "hsmgate"}
        if caller.credential is not None:
            self._headers["Authorization"] = f"Bearer {caller.credential.reveal()}"
        self._tls: ssl.SSLContext | bool = caller.tls_context() if address.tls else True

    async def call(
        self, method: str, path: str, body: bytes | None = None, params: Mapping[str, str] | None = None
    ) -> tuple[bytes, float]:
        """The answer's body, and the seconds after which it says to try again, 0 where it does not.

        body: JSON. Raises Refused or ClientError.
        """
        connector = (
            aiohttp.TCPConnector(ssl=self._tls)
            if self.address.socket is None
            else aiohttp.UnixConnector(self.address.socket)
        )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout, headers=self._headers) as session,
                session.request(
                    method,
                    self.address.base + path,
                    data=body,
                    params=params,
                    headers={"Content-Type": "application/json"} if body is not None else None,
                    allow_redirects=False,  # the credential is for this gateway alone
                ) as response,
            ):
                if not 200 <= response.status < 300:
                    raise Refused(response.status, await _reason(response))
                return await response.read(), _seconds(response.headers.get("Retry-After", ""))
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeError) as error:
            raise ClientError(f"{self.address}: {_what_went_wrong(error)}") from None

    async def ask(
        self, kind: type[_T], method: str, path: str, body: Any = None, params: Mapping[str, str] | None = None
    ) -> _T:
        """The answer, as a value of that kind. body: what JSON can hold. Raises Refused or ClientError."""
        sent = None if body is None else msgspec.json.encode(body)
        answer, _ = await self.call(method, path, sent, params)
        return self.decode(answer, kind)

    def decode(self, answer: bytes, kind: type[_T]) -> _T:
        """An answer's JSON as a value of that kind. Raises ClientError."""
        try:
            return msgspec.json.decode(answer, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ClientError(f"{self.address}: what answers there is no hsmgate") from None


async def _reason(response: aiohttp.ClientResponse) -> str:
    """A refusal in the gateway's words; where they are no plain text, somebody in between has answered."""
    text = (await response.content.read(LONGEST_REASON)).decode("utf-8", "replace").strip()
    if response.content_type == "text/plain" and text:
        return shown(text)
    return f"{response.url.origin()} answered {shown(response.reason or '')}".rstrip()


def _seconds(retry_after: str) -> float:
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 5 else 0.0


# The first that fits counts.
_TROUBLES: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientConnectorDNSError, "there is no host of that name"),
    (UnicodeError, "there can be no host of that name"),
    (aiohttp.ClientSSLError, "TLS failed: it speaks no https, or wants a client certificate (--cert)"),
    (aiohttp.ServerDisconnectedError, "it hung up"),
    (TimeoutError, "it does not answer"),
)


def _what_went_wrong(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = getattr(error.certificate_error, "verify_message", "") or "it is not valid"
        return f"its certificate is not accepted: {reason}; --ca names the CA that it is of"
    said = next((text for kind, text in _TROUBLES if isinstance(error, kind)), None)
    system = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    number = getattr(system, "errno", None)
    return said or (os.strerror(number) if number else "it does not speak HTTP as it should")
