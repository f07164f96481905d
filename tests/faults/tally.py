"""What came back, counted, and how fast it came."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.faults.judge import Verdict

WRONG_KEPT = 10
CALLS_KEPT = 50_000
TEXTS_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was answered: when, and how many signatures it brought.

    refused: it brought nothing but 503s.
    retry_after: it said when to come again.
    """

    sent: float
    answered: float
    verified: int
    refused: bool
    retry_after: bool

    @property
    def seconds(self) -> float:
        """How long the answer took."""
        return self.answered - self.sent

    def within(self, start: float, end: float) -> float:
        """How many of its signatures fall into that time, were they made evenly while it ran.

        A batch comes in one lump; counted where it ends, a rate would jump with every large one.
        """
        overlap = min(end, self.answered) - max(start, self.sent)
        return self.verified * max(0.0, overlap) / max(1e-6, self.seconds)


@dataclass(slots=True)
class Tally:
    """All items of a run. A call that was turned away by a gateway that was told to stop counts as not sent."""

    sent: int = 0
    verified: int = 0
    unanswered: int = 0
    missing: int = 0
    wrong: int = 0
    turned_away: int = 0
    longest_seconds: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    texts: Counter[str] = field(default_factory=Counter)
    wrongs: list[str] = field(default_factory=list)
    calls: deque[Call] = field(default_factory=lambda: deque(maxlen=CALLS_KEPT))

    def add(self, verdict: Verdict, items: int, call: Call) -> None:
        """Count a call."""
        self.sent += items
        self.verified += verdict.verified
        self.unanswered += verdict.unanswered
        self.missing += verdict.missing
        self.wrong += len(verdict.wrong)
        self.wrongs += verdict.wrong[: WRONG_KEPT - len(self.wrongs)]
        self.errors += verdict.errors
        if len(self.texts) < TEXTS_KEPT:
            self.texts += verdict.texts
        self.longest_seconds = max(self.longest_seconds, call.seconds)
        self.calls.append(call)

    def rate(self, start: float, end: float) -> float:
        """Signatures a second in that time."""
        return sum(call.within(start, end) for call in self.calls) / (end - start)

    def back_after(self, end: float, rate: float, until: float) -> float | None:
        """Seconds from the fault's end to the first second in which that rate was reached; None if there is none."""
        step = 0.1
        start = end
        while start + WINDOW_SECONDS <= until:
            if self.rate(start, start + WINDOW_SECONDS) >= rate:
                return start - end
            start += step
        return None

    def refusals(self) -> Sequence[float]:
        """How long each refused call took, in order of length."""
        return sorted(call.seconds for call in self.calls if call.refused)


WINDOW_SECONDS = 1.0
