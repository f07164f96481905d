"""The page: what was measured, on what machine, how, and the pictures.

python -m benchmarks.page RECORD FILE      writes it anew from the values that `benchmarks.run --keep RECORD` kept
"""

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import msgspec
import psutil

from benchmarks.charts import CHARTS
from benchmarks.measures import Record
from benchmarks.table import BARE, BEHIND, ROWS, lines, rate

NOTES = "<!-- What follows is written by hand, and kept when the page is written again. -->"

_INTRODUCTION = """\
# Benchmarks

The token is the limit: what a C loop reaches on it, with as many processes as there are signers. `make bench` measures
how much of that is left behind a gateway, and writes this page.
"""

_METHOD = """\
## How it is measured

- Everything is on one machine and shares its cores: the load generator, the gateway, the signers and so the token.
- The C loop (`benchmarks/sign_loop.c`) logs in and calls C_SignInit and C_Sign on the same token with the same key, in
  as many processes as the gateway has signers. The machine's speed drifts, so the two take turns, and a run of the
  gateway is held against the mean of the C runs before and after its round.
- Signers run with a `GLIBC_TUNABLES` that the C loop does without, as any other caller of the token would. It makes a
  P-256 signature 6 to 10 % cheaper, the C loop's own too (RSA 1 %).
- The gateway is `hsmgate serve` with the demo's config, driven by wrk. Before each run every signature of such a batch
  is verified; during it every answer must be a 200 as long as it should be, and no item of a batch may have an error.
- An item has a `kid`, a `hash_alg` and a `hash`.
- The audit log is on in one of two gateways that take turns, with `fsync = "second"` and signed heads.
- *What HTTP and the token leave* is the number of cores ÷ (CPU seconds of a request to a bare aiohttp handler, with
  requests and answers as large and the load generator's part included + the token's seconds for a signature).
- A slow token is SoftHSM behind a module that makes each C_Sign take a fixed time (`tests/faults/module.c`): it sleeps
  for what SoftHSM leaves of it.
- Memory is the sum of the resident sets, so what the processes share counts in each of them.
- The figure is the median, and the spread is from the least to the most, over the rounds.
"""

_PICTURES = {
    "throughput": "P-256 signatures per second by batch size, against the C loop",
    "latency": "p50 and p99 of single items by the number of connections",
    "pools": "Signatures per second on slow tokens, by signers and sessions",
}


def write_page(record: Record, file: Path) -> None:
    """Write the page, and its pictures into img/ beside it; what was written by hand under NOTES is kept."""
    old = file.read_text() if file.exists() else ""
    notes = old[old.index(NOTES) :] if NOTES in old else NOTES + "\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join((*_page(record, file), notes)))


def _page(record: Record, file: Path) -> Iterator[str]:
    yield _INTRODUCTION
    yield textwrap.fill(f"Measured with {', '.join(machine())}.", 120) + "\n"
    yield from _table(("what", "target", "median", "spread", "reached"), lines(ROWS, record))
    yield from _pictures(record, file)
    yield "## The figures behind\n"
    yield from _table(("what", "median", "spread"), [[row[0], *row[2:4]] for row in lines(BEHIND, record)])
    yield "## Is the load generator the limit?\n"
    yield "wrk, and the same requests to a bare aiohttp handler that answers as many bytes and signs nothing:\n"
    yield from _table(("items of a batch", "bare handler, items", "gateway, items"), list(_bare(record)))
    yield _METHOD


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(cells)} |"
    yield ""


def _pictures(record: Record, file: Path) -> Iterator[str]:
    for name, draw in CHARTS.items():
        picture = draw(record)
        if picture is not None:
            target = file.parent / "img" / f"{name}.svg"
            target.parent.mkdir(exist_ok=True)
            target.write_text(picture.render())
            yield f"![{_PICTURES[name]}](img/{name}.svg)\n"


def _bare(record: Record) -> Iterator[list[str]]:
    for count in BARE:
        bare, gateway = record.get(f"rate bare {count}"), record.get(f"rate p256 {count}")
        if bare and gateway:
            yield [f"{count:,}", rate(median(bare)), rate(median(gateway))]


def machine() -> list[str]:
    """What it ran on, in words that name no machine."""
    model = re.search(r"(?m)^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text())
    softhsm, wrk = _version("softhsm2"), _version("wrk")
    return [
        f"{len(os.sched_getaffinity(0))} cores ({model[1].strip() if model else platform.machine()})",
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB of memory",
        f"Linux {'.'.join(platform.release().split('.')[:2])}",
        f"SoftHSM {softhsm}",
        f"Python {platform.python_version()}",
        *(f"{name} {importlib.metadata.version(name)}" for name in ("aiohttp", "uvloop")),
        f"wrk {wrk}",
    ]


def _version(package: str) -> str:
    """A Debian package's upstream version."""
    asked = ["dpkg-query", "--show", "--showformat=${source:Upstream-Version}", package]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout  # noqa: S603 - words of ours


if __name__ == "__main__":
    write_page(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Record), Path(sys.argv[2]))
