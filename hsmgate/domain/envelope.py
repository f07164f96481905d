"""What a `transient_key` is made of: a wrapped private key, and what it may be used for, sealed by the token.

    magic, 4 bytes | key id, 16 bytes | seal, 32 bytes | body, msgpack

The key id is the CKA_ID of two secret keys on the token: one that wrapped the private key, one that made the seal.
The seal is HMAC-SHA256 over everything else, so a blob is whole and ours before any of it is believed or unwrapped, on
every signer and every replica that has the token.
"""

from dataclasses import dataclass
from typing import Annotated

import msgspec

from hsmgate.domain.model import KeyType
from hsmgate.domain.times import LATEST
from hsmgate.errors import BadItem

_MAGIC = b"hgt1"
_ID, _SEAL = 16, 32
_HEAD = len(_MAGIC) + _ID + _SEAL
LARGEST_BLOB = 16 * 1024

TRANSIENT_TYPES = frozenset({KeyType.RSA, KeyType.EC})


class TransientKey(msgspec.Struct, frozen=True, array_like=True):
    """A wrapped private key and its limits.

    owner: id of the app that it was made for.
    type, variant, bits, public_key: as in `KeyInfo`.
    operations: DSM's words for what it may do: SIGN, VERIFY, …
    expires: seconds since 1970, UTC.
    mechanism, wrapped: CKM_… that wrapped it, and what came out.
    """

    owner: str
    type: KeyType
    variant: str | None
    bits: int
    public_key: bytes
    operations: list[str]
    expires: Annotated[int, msgspec.Meta(ge=0, le=LATEST)]
    mechanism: int
    wrapped: bytes

    def __repr__(self) -> str:
        return f"TransientKey(owner={self.owner!r}, type={self.type!r}, expires={self.expires})"


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(TransientKey)


@dataclass(frozen=True, slots=True, repr=False)
class Blob:
    """A blob taken apart, none of it to be believed until the seal was compared.

    sealed: the bytes that the seal is over.
    """

    key_id: bytes
    seal: bytes
    sealed: bytes

    @classmethod
    def read(cls, blob: bytes) -> "Blob":
        """Raises BadItem for what cannot be a blob of ours."""
        if not (_HEAD < len(blob) <= LARGEST_BLOB and blob.startswith(_MAGIC)):
            raise BadItem("key.transient_key: not a transient key of this service")
        at = len(_MAGIC) + _ID
        return cls(blob[len(_MAGIC) : at], blob[at:_HEAD], blob[:at] + blob[_HEAD:])

    def open(self) -> TransientKey:
        """What it says that it is: to be believed only if the seal was found right. Raises BadItem."""
        try:
            key = _decoder.decode(self.sealed[len(_MAGIC) + _ID :])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            key = None
        if key is None or key.type not in TRANSIENT_TYPES:
            raise BadItem("key.transient_key: made by another version of this service")
        return key


def to_seal(key_id: bytes, key: TransientKey) -> bytes:
    """The bytes that the seal is to be made over."""
    return _MAGIC + key_id + _encoder.encode(key)


def sealed(to_seal: bytes, seal: bytes) -> bytes:
    """The blob."""
    at = len(_MAGIC) + _ID
    return to_seal[:at] + seal + to_seal[at:]
