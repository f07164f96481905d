"""The table: what is held against a goal, under which name it was noted, and how it is shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.measures import Record

MIB = 1024 * 1024

Show = Callable[[float], str]


def share(value: float) -> str:
    """0.873."""
    return f"{value:.3f}"


def rate(value: float) -> str:
    """24,310/s."""
    return f"{value:,.0f}/s"


def microseconds(value: float) -> str:
    """5.2 µs."""
    return f"{value * 1e6:.1f} µs"


def milliseconds(value: float) -> str:
    """0.41 ms."""
    return f"{value * 1e3:.2f} ms"


def seconds(value: float) -> str:
    """1.02 s."""
    return f"{value:.2f} s"


def times(value: float) -> str:
    """4.1 ×."""
    return f"{value:.1f} ×"


def mebibytes(value: float) -> str:
    """120 MiB."""
    return f"{value / MIB:.0f} MiB"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table.

    name: of its values in the record.
    goal: the least, or with `below` what it must stay under; None where it is only said.
    """

    what: str
    name: str
    show: Show
    goal: float | None = None
    below: bool = False

    def target(self) -> str:
        """The goal as it is shown."""
        if self.goal is None:
            return ""
        return f"{'<' if self.below else '≥'} {self.show(self.goal)}"

    def reached(self, values: Sequence[float]) -> str:
        """Whether the median reaches the goal."""
        if self.goal is None:
            return ""
        middle = median(values)
        return "yes" if (middle < self.goal if self.below else middle >= self.goal) else "**no**"


_SHARE = "share of the C loop with 2 processes"
_SLOW = {1: "2 signers × 16 sessions", 5: "1 signer × 32 sessions"}

ROWS = (
    Row(f"P-256, batches of 100, 4 connections: {_SHARE}", "share p256 100", share, 0.82),
    Row(f"P-256, batches of 1,000, 2 connections: {_SHARE}", "share p256 1000", share, 0.82),
    Row(f"P-256, batches of 10, 8 connections: {_SHARE}", "share p256 10", share, 0.65),
    Row(f"RSA-2048, batches of 100, 4 connections: {_SHARE}", "share rsa2048 100", share, 0.93),
    Row(f"RSA-4096, one batch of 64 on one connection: {_SHARE}", "share rsa4096 64", share, 0.95),
    Row("P-256, single items, 64 connections: share of what HTTP and the token leave", "share p256 1", share, 0.70),
    Row("CPU of the gateway process for an item, batches of 1,000", "cpu p256 1000", microseconds, 6e-6, below=True),
    Row("CPU of the gateway process for an item, batches of 100", "cpu p256 100", microseconds, 8e-6, below=True),
    Row("CPU of the gateway process for an item, batches of 10", "cpu p256 10", microseconds, 25e-6, below=True),
    Row("P-256, batches of 100, with an audit log: share of the rate without", "audit share", share, 0.95),
    Row(
        "P-256, single item, 1 connection: p50 above the token's own time",
        "latency above token",
        milliseconds,
        0.5e-3,
        below=True,
    ),
    Row("P-256, single item, 1 connection: p99", "latency p99 1", milliseconds, 3e-3, below=True),
    Row("that p99 while 10,000-item RSA-2048 batches run, against without", "latency busy ratio", times, 5, below=True),
    Row(f"token of 1 ms, {_SLOW[1]}, batches of 100, 4 connections", "slow 1 2 16 4", rate, 15_000),
    Row(f"token of 5 ms, {_SLOW[5]}, batches of 100, 4 connections", "slow 5 1 32 4", rate, 0.95 * 6400),
    Row("memory, idle: gateway and 2 signers", "memory idle", mebibytes),
    Row("memory, peak during a 10,000-item batch: above idle", "memory above idle", mebibytes, 64 * MIB, below=True),
    Row("start: from `serve` to the first signature", "start", seconds, 1.5, below=True),
)

BEHIND = (
    Row("C loop, P-256, 1 process", "ceiling p256 alone", rate),
    Row("C loop, P-256, 2 processes", "ceiling p256", rate),
    Row("C loop, RSA-2048, 2 processes", "ceiling rsa2048", rate),
    Row("C loop, RSA-4096, 2 processes", "ceiling rsa4096", rate),
    Row(f"gateway, token of 1 ms, {_SLOW[1]}, batches of 100, 16 connections", "slow 1 2 16 16", rate),
    Row(f"gateway, token of 5 ms, {_SLOW[5]}, batches of 100, 16 connections", "slow 5 1 32 16", rate),
    Row("C loop, token of 1 ms, 2 processes × 16 threads", "slow C 1 2 16", rate),
    Row("C loop, token of 5 ms, 1 process × 32 threads", "slow C 5 1 32", rate),
    Row("gateway, P-256, batches of 1,000", "rate p256 1000", rate),
    Row("gateway, P-256, batches of 100", "rate p256 100", rate),
    Row("gateway, P-256, batches of 10", "rate p256 10", rate),
    Row("gateway, P-256, batches of 100, with an audit log", "audit rate", rate),
    Row("CPU of the gateway process for an item, by the audit log", "audit cpu", microseconds),
    Row("gateway, P-256, single items", "rate p256 1", rate),
    Row("gateway, RSA-2048, batches of 100", "rate rsa2048 100", rate),
    Row("gateway, RSA-4096, batches of 64", "rate rsa4096 64", rate),
    Row("gateway, P-256, single item: its process's CPU", "cpu p256 1", microseconds),
    Row("bare aiohttp, a request as large as a single item's: CPU with the generator's", "cpu bare 1", microseconds),
    Row("single item, 1 connection: p50", "latency p50 1", milliseconds),
    Row("single item, 1 connection: p99 before a huge batch", "latency quiet p99", milliseconds),
    Row("single item, 1 connection: p99 beside a huge batch", "latency busy p99", milliseconds),
    Row("memory, peak during a 10,000-item batch", "memory peak", mebibytes),
)

BARE = (1000, 100, 10, 1)
"""Items of the batches that the load generator was tried with on the bare server."""


def lines(rows: Sequence[Row], record: Record) -> list[list[str]]:
    """What, target, median, spread and whether it was reached, of the rows that were measured."""
    found = []
    for row in rows:
        values = record.get(row.name)
        if values:
            spread = f"{row.show(min(values))} – {row.show(max(values))}" if len(values) > 1 else ""
            found.append([row.what, row.target(), row.show(median(values)), spread, row.reached(values)])
    return found
