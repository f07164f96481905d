"""TLS, as the config and its three files have it, also after the files have changed."""

import asyncio
import hashlib
import logging
import math
import re
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self

from cryptography import x509

from hsmgate.config import Config
from hsmgate.errors import ConfigError
from hsmgate.gateway.reload import Party, Takeover

WATCH_SECONDS = 0.5
"""How often the files are looked at. What has changed is read when it has then stayed the same for as long."""

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: what has forward secrecy and authenticates what it encrypts (RFC 9325, section 4.2). 1.3 has no other."""

WORDS = frozenset({"server.tls_certificate", "server.tls_key", "server.client_ca", "server.client_certificates"})

log = logging.getLogger(__name__)

_PEM_BLOCK = re.compile(rb"-----BEGIN .+?-----END [^\n]+?-----", re.DOTALL)

_Stamp = tuple[tuple[int, ...] | None, ...]


@dataclass(frozen=True, slots=True)
class ClientCa:
    """What the client certificates of a connection were verified against.

    blocks: the PEM blocks of the file, each without its line ends.
    """

    blocks: frozenset[bytes] = frozenset()

    @classmethod
    def read(cls, file: Path) -> Self:
        """Raises OSError."""
        return cls(frozenset(b"".join(block.split()) for block in _PEM_BLOCK.findall(file.read_bytes())))

    @property
    def id(self) -> str:
        """What stands for the blocks, in whatever order: the same in every process that has them."""
        return hashlib.sha256(b"\n".join(sorted(self.blocks))).hexdigest()


NO_CLIENT_CA = ClientCa()


class _Context(ssl.SSLContext):
    """The context of connections that begin with the same files."""

    client_ca = NO_CLIENT_CA


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The PEM files of certificate (with its chain), key, and the CA of clients, where there is one.

    required: whether a client must show a certificate of that CA.
    """

    certificate: Path
    key: Path
    client_ca: Path | None
    required: bool

    @classmethod
    def of(cls, config: Config) -> Self | None:
        """The files of a config, None where it has none."""
        server = config.server
        if server.tls_certificate is None or server.tls_key is None:
            return None
        client_ca = config.path(server.client_ca) if server.client_ca is not None else None
        return cls(
            config.path(server.tls_certificate),
            config.path(server.tls_key),
            client_ca,
            server.client_certificates == "required",
        )

    def load(self) -> _Context:
        """What the files say now. Raises ConfigError."""
        context = _Context(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise ConfigError([f"server.tls_certificate, server.tls_key: {_reason(error)}"]) from None
        if self.client_ca is not None:
            try:
                # First: a file that changes meanwhile is taken for the older one, and is soon read again.
                context.client_ca = ClientCa.read(self.client_ca)
                context.load_verify_locations(self.client_ca)
            except (OSError, ssl.SSLError) as error:
                raise ConfigError([f"server.client_ca: {_reason(error)}"]) from None
            context.verify_mode = ssl.CERT_REQUIRED if self.required else ssl.CERT_OPTIONAL
        return context

    def expires_at(self) -> float:
        """When the certificate does, in seconds since 1970; NaN where that cannot be read."""
        try:
            first, *_ = x509.load_pem_x509_certificates(self.certificate.read_bytes())
        except (OSError, ValueError):
            return math.nan
        return first.not_valid_after_utc.timestamp()

    def stamp(self) -> _Stamp:
        """What differs after a change: of a file, or of where a link to it leads."""
        return tuple(_stamp(file) for file in (self.certificate, self.key, self.client_ca) if file is not None)


class NewestContext(ssl.SSLContext):
    """A listener's context that is another, the newest, for each new connection.

    A context can be given a certificate while it serves, but a CA cannot be taken from it, nor the tickets with which
    that CA's clients resume a session unverified: so what has changed is a context of its own, with new ticket keys.
    asyncio and uvloop ask a context for nothing but `wrap_bio`.
    """

    newest: _Context

    def __new__(cls, newest: _Context) -> Self:
        """Start with this one."""
        self = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        self.newest = newest
        return self

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """A connection, by the newest context."""
        return self.newest.wrap_bio(incoming, outgoing, server_side, server_hostname, session)


class Tls:
    """The TLS side of a listener. `context` is what it listens with; open connections keep what they began with.

    expires_at: when the certificate does that new connections get, in seconds since 1970.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._taking = threading.Lock()
        self._seen = files.stamp()
        self._changed = False
        self.context = NewestContext(files.load())
        self.expires_at = files.expires_at()

    @classmethod
    def of(cls, config: Config) -> Self | None:
        """That of a config, None for plain http. Raises ConfigError."""
        files = TlsFiles.of(config)
        return cls(files) if files is not None else None

    @property
    def client_ca(self) -> ClientCa:
        """What client certificates are verified against now."""
        return self.context.newest.client_ca

    async def watch(self) -> None:
        """Follow the files, for ever."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Read the files again if they have changed, and have not changed since the last look.

        Files that cannot be read, or do not fit each other, leave what was, and are tried again when they change.
        """
        files = self._files
        stamp = files.stamp()
        if stamp != self._seen:
            self._seen, self._changed = stamp, True
        elif self._changed:
            self._changed = False
            try:
                newest, expires_at = files.load(), files.expires_at()
            except ConfigError as error:
                log.error("%s; what was there before stays in force until the files change again", error)
                return
            with self._taking:
                if files is self._files:  # else another config was taken over meanwhile
                    self.context.newest, self.expires_at = newest, expires_at
                    log.info("the TLS files have changed; new connections get what is in them now")

    @property
    def party(self) -> Party:
        """Takes other files. Whether it is https at all needs a restart."""
        return Party(WORDS, self._prepare, unable=lambda config: TlsFiles.of(config) is None)

    def _prepare(self, config: Config) -> Takeover:
        files = TlsFiles.of(config)
        if files is None or (files == self._files and not self._changed and files.stamp() == self._seen):
            return lambda: None
        stamp, newest, expires_at = files.stamp(), files.load(), files.expires_at()
        return lambda: self._take(files, stamp, newest, expires_at)

    def _take(self, files: TlsFiles, stamp: _Stamp, newest: _Context, expires_at: float) -> None:
        with self._taking:
            self._files, self._seen, self._changed = files, stamp, False
            self.context.newest, self.expires_at = newest, expires_at


def _stamp(file: Path) -> tuple[int, ...] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _no_password() -> NoReturn:
    """OpenSSL would ask for it at the terminal."""
    raise ValueError("the key is encrypted; it must be without a password")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
