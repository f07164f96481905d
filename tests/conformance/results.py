"""The outcomes of a run, and the questions that the page asks of them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.matrix import ABSENT, Cell
from tests.conformance.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Result:
    """A cell, what was posted for it, and what became of it."""

    cell: Cell
    item: dict[str, Any]
    outcome: Outcome

    @property
    def key(self) -> tuple[str, str, str]:
        """The token, the key, and how it is named."""
        return self.cell.token, self.cell.key.title, self.cell.key.how


@dataclass(frozen=True, slots=True)
class Refused:
    """A transient key that the gateway would not make: one cell, as there is no key to ask more of."""

    token: str
    title: str
    outcome: Outcome


@dataclass(slots=True)
class Results:
    """All outcomes of a run, in the order of the matrix."""

    answered: list[Result] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def outcomes(self, token: str) -> list[Outcome]:
        answered = [result.outcome for result in self.answered if result.cell.token == token]
        return answered + [refused.outcome for refused in self.refused if refused.token == token]

    @property
    def tokens(self) -> list[str]:
        return [*dict.fromkeys(result.cell.token for result in self.answered)]

    def bad(self) -> list[Result | Refused]:
        everything: list[Result | Refused] = [*self.answered, *self.refused]
        return [result for result in everything if result.outcome.kind == "BAD"]

    def signing_keys(self) -> set[tuple[str, str, str]]:
        """Those that signed anything."""
        return {result.key for result in self.answered if result.outcome.kind == "verified"}

    def reason_of(self, token: str, title: str, how: str) -> Outcome | None:
        """Why a key of which nothing was signed signs nothing: its most frequent error. None where it was not asked."""
        refused = [r.outcome for r in self.refused if (r.token, r.title, "transient") == (token, title, how)]
        if refused:
            return refused[0]
        plain = [r for r in self.answered if r.key == (token, title, how) and r.cell.is_plain]
        return most_frequent(result.outcome for result in plain if result.cell.mode == ABSENT)

    def errors(self) -> list[Outcome]:
        """All distinct refusals, by status and text."""
        everything = [outcome for token in self.tokens for outcome in self.outcomes(token)]
        return sorted({outcome for outcome in everything if outcome.kind == "error"}, key=lambda o: (o.status, o.text))


def most_frequent(outcomes: Iterable[Outcome]) -> Outcome | None:
    counted = Counter(outcomes)
    return min(counted, key=lambda outcome: (-counted[outcome], outcome.status, outcome.text), default=None)
