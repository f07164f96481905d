"""Good bytes made bad, for hypothesis."""

from collections.abc import Sequence

from hypothesis import strategies as st


@st.composite
def spoiled(draw: st.DrawFn, longest: int, words: Sequence[bytes], seeds: Sequence[bytes]) -> bytes:
    """A seed with some bytes changed, taken out, put in, repeated, or a word put in."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 3)):
            case 0:
                data[at : at + 1] = bytes((draw(st.integers(0, 255)),))
            case 1:
                del data[at : at + draw(st.integers(1, 40))]
            case 2:
                data[at:at] = draw(st.binary(max_size=20) | st.sampled_from([*words, b"\0"]))
            case _:
                data = data[:at] + data[at // 2 :]
    return bytes(data[:longest])
