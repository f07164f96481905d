"""The last minutes, second by second, for the status page: made of the figures that are kept anyway."""

import asyncio
import itertools
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import sub

from hsmgate.gateway.figures import BOUNDS_SECONDS
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.troubles import Trouble, Troubles

SECONDS = 900
"""How far it goes back."""


@dataclass(frozen=True, slots=True)
class Second:
    """What a second was like. Rates are items a second; p50 and p99 are of their milliseconds, None where none came.

    tokens: the rates of those that signers of each token gave back, by its name.
    """

    at: float
    ok: float
    failed: float
    p50_ms: float | None
    p99_ms: float | None
    waiting: int
    tokens: Mapping[str, float]
    troubles: Mapping[Trouble, int]


class History:
    """The last SECONDS seconds, and how many there have been."""

    def __init__(self, signer: BatchSigner, troubles: Troubles) -> None:
        self.count = 0
        self._signer = signer
        self._troubles_since_start = troubles
        self._seconds: deque[Second] = deque(maxlen=SECONDS)
        self._statuses = self._all_statuses()
        self._durations = [*signer.figures.seconds.counts]
        self._done = self._all_done()
        self._troubles: dict[Trouble, int] = {}

    async def keep(self) -> None:
        """Note each second that is over, for ever. Of those that the loop had no time for, each gets an even share."""
        noted = time.monotonic()
        while True:
            await asyncio.sleep(1 - (time.monotonic() - noted) % 1)
            over = int(time.monotonic() - noted)
            if over:
                noted += over
                self.note(over)

    def note(self, seconds: int) -> None:
        """So many seconds are over since the last time."""
        statuses, durations = self._new_items()
        troubles = dict(self._new_troubles())
        ok = statuses.pop(200, 0)
        waiting = sum(pool.waiting for pool in self._signer.pools)
        rates = round(ok / seconds, 1), round(statuses.total() / seconds, 1)
        done, before = self._all_done(), self._done
        tokens = {name: round(max(0, count - before.get(name, 0)) / seconds, 1) for name, count in done.items()}
        self._done = done
        times = quantile_ms(durations, 0.5), quantile_ms(durations, 0.99)
        now = time.time()
        for ago in range(min(seconds, SECONDS) - 1, -1, -1):
            self._seconds.append(Second(now - ago, *rates, *times, waiting, tokens, troubles if ago == 0 else {}))
        self.count += seconds

    def latest(self, seconds: int) -> Sequence[Second]:
        """The last so many seconds, as far as they are remembered."""
        return [*itertools.islice(self._seconds, max(0, len(self._seconds) - seconds), None)]

    def troubles(self) -> Iterator[tuple[Trouble, int, float]]:
        """What went wrong, how often and when last (seconds since 1970), the last first."""
        counts: dict[Trouble, int] = {}
        lasts: dict[Trouble, float] = {}
        for second in reversed(self._seconds):
            for trouble, count in second.troubles.items():
                counts[trouble] = counts.get(trouble, 0) + count
                lasts.setdefault(trouble, second.at)
        for trouble, last in lasts.items():
            yield trouble, counts[trouble], last

    def _new_items(self) -> tuple[Counter[int], list[int]]:
        """How many items there were since the last time, by status and by duration."""
        statuses, durations = self._all_statuses(), [*self._signer.figures.seconds.counts]
        new = statuses - self._statuses, [*map(sub, durations, self._durations)]
        self._statuses, self._durations = statuses, durations
        return new

    def _all_statuses(self) -> Counter[int]:
        statuses: Counter[int] = Counter()
        for (_, status, _, _), count in self._signer.figures.counts.items():
            statuses[status] += count
        return statuses

    def _all_done(self) -> dict[str, int]:
        return {pool.name: sum(pool.figures.in_signer.counts) for pool in self._signer.pools}

    def _new_troubles(self) -> Iterator[tuple[Trouble, int]]:
        """What went wrong since the last time, and how often."""
        for trouble, count in self._troubles_since_start.counts():
            new = count - self._troubles.get(trouble, 0)
            self._troubles[trouble] = count
            if new > 0:
                yield trouble, new


def quantile_ms(counts: Sequence[int], share: float) -> float | None:
    """The milliseconds that so large a share took at most, None where there is nothing.

    counts: of the buckets between BOUNDS_SECONDS. Inside a bucket they are taken to be spread evenly.
    """
    wanted = share * sum(counts)
    if not wanted:
        return None
    below = 0.0
    bounds = (0.0, *BOUNDS_SECONDS, BOUNDS_SECONDS[-1])
    for (low, high), count in zip(itertools.pairwise(bounds), counts, strict=True):
        if below + count >= wanted:
            return float(f"{1000 * (low + (high - low) * (wanted - below) / count):.3g}")
        below += count
    return 1000 * BOUNDS_SECONDS[-1]
