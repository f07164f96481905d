"""Every target with its seeds and some hundred hostile inputs. `make fuzz` goes on from here."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.spoiling import spoiled
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

EXAMPLES = 150

every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


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
