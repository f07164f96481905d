"""The public keys of identity providers (RFC 7517), kept at hand: no call waits for a provider that is away."""

import asyncio
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

log = logging.getLogger(__name__)

LARGEST_BYTES = 512 * 1024
TIMEOUT_SECONDS = 5.0

Jwk = dict[str, Any]


_ASKED = {"Accept": "application/json", "Accept-Encoding": "identity"}


class _UnusableError(ValueError):
    """What was read is no key set that we take; the text says why."""


class KeysNotHad(Exception):
    """The provider's keys could never be had so far."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file; a small one, so it is read again as often as others would ask whether it has changed."""

    file: Path
    fresh_seconds: float = 1.0
    retry_seconds: float = 0.5

    async def read(self) -> bytes:
        """The key set, JSON. Raises OSError or ValueError."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> bytes:
        with self.file.open("rb") as stream:
            content = stream.read(LARGEST_BYTES + 1)
        _check_size(content)
        return content


@dataclass(frozen=True, slots=True)
class UrlSource:
    """A URL. Redirects are not followed: the config says where the keys are."""

    url: str
    fresh_seconds: float = 300.0
    retry_seconds: float = 10.0

    async def read(self) -> bytes:
        """The key set, JSON. Raises OSError, aiohttp.ClientError, TimeoutError or ValueError."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False, headers=_ASKED) as client,
            client.get(self.url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise _UnusableError(f"status {response.status}")
            content = bytearray()
            async for piece in response.content.iter_any():
                content += piece
                _check_size(content)
            return bytes(content)


Source = FileSource | UrlSource
"""Where a key set is.

fresh_seconds: how long one that was read is good for. retry_seconds: at least so long from one reading to the next.
"""


def source_of(jwks: str, folder: Path) -> Source:
    """What a provider's `jwks` names; a file's path is relative to the folder."""
    return FileSource(folder / jwks.removeprefix("file:")) if jwks.startswith("file:") else UrlSource(jwks)


class KeySet:
    """One provider's keys, read again before they are stale. What was had last is good until there is another."""

    def __init__(self, name: str, source: Source) -> None:
        self._name = name
        self._source = source
        self._raw: bytes | None = None
        self._keys: dict[tuple[str, str], Jwk] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._read_at = -source.retry_seconds
        self._trouble: str | None = None

    def start(self) -> None:
        """Read it from now on."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())

    def stop(self) -> None:
        """Not any more. Who waits for a reading gets it."""
        if self._keeper is not None:
            self._keeper.cancel()

    @property
    def version(self) -> object:
        """Another object when other keys are there."""
        return self._keys

    async def find(self, kid: str, kty: str) -> Jwk | None:
        """The key of that id and type. One that is not there is asked for, if that was not done lately.

        Raises KeysNotHad.
        """
        if self._keys is None or (kid, kty) not in self._keys:
            await self._refresh()
        if self._keys is None:
            raise KeysNotHad
        return self._keys.get((kid, kty))

    async def _keep(self) -> None:
        while True:
            await self._refresh()
            await asyncio.sleep(self._source.retry_seconds if self._trouble else self._source.fresh_seconds)

    async def _refresh(self) -> None:
        """Read it, unless that was done lately. Who asks meanwhile waits for the same reading, which outlives them."""
        if self._reading is None or self._reading.done():
            if time.monotonic() - self._read_at < self._source.retry_seconds:
                return
            self._read_at = time.monotonic()
            self._reading = asyncio.create_task(self._read())
        await asyncio.shield(self._reading)

    async def _read(self) -> None:
        try:
            raw = await self._source.read()
            if raw != self._raw or self._trouble:
                self._keys = dict(_usable(raw))
                self._raw = raw
        except (OSError, aiohttp.ClientError, TimeoutError, ValueError, RecursionError) as error:
            self._tell(_trouble(error))
        else:
            self._tell(None)

    def _tell(self, trouble: str | None) -> None:
        """Log it once, not every time."""
        if trouble and not self._trouble:
            had = "those that were had last are used" if self._keys is not None else "its callers get a 503"
            log.error("jwt_provider %s: its keys cannot be read: %s; %s", self._name, trouble, had)
        elif self._trouble and not trouble:
            log.info("jwt_provider %s: its keys can be read again", self._name)
        self._trouble = trouble


def _usable(raw: bytes) -> Iterator[tuple[tuple[str, str], Jwk]]:
    """The set's public keys that sign and have an id, by id and type. Raises ValueError where it is no key set."""
    document = msgspec.json.decode(raw)
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list):
        raise _UnusableError("not a JSON object with a list of keys")
    for key in keys:
        if not isinstance(key, dict):
            continue
        kid, kty, operations = key.get("kid"), key.get("kty"), key.get("key_ops")
        signs = key.get("use", "sig") == "sig" and (not isinstance(operations, list) or "verify" in operations)
        private = "d" in key  # who published it gave it away
        if isinstance(kid, str) and isinstance(kty, str) and signs and not private:
            yield (kid, kty), key


def _check_size(content: bytes | bytearray) -> None:
    if len(content) > LARGEST_BYTES:
        raise _UnusableError(f"more than {LARGEST_BYTES} bytes")


def _trouble(error: Exception) -> str:
    """What to log: nothing that the provider wrote."""
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_SECONDS:g} s"
    if isinstance(error, msgspec.DecodeError | RecursionError):
        return "not JSON"
    if isinstance(error, _UnusableError):
        return str(error)
    return getattr(error, "strerror", None) or type(error).__name__
