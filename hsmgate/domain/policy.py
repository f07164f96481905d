"""What an app may do, and with which keys."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Grant:
    """The operations an app may ask for, and the keys it may use."""

    operations: frozenset[str]
    _names: re.Pattern[str]
    _kids: frozenset[str]

    @classmethod
    def of(cls, keys: Iterable[str], operations: Iterable[str]) -> Self:
        """keys: names, in which * stands for anything and ? for one character, or kids."""
        keys = tuple(keys)
        patterns = [re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".") for pattern in keys]
        names = re.compile("|".join(patterns) or r"(?!)", re.DOTALL)
        return cls(frozenset(operations), names, frozenset(key.lower() for key in keys))

    def covers(self, name: str | None, kid: str) -> bool:
        """Whether it may use the key of that name and kid."""
        return kid in self._kids or self._names.fullmatch(name or "") is not None
