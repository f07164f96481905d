"""Every target with its seeds and some hundred hostile inputs. `make fuzz` goes on from here."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

EXAMPLES = 150

every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


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


@every_target
def test_the_seeds(target: Target) -> None:
    for seed in target.seeds():
        assert len(seed) <= target.longest
        target.check(seed)


@every_target
def test_hostile_bytes(target: Target) -> None:
    seeds = target.seeds()

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=[*HealthCheck])
    @given(st.binary(max_size=300) | spoiled(target.longest, target.words, seeds))
    def run(data: bytes) -> None:
        target.check(data)

    run()
