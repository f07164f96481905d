"""Upgrade after upgrade under load: python -m benchmarks.handover [--upgrades 3] [--out FILE].

One gateway takes over from another. They share a socket that this process holds, as systemd does, and have two workers
each. Callers sign all the while on keep-alive connections, and every signature is verified. No call may fail.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from hsmgate.provision.demo import make_demo
from tests.activation import listening, ready_line, start_on
from tests.faults.page import table
from tests.keepalive_load import Tally, load
from tests.token_tool import Demo

CALLERS, SLOW_CALLERS = 8, 4
WORKERS = 2
CALLS_BETWEEN = 500
"""At least so many are answered by one gateway before the next comes."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What one came to.

    Calls since the one before; seconds until the new one signed, and until the old one was gone.
    """

    signed: int
    failed: int
    starting: float
    draining: float


async def run(demo: Demo, folder: Path, upgrades: int) -> tuple[list[Upgrade], Tally]:
    """So many upgrades, one after the other; the load goes on until after the last."""
    config = demo.config.read_text().replace("[server]\n", f"[server]\nworkers = {WORKERS}\n")
    demo.config.write_text(config)
    done: list[Upgrade] = []
    with listening() as held:
        serving = await start_on((held,), demo.config, folder / "log")
        await ready_line(serving)
        async with load(f"http://127.0.0.1:{held.getsockname()[1]}", demo, CALLERS, SLOW_CALLERS) as tally:
            for _ in range(upgrades):
                signed, failed = tally.signed, tally.failed.total()
                await tally.reach(CALLS_BETWEEN)
                began = time.monotonic()
                successor = await start_on((held,), demo.config, folder / "log")
                assert (await ready_line(successor)).startswith("hsmgate serves on")
                ready = time.monotonic()
                serving.terminate()
                assert await serving.wait() == 0
                ended = time.monotonic()
                serving = successor
                await tally.reach(CALLS_BETWEEN)
                upgrade = Upgrade(tally.signed - signed, tally.failed.total() - failed, ready - began, ended - ready)
                done.append(upgrade)
        serving.terminate()
        await serving.wait()
    return done, tally


def page(upgrades: list[Upgrade], tally: Tally) -> str:
    """The run as the documentation has it."""
    failed = tally.failed.total()
    errors = ", ".join(f"{error}: {count:,}" for error, count in tally.failed.items()) or "none"
    rows = [
        (str(number), f"{one.signed:,}", str(one.failed), f"{one.starting:.1f} s", f"{one.draining:.1f} s")
        for number, one in enumerate(upgrades, 1)
    ]
    return (
        f"{tally.signed + failed:,} calls on {tally.connections} connections by {CALLERS} callers without a pause and "
        f"{SLOW_CALLERS} with half a second between their calls, {failed} of them failed. Errors: {errors}.\n\n"
        + table(("upgrade", "signed", "failed", "until the new one signed", "until the old one was gone"), rows)
        + "\n"
    )


def main() -> int:
    """Run it. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upgrades", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write what it prints to this file, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_demo(Path(folder) / "demo")
        upgrades, tally = asyncio.run(run(Demo(Path(folder) / "demo"), Path(folder), arguments.upgrades))
    if arguments.out:
        arguments.out.write_text(page(upgrades, tally))
    print(page(upgrades, tally))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
