"""Where a gateway is, whom it is believed by, and what shows who calls."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from hsmgate.domain.loopback import is_loopback
from hsmgate.errors import ClientError
from hsmgate.secret import Secret

_OVER_A_SOCKET = "http://localhost"


@dataclass(frozen=True, slots=True)
class Address:
    """A gateway's address.

    base: the URL before every path, without a slash at its end.
    socket: the unix socket to connect to instead of a host.
    """

    base: str
    socket: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `http://host:port`, `https://host:port` or `unix:PATH`. Raises ValueError, which quotes nothing."""
        if text.startswith("unix:"):
            if len(text) == len("unix:") or "\0" in text:
                raise ValueError("unix: wants a path")
            return cls(_OVER_A_SOCKET, text.removeprefix("unix:"))
        try:
            url = urlsplit(text)
            port = url.port
        except ValueError:
            raise ValueError("it is no URL") from None
        if url.scheme not in ("http", "https") or not url.hostname or not text.isprintable() or " " in text:
            raise ValueError("write it like https://host:port or unix:/run/hsmgate.sock")
        if url.username is not None or url.password is not None:
            raise ValueError("credentials do not belong in it; see --api-key-file")
        if url.path not in ("", "/") or url.query or url.fragment:
            raise ValueError("it has more than a host and a port")
        host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        return cls(f"{url.scheme}://{host}" + (f":{port}" if port is not None else ""))

    @property
    def tls(self) -> bool:
        """Whether it is https."""
        return self.base.startswith("https:")

    @property
    def overheard(self) -> bool:
        """Whether what is sent there crosses a network in the clear."""
        if self.tls or self.socket is not None:
            return False
        return not is_loopback(urlsplit(self.base).hostname or "")

    def __str__(self) -> str:
        return self.base if self.socket is None else f"unix:{self.socket}"


@dataclass(frozen=True, slots=True)
class Caller:
    """What shows who calls, and whom the gateway is believed by.

    credential: an API key, a session token or a JWT.
    certificate, certificate_key: the client's, PEM; the key may be in the certificate's file.
    ca: PEM of the CAs that a gateway's certificate may be of; None for the system's.
    """

    credential: Secret | None = None
    certificate: Path | None = None
    certificate_key: Path | None = None
    ca: Path | None = None

    def tls_context(self) -> ssl.SSLContext:
        """Raises ClientError where a file cannot be used."""
        context = ssl.create_default_context()
        if self.ca is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            _load(self.ca, lambda: context.load_verify_locations(self.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate is not None:
            chain, key = self.certificate, self.certificate_key
            _load(self.certificate, lambda: context.load_cert_chain(chain, key))
        return context


def _load(file: Path, load: Callable[[], None]) -> None:
    try:
        load()
    except ssl.SSLError:
        raise ClientError(f"{file}: no certificate, or not with that key, in PEM") from None
    except OSError as error:
        raise ClientError(f"{error.filename or file}: {error.strerror}") from None
