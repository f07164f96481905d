"""Frames on a signer's socket: a stream of messages, each with its length before it.

    +----------------+------------------+
    | length, 4 bytes | length bytes     |
    | little endian   | msgpack message  |
    +----------------+------------------+

A length of 0 or above MAX_FRAME is refused: the two ends disagree, and the socket is of no more use.
"""

import struct
from collections.abc import Iterator

from hsmgate.errors import FrameError

KIB = 1024
MAX_FRAME = 64 * KIB * KIB
"""Bytes of the largest message: more than the largest item a gateway takes."""

_LENGTH = struct.Struct("<I")


def frame(message: bytes) -> bytes:
    """The message with its length before it. Raises FrameError where it is too large."""
    if not 0 < len(message) <= MAX_FRAME:
        raise FrameError(f"a message of {len(message)} bytes")
    return _LENGTH.pack(len(message)) + message


class FrameReader:
    """Cuts a stream into messages, however it arrives."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take what has arrived and give each message that is whole now. Raises FrameError."""
        buffer = self._buffer
        if not buffer and len(data) > _LENGTH.size and _LENGTH.unpack_from(data)[0] == len(data) - _LENGTH.size:
            # As most arrive: one message, whole.
            if len(data) - _LENGTH.size > MAX_FRAME:
                raise FrameError(f"a frame that says it has {len(data) - _LENGTH.size} bytes")
            yield data[_LENGTH.size :]
            return
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= _LENGTH.size:
                (size,) = _LENGTH.unpack_from(buffer, start)
                if not 0 < size <= MAX_FRAME:
                    raise FrameError(f"a frame that says it has {size} bytes")
                end = start + _LENGTH.size + size
                if len(buffer) < end:
                    break
                yield bytes(memoryview(buffer)[start + _LENGTH.size : end])
                start = end
        finally:
            del buffer[:start]
