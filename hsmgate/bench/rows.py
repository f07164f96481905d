"""What was measured, and what follows from it."""

from collections.abc import Sequence
from dataclasses import dataclass

GOOD_SHARE = 0.95
"""Of the best rate: what is above is as good, as far as a short measurement tells."""

SIGNERS_WANTED = 2
"""One signs on while the other is started anew."""


@dataclass(frozen=True, slots=True)
class Row:
    """A size of the pool and what it did.

    items_per_second: with more to do than it can.
    median_ms, p99_ms: for one item, with one item for each session to do.
    failed: why there are no figures, or not of every item; None where all went well.
    """

    signers: int
    sessions: int
    items_per_second: float = 0.0
    median_ms: float = 0.0
    p99_ms: float = 0.0
    failed: str | None = None


def recommended(rows: Sequence[Row]) -> Row | None:
    """Of the rows that are about as fast as the fastest, that with the fewest sessions in all; None where none is good.

    One with SIGNERS_WANTED signers or more comes before any other; of equals, the one that answers sooner.
    """
    good = [row for row in rows if row.failed is None]
    best = max((row.items_per_second for row in good), default=0.0)
    fast = [row for row in good if row.items_per_second >= GOOD_SHARE * best]
    return min(
        fast,
        key=lambda row: (row.signers < SIGNERS_WANTED, row.signers * row.sessions, row.p99_ms),
        default=None,
    )
