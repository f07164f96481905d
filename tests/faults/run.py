"""Runs the faults: python -m tests.faults.run [--out FILE] [--only NAME,...] [--seconds N] [--list] [--verbose].

Writes the page and prints a line for each. Exits 1 where there was a wrong signature, a missing key, an item without an
answer, or a rate that did not come back in time.
"""

import argparse
import asyncio
import dataclasses
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.faults.fault import Fault, Outcome, see
from tests.faults.items import Mixer
from tests.faults.judge import Judge
from tests.faults.page import details, summary, write_page
from tests.faults.scenarios import FAULTS
from tests.gateway_process import HSMGATE
from tests.token_tool import Demo


def make_demo(folder: Path) -> Demo:
    """The demo whose token is copied for each fault: its keys take seconds to make."""
    subprocess.run([*HSMGATE, "init", str(folder)], check=True, stdout=subprocess.DEVNULL)
    return Demo(folder)


async def run(faults: Iterable[Fault], demo: Demo, folder: Path, *, verbose: bool) -> list[Outcome]:
    """The outcome of each, one after the other."""
    mixer = Mixer(demo)
    outcomes = []
    with Judge(mixer.public_keys, mixer.kids) as judge:
        for number, fault in enumerate(faults):
            scene_folder = folder / str(number)
            scene_folder.mkdir()
            try:
                outcome = await see(fault, demo, mixer, judge, scene_folder)
            except (AssertionError, OSError, TimeoutError, subprocess.SubprocessError) as error:
                outcome = Outcome.failed(fault, f"the scene fell apart: {error!r}")
            outcomes.append(outcome)
            print(summary(outcome), flush=True)
            if verbose:
                print(*details(outcome), sep="\n", flush=True)
    return outcomes


def chosen(names: str | None, seconds: float | None) -> Sequence[Fault]:
    """The faults of these names, or all; each so long."""
    wanted = [name.strip() for name in names.split(",")] if names else [*FAULTS]
    unknown = [name for name in wanted if name not in FAULTS]
    if unknown:
        sys.exit(f"there is no fault {', '.join(unknown)}; --list shows them")
    faults = [FAULTS[name] for name in wanted]
    return faults if seconds is None else [dataclasses.replace(fault, seconds=seconds) for fault in faults]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the page to this file")
    parser.add_argument("--only", metavar="NAME,...", help="these faults alone")
    parser.add_argument("--seconds", type=float, help="how long each lasts")
    parser.add_argument("--dir", type=Path, help="keep tokens and logs in this folder")
    parser.add_argument("--list", action="store_true", help="list the faults")
    parser.add_argument("--verbose", action="store_true", help="what the errors said, too")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(f"{fault.name}: {fault.what}" for fault in FAULTS.values()))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.dir or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        faults = chosen(arguments.only, arguments.seconds)
        outcomes = asyncio.run(run(faults, make_demo(folder / "demo"), folder, verbose=arguments.verbose))
    if arguments.out:
        arguments.out.write_text(write_page(outcomes))
    return 1 if any(outcome.complaints() for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
