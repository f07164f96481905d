"""Batches that are open, and one timer for all of their deadlines: nearly all are over long before."""

import asyncio
import time

from hsmgate.gateway.batch import Batch


class Deadlines:
    """Gives up batches whose time is up."""

    def __init__(self) -> None:
        self._open: set[Batch] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0  # when the timer rings, by CLOCK_MONOTONIC

    def add(self, batch: Batch) -> None:
        """Give the batch up when its time is up, unless it is removed before."""
        self._open.add(batch)
        if self._timer is None or batch.deadline < self._at:
            self._set(batch.deadline)

    def remove(self, batch: Batch) -> None:
        """It is over."""
        self._open.discard(batch)

    def give_up_all(self) -> None:
        """Do not wait for any of them."""
        for batch in self._open:
            batch.give_up()

    def _set(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._at = at
        self._timer = asyncio.get_running_loop().call_later(max(0.0, at - time.monotonic()), self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = time.monotonic()
        for batch in self._open:
            if batch.deadline <= now:
                batch.give_up()
        later = [batch.deadline for batch in self._open if batch.deadline > now]
        if later:
            self._set(min(later))
