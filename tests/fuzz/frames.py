"""The socket between gateway and signer, in both directions."""

import struct
from collections.abc import Callable

from hsmgate.errors import FrameError
from hsmgate.ipc.frames import MAX_FRAME, FrameReader, frame
from hsmgate.ipc.messages import FromSigner, Open, ToSigner, decode_from_signer, decode_to_signer, encode
from tests.fuzz.target import Target, check_text
from tests.ipc.test_messages import FROM_SIGNER, TO_SIGNER

Decode = Callable[[bytes], ToSigner | FromSigner]


def check(data: bytes) -> None:
    """Messages, or a FrameError, the same however the stream is cut, and no more kept than has come.

    The first byte says into how many pieces, about.
    """
    stream = data[1:]
    size = len(stream) // (data[0] % 16 + 1 if data else 1) + 1
    whole = _cut(stream, len(stream) or 1)
    assert _cut(stream, size) == whole
    for message in whole[0]:
        _decode(decode_to_signer, message)
        _decode(decode_from_signer, message)


def _cut(stream: bytes, size: int) -> tuple[list[bytes], bool]:
    """The messages, and whether the stream was good to its end."""
    reader = FrameReader()
    found: list[bytes] = []
    try:
        for start in range(0, len(stream), size):
            found.extend(reader.feed(stream[start : start + size]))
            assert len(reader._buffer) <= start + size
    except FrameError as error:
        check_text(str(error))
        # A piece with both may have given its messages or not.
        return found, False
    assert all(0 < len(message) <= MAX_FRAME for message in found)
    return found, True


def _decode(decode: Decode, message: bytes) -> None:
    try:
        decoded = decode(message)
    except FrameError as error:
        check_text(str(error))
        return
    if isinstance(decoded, Open):
        assert decoded.pin not in repr(decoded) or decoded.pin in decoded.module + decoded.uri or len(decoded.pin) < 8
    assert type(decode(encode(decoded))) is type(decoded)


def seeds() -> list[bytes]:
    messages = [encode(message) for message in (*TO_SIGNER, *FROM_SIGNER)]
    streams = [*map(frame, messages), b"".join(map(frame, messages))]
    lying = [b"\xff\xff\xff\xff", struct.pack("<I", MAX_FRAME) + b"\x01", bytes(4)]
    # Lengths within a message that nothing follows: of arrays, maps, text and bytes (msgpack's specification).
    hollow = [frame(b"\x93\xa4Sign\x01" + head + b"\xff" * 4) for head in (b"\xdd", b"\xdf", b"\xdb", b"\xc6")]
    return [bytes((number % 16,)) + stream for number, stream in enumerate(streams + lying + hollow)]


TARGET = Target(
    name="frames",
    reads="the socket between gateway and signer: frames and messages, both ways",
    promise="messages, the same however the stream is cut, or a FrameError; nothing is made of the length it claims",
    check=check,
    seeds=seeds,
    longest=1024,
    words=[type(message).__name__.encode() for message in (*TO_SIGNER, *FROM_SIGNER)],
)
