"""A config that changes ten times a second while the gateway is busy."""

from pathlib import Path

import pytest

from benchmarks.reloads import Reloads
from tests.token_tool import Demo

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_no_item_fails_and_nothing_is_left_behind(demo: Demo, tmp_path: Path) -> None:
    """The short form of `python -m benchmarks.reloads`, where the figures come from."""
    own = demo.copy(tmp_path / "own")
    own.config.write_text(own.config.read_text().replace("signers = 2", "signers = 1"))  # each takes a while to start
    done = await Reloads(own, tmp_path).run(50, 5.0, blocks=2, calm_seconds=0.2)
    assert (done.signals, done.files, done.refused) == (49, 2, 0)
    assert done.loads > 2
    assert 0 < done.taken_up <= done.signals + done.files  # how many become one is the kernel's and the loop's affair
    assert done.failed == 0, done.items
    first, last = done.holdings[0], done.holdings[-1]
    assert (last.signers, last.descriptors) == (first.signers, first.descriptors)
    assert last.threads <= first.threads + 4  # those of the loop's executor come as they are needed, and stay
