"""How many items an app may have signed and verified: in a second, and at a time.

A bucket for each app holds a second's worth of items and fills by the second. An item takes its place whatever becomes
of it, so that asking for what one may not have is no faster than asking for what one may.
"""

import contextlib
import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hsmgate.domain.policy import Limits
from hsmgate.errors import TooMany
from hsmgate.gateway.auth import App
from hsmgate.gateway.workers.counts import Counts

_Item = TypeVar("_Item")


@dataclass(slots=True)
class Account:
    """What an app has left.

    items: that may come now; a part of one counts.
    at: when that was so, by the monotonic clock.
    """

    items: float
    at: float
    in_flight: int = 0

    def take(self, limits: Limits, count: int, now: float) -> tuple[int, TooMany]:
        """How many of so many items may come, and what is said of the others."""
        rate = _rate(limits)
        if now > self.at:
            self.items += (now - self.at) * rate
        self.items = min(rate, self.items)
        self.at = now
        refusal = TooMany("")
        if limits.in_flight is not None and count > limits.in_flight - self.in_flight:
            count = max(0, limits.in_flight - self.in_flight)
            refusal = TooMany(f"this app may have {limits.in_flight} items in flight; try again")
        if limits.per_second is not None:
            if count > int(self.items):
                count = int(self.items)
                refusal = TooMany(f"this app may have {limits.per_second} items done per second; try again")
            self.items -= count
        self.in_flight += count
        return count, refusal


class Quotas:
    """What apps have left of their limits, by their ids: an app that is configured anew goes on where it was."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds."""
        self._clock = clock
        self._accounts: dict[str, Account] = {}

    @contextlib.contextmanager
    def admit(self, app: App, limits: Limits, items: Sequence[_Item]) -> Iterator[Sequence[_Item | TooMany]]:
        """The items, those beyond a limit as the error that says so. The others are in flight until the end of it."""
        count, refusal = self._take(app.id, limits, len(items))
        try:
            yield items if count == len(items) else [*items[:count], *[refusal] * (len(items) - count)]
        finally:
            self._give_back(app.id, count)

    def forget_others(self, app_ids: Collection[str]) -> None:
        """These are the apps now; the others come back, if they do, as new ones."""
        self._accounts = {i: account for i, account in self._accounts.items() if i in app_ids or account.in_flight}

    def _take(self, app_id: str, limits: Limits, count: int) -> tuple[int, TooMany]:
        now = self._clock()
        account = self._accounts.get(app_id)
        if account is None:
            account = self._accounts[app_id] = Account(_rate(limits), now)
        return account.take(limits, count, now)

    def _give_back(self, app_id: str, count: int) -> None:
        account = self._accounts.get(app_id)
        if account is not None:  # one that has nothing in flight may have been forgotten
            account.in_flight -= count


class SharedQuotas(Quotas):
    """The same over all workers of a gateway, who count together."""

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self._counts = counts

    def _take(self, app_id: str, limits: Limits, count: int) -> tuple[int, TooMany]:
        now = self._clock()
        with self._counts.row(app_id) as row:
            items = _rate(limits) if row.at == 0 else row.items
            account = Account(items, row.at or now, row.in_flight())
            count, refusal = account.take(limits, count, now)
            row.put(account.items, account.at, count)
        return count, refusal

    def _give_back(self, app_id: str, count: int) -> None:
        with self._counts.row(app_id) as row:
            row.put(row.items, row.at, -count)


def _rate(limits: Limits) -> float:
    """Items per second."""
    return math.inf if limits.per_second is None else limits.per_second
