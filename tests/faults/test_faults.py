"""The essential faults, as `make faults` brings them about, but shorter, and with no eye on how soon all is well."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.fault import see
from tests.faults.items import Mixer
from tests.faults.judge import Judge
from tests.faults.scenarios import ESSENTIAL, FAULTS
from tests.token_tool import Demo

HURRY = 0.4
SHARE = 0.5
"""The machine that runs the tests may be busy with others as well."""


@pytest.fixture(scope="module")
def mixer(demo: Demo) -> Mixer:
    return Mixer(demo)


@pytest.fixture(scope="module")
def judge(mixer: Mixer) -> Iterator[Judge]:
    with Judge(mixer.public_keys, mixer.kids) as judging:
        yield judging


@pytest.mark.parametrize("name", ESSENTIAL)
async def test_nothing_is_lost(name: str, demo: Demo, mixer: Mixer, judge: Judge, tmp_path: Path) -> None:
    outcome = await see(FAULTS[name], demo, mixer, judge, tmp_path, hurry=HURRY, share=SHARE)
    assert not outcome.complaints(timing=False)
    assert outcome.tally.verified
