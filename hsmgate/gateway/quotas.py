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

_Item = TypeVar("_Item")


@dataclass(slots=True)
class _Account:
    """What an app has left.

    items: that may come now; a part of one counts.
    at: when that was so, by the monotonic clock.
    """

    items: float
    at: float
    in_flight: int = 0


class Quotas:
    """What apps have left of their limits, by their ids: an app that is configured anew goes on where it was."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds."""
        self._clock = clock
        self._accounts: dict[str, _Account] = {}

    @contextlib.contextmanager
    def admit(self, app: App, limits: Limits, items: Sequence[_Item]) -> Iterator[Sequence[_Item | TooMany]]:
        """The items, those beyond a limit as the error that says so. The others are in flight until the end of it."""
        account = self._account(app.id, limits)
        count, refusal = len(items), TooMany("")
        if limits.in_flight is not None and count > limits.in_flight - account.in_flight:
            count = max(0, limits.in_flight - account.in_flight)
            refusal = TooMany(f"this app may have {limits.in_flight} items in flight; try again")
        if limits.per_second is not None:
            if count > int(account.items):
                count = int(account.items)
                refusal = TooMany(f"this app may have {limits.per_second} items done per second; try again")
            account.items -= count
        account.in_flight += count
        try:
            yield items if count == len(items) else [*items[:count], *[refusal] * (len(items) - count)]
        finally:
            account.in_flight -= count

    def forget_others(self, app_ids: Collection[str]) -> None:
        """These are the apps now; the others come back, if they do, as new ones."""
        self._accounts = {i: account for i, account in self._accounts.items() if i in app_ids or account.in_flight}

    def _account(self, app_id: str, limits: Limits) -> _Account:
        """The app's account, filled up to now."""
        now = self._clock()
        rate = math.inf if limits.per_second is None else limits.per_second
        account = self._accounts.get(app_id)
        if account is None:
            account = self._accounts[app_id] = _Account(rate, now)
        elif now > account.at:
            account.items += (now - account.at) * rate
        account.items = min(rate, account.items)
        account.at = now
        return account
