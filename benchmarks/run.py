"""Measure, print the table, and write the page.

python -m benchmarks.run [--out FILE] [--quick] [--only EXPERIMENT,...] [--keep FILE]
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.experiments import EXPERIMENTS
from benchmarks.measures import Bench, Pace, Record
from benchmarks.page import write_page
from benchmarks.stand import Stand
from benchmarks.table import BEHIND, ROWS, lines

FULL = Pace(rounds=5, seconds=3, brief=2)
QUICK = Pace(rounds=1, seconds=1, brief=1)
LEFT_OUT_OF_QUICK = ("pools", "load", "bare")


def main() -> None:
    """Run as the command line says."""
    options = _parser().parse_args()
    chosen = options.only or [name for name in EXPERIMENTS if not (options.quick and name in LEFT_OUT_OF_QUICK)]
    install = Path(__file__).parents[1] / "softhsm" / "install.sh"
    subprocess.run([install, "softhsm2", "opensc", "wrk"], check=True)  # noqa: S603 - words of ours
    with tempfile.TemporaryDirectory(prefix="hsmgate-bench-") as folder:
        record = asyncio.run(_measure(Path(folder), QUICK if options.quick else FULL, chosen))
    for what, target, middle, spread, reached in lines((*ROWS, *BEHIND), record):
        print(f"{what:<85}{target:>14}{middle:>14}   {spread:<26}{reached}".rstrip())
    if options.keep:
        options.keep.write_bytes(msgspec.json.encode(record))
    if options.out:
        write_page(record, options.out)


async def _measure(folder: Path, pace: Pace, chosen: Sequence[str]) -> Record:
    bench = Bench(Stand(folder), pace)
    for name in chosen:
        started = time.monotonic()
        await EXPERIMENTS[name](bench)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return dict(bench.record)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description="Measure the gateway.")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="write the page there, and its pictures to img/ beside"
    )
    parser.add_argument("--quick", action="store_true", help="a short round of what is in the table, to see it work")
    parser.add_argument("--only", metavar="NAME,...", type=_names, help=f"of {', '.join(EXPERIMENTS)}")
    parser.add_argument("--keep", metavar="FILE", type=Path, help="keep all values there, for `benchmarks.page`")
    return parser


def _names(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in EXPERIMENTS:
            raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(EXPERIMENTS)}")
    return names


if __name__ == "__main__":
    main()
