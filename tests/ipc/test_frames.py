"""Frames: a stream cut into messages."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsmgate.errors import FrameError
from hsmgate.ipc.frames import MAX_FRAME, FrameReader, frame


@settings(deadline=None)
@given(messages=st.lists(st.binary(min_size=1, max_size=300), max_size=8), data=st.data())
def test_messages_come_out_whole_wherever_the_stream_is_split(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(frame, messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    reader = FrameReader()
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [message for piece in pieces for message in reader.feed(piece)] == messages


def test_a_message_is_given_as_soon_as_it_is_whole() -> None:
    reader = FrameReader()
    assert [list(reader.feed(bytes((byte,)))) for byte in frame(b"ab") + frame(b"c")] == [
        *([[]] * 5),
        [b"ab"],
        *([[]] * 4),
        [b"c"],
    ]


@pytest.mark.parametrize("size", [0, MAX_FRAME + 1, 2**32 - 1])
def test_an_impossible_length_is_refused_before_anything_of_it_arrives(size: int) -> None:
    reader = FrameReader()
    with pytest.raises(FrameError):
        list(reader.feed(struct.pack("<I", size)))
    with pytest.raises(FrameError):
        list(reader.feed(b""))


def test_what_came_before_garbage_is_still_given() -> None:
    messages = FrameReader().feed(frame(b"good") + b"\xff" * 8)
    assert next(messages) == b"good"
    with pytest.raises(FrameError):
        next(messages)


@pytest.mark.parametrize("size", [0, MAX_FRAME + 1])
def test_a_message_that_no_reader_would_take_is_not_framed(size: int) -> None:
    with pytest.raises(FrameError):
        frame(bytes(size))
