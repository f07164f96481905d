"""Files as items of a batch: their digest or, for keys that sign whole messages, what they hold."""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol

from hsmgate.client.keys import Key
from hsmgate.errors import CommandError

CHUNK = 1024 * 1024
"""Bytes that are read at a time."""

LONGEST_MESSAGE = 24 * 1024 * 1024
"""Bytes of a whole message: no gateway takes a body of more than 32 MiB, and base64 takes a third more."""

DEFAULT_HASH = "SHA256"
PADDINGS: dict[str, dict[str, Any]] = {"pkcs1": {"PKCS1_V15": {}}, "pss": {"PSS": {}}}


class _Hasher(Protocol):
    def update(self, data: bytes, /) -> object: ...

    def digest(self) -> bytes: ...


def _ripemd160() -> _Hasher:
    from Crypto.Hash import RIPEMD160  # noqa: PLC0415 - seldom used

    return RIPEMD160.new()


def _plain(constructor: Callable[..., _Hasher], **options: int) -> Callable[[], _Hasher]:
    return lambda: constructor(usedforsecurity=False, **options)


HASHES: dict[str, Callable[[], _Hasher]] = {
    "SHA1": _plain(hashlib.sha1),
    "SHA224": _plain(hashlib.sha224),
    "SHA256": _plain(hashlib.sha256),
    "SHA384": _plain(hashlib.sha384),
    "SHA512": _plain(hashlib.sha512),
    "SHA3_224": _plain(hashlib.sha3_224),
    "SHA3_256": _plain(hashlib.sha3_256),
    "SHA3_384": _plain(hashlib.sha3_384),
    "SHA3_512": _plain(hashlib.sha3_512),
    "BLAKE2B256": _plain(hashlib.blake2b, digest_size=32),
    "BLAKE2B384": _plain(hashlib.blake2b, digest_size=48),
    "BLAKE2B512": _plain(hashlib.blake2b, digest_size=64),
    "BLAKE2S256": _plain(hashlib.blake2s, digest_size=32),
    "RIPEMD160": _ripemd160,
}
"""Of the contract's hashes, those that a file of any size is digested with here."""


class ItemMaker:
    """Makes the items of one command: all with one key, hash and padding.

    hash_name: of HASHES; None for what the key's type wants: SHA256, or none for keys that sign whole messages.
    padding: of PADDINGS; None for that of keys that have one, PKCS #1 v1.5.
    """

    def __init__(self, key: Key, hash_name: str | None, padding: str | None) -> None:
        self._hash = hash_name or (DEFAULT_HASH if key.hashed else None)
        self._kind = key.kind
        self._members: dict[str, Any] = {"key": {"kid": key.kid}}
        if self._hash is not None:
            self._members["hash_alg"] = self._hash
        if padding is not None:
            self._members["mode"] = PADDINGS[padding]

    def make(self, stream: BinaryIO, signature: bytes | None = None) -> bytes:
        """The item for what a file holds, as JSON. signature: to be verified. Raises CommandError and OSError."""
        payload = self._digest(stream) if self._hash is not None else self._message(stream)
        members = self._members | payload
        if signature is not None:
            members["signature"] = _base64(signature)
        return json.dumps(members).encode()

    def _digest(self, stream: BinaryIO) -> dict[str, str]:
        hasher = HASHES[self._hash or DEFAULT_HASH]()
        while chunk := stream.read(CHUNK):
            hasher.update(chunk)
        return {"hash": _base64(hasher.digest())}

    def _message(self, stream: BinaryIO) -> dict[str, str]:
        data = stream.read(LONGEST_MESSAGE + 1)
        if len(data) > LONGEST_MESSAGE:
            raise CommandError(f"too large: a key of type {self._kind} signs the file itself, not its digest")
        return {"data": _base64(data)}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
