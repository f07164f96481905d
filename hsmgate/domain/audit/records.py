"""The records of an audit log: one in a line of JSON, each with the hash of the line before it.

A chain is what one gateway process wrote, over all its files. Members that are null are left out.
"""

import functools
import hashlib
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

FORMAT_VERSION = 1
NO_HASH = "0" * 64
"""`prev` of a chain's first line."""


class Record(msgspec.Struct, tag_field="type", omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """What every line has.

    seq: the line's number in its chain, from 1.
    prev: SHA-256, in hex, of the line before, without its line end.
    time: UTC, ISO 8601 with milliseconds.
    """

    seq: int = 0
    prev: str = ""
    time: str


class Seen(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """A line of another chain that was there when a chain began: the last whole one of its newest file."""

    chain: str
    file: int
    seq: int
    hash: str


class Open(Record, tag="open", kw_only=True):
    """A file begins.

    file: its number in the chain, from 1.
    head_key: kid of the key that signs the chain's heads, if one does.
    others: what other chains' files were in the folder, in the first file of a chain only.
    """

    format: int
    chain: str
    file: int
    host: str
    pid: int
    version: str
    head_key: str | None = None
    others: list[Seen] = []


class Entry(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """An item of a batch.

    kid: of the token's key; for an item without one, the kid that it asked for, if it asked by kid.
    key: "inline" or "transient" for a key that the caller brought.
    mechanism: the PKCS#11 name; None where nothing was planned.
    sha256: of the item's `data` or `hash`, as `of` says; None where it had not exactly one of them.
    verified: what a verification found.
    ms: from the batch's arrival to the item's result. An item that was refused for a limit has its status alone.
    """

    kid: str | None = None
    key: str | None = None
    mechanism: str | None = None
    sha256: str | None = None
    of: str | None = None
    status: int
    verified: bool | None = None
    ms: float | None = None


class Batch(Record, tag="batch", kw_only=True):
    """Items that came in one call. `time` is when they had come.

    action: sign or verify.
    app: its id. address: the other end's, or "unix".
    """

    action: str
    request: str
    app: str
    app_name: str
    address: str
    items: list[Entry]


class Call(Record, tag="call", kw_only=True):
    """A call that is about keys or sessions. `time` is when it was answered."""

    action: str
    request: str
    app: str
    app_name: str
    address: str
    kid: str | None = None
    status: int


class Head(Record, tag="head", kw_only=True):
    """A signature over the chain up to a line.

    covers: that line's `seq`, and `hash` its hash.
    kid, algorithm: how it was signed. signature: base64, over `text()`.
    """

    chain: str
    covers: int
    hash: str
    kid: str
    algorithm: str
    signature: bytes = b""

    def text(self) -> bytes:
        """What is signed."""
        words = "hsmgate audit head", self.chain, self.covers, self.hash, self.time, self.kid, self.algorithm
        return " ".join(map(str, words)).encode()


class Gap(Record, tag="gap", kw_only=True):
    """The log could not be written for a while.

    since: when that began. reason: the error's name.
    records, items: how many were lost, or are not surely on the disk.
    withheld: whether what they would have told of, or tell of, was kept back from the callers.
    """

    since: str
    reason: str
    records: int
    items: int
    withheld: bool


class Close(Record, tag="close", kw_only=True):
    """The process ended in good order. Nothing but a head that covers this comes after it."""


AnyRecord = Open | Batch | Call | Head | Gap | Close

_R = TypeVar("_R", bound=Record)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyRecord] = msgspec.json.Decoder(AnyRecord)


def encode(record: Record) -> bytes:
    """The record as its line, without the line end."""
    return _encoder.encode(record)


def decode(line: bytes) -> AnyRecord | None:
    """The record in a line, None where there is none that `encode` gives just so."""
    try:
        record = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return record if encode(record) == line else None


def line_hash(line: bytes) -> str:
    """What the next line's `prev` is."""
    return hashlib.sha256(line).hexdigest()


def time_text(seconds: float) -> str:
    """A time as records have it, from seconds since 1970."""
    return f"{_second_text(int(seconds))}.{int(seconds * 1000) % 1000:03d}Z"


@functools.lru_cache(maxsize=4)
def _second_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
