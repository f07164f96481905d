"""An hour of faults on one gateway: python -m tests.faults.soak [--minutes 60] [--out FILE].

Mixed load all the time, a fault at random every ten seconds, every signature verified. What the gateway holds at rest,
before and after, shows whether faults leak: memory, file descriptors, threads, processes, objects on the token.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.faults.fault import Fault
from tests.faults.items import Mixer
from tests.faults.judge import Judge
from tests.faults.page import table
from tests.faults.run import make_demo
from tests.faults.scenarios import FAULTS
from tests.faults.scene import Scene, scene
from tests.token_tool import Demo

EVERY_SECONDS = 10.0
LONGEST_FAULT_SECONDS = 4.0
WARM_UP_SECONDS = 20.0
REST_SECONDS = 5.0
MIB = 1 << 20

SERVER = {"verify_signatures": "always"}
TOKEN = {"operation_timeout": 2.0}
NEEDS_A_SCENE_OF_ITS_OWN = {"overload", "slow readers", "slow writers", "keys come and go"}


@dataclass(frozen=True, slots=True)
class Holding:
    """What the gateway holds at a moment."""

    memory: int
    signers_memory: int
    descriptors: int
    threads: int
    signers: int
    objects: int

    @classmethod
    def of(cls, there: Scene) -> "Holding":
        """What it holds now; all signers count, whoever's children they are."""
        gateway = psutil.Process(there.gateway.process.pid)
        signers = there.all_signers()
        return cls(
            gateway.memory_info().rss,
            sum(signer.memory_info().rss for signer in signers),
            gateway.num_fds(),
            gateway.num_threads(),
            len(signers),
            len([*(there.token.demo.folder / "tokens").rglob("*.object")]),
        )

    def row(self) -> tuple[str, ...]:
        """As the table has it."""
        memories = (f"{memory / MIB:.1f} MiB" for memory in (self.memory, self.signers_memory))
        return (*memories, *map(str, (self.descriptors, self.threads, self.signers, self.objects)))


HEAD = ("", "gateway's memory", "signers' memory", "file descriptors", "threads", "signers", "objects on the token")


@dataclass(slots=True)
class Soak:
    """What became of the hour."""

    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    highest_memory: int = 0


async def soak(demo: Demo, folder: Path, seconds: float) -> tuple[str, bool]:
    """The section for the page, and whether all was well."""
    mixer = Mixer(demo)
    with Judge(mixer.public_keys, mixer.kids) as judge:
        async with scene(demo, folder, mixer, judge, tokens=1, server=SERVER, token=TOKEN) as there:
            await asyncio.sleep(WARM_UP_SECONDS)
            before = await _at_rest(there)
            there.load.start()
            done = await _break(there, seconds)
            try:
                await there.wait_for_signers()
            except TimeoutError:
                there.problems.append("at the end not all signers were ready")
            after = await _at_rest(there)
            return _section(there, done, before, after), not _failed(there)


async def _at_rest(there: Scene) -> Holding:
    await there.load.stop()
    await asyncio.sleep(REST_SECONDS)
    return Holding.of(there)


async def _break(there: Scene, seconds: float) -> Soak:
    """A fault every ten seconds. One that lasts longer takes the next one's place."""
    faults = [fault for fault in FAULTS.values() if _suits(fault)]
    done = Soak()
    start = time.monotonic()
    there.rate = there.load.tally.rate(start - 10, start)
    next_at = start
    while (now := time.monotonic()) < start + seconds:
        fault = random.choice(faults)
        try:
            async with fault.during(there):
                await asyncio.sleep(min(fault.seconds, LONGEST_FAULT_SECONDS))
        except (AssertionError, OSError) as error:
            there.problems.append(f"{fault.name}: the fault itself failed: {error!r}")
        done.faults[fault.name] += 1
        done.highest_memory = max(done.highest_memory, psutil.Process(there.gateway.process.pid).memory_info().rss)
        next_at = max(next_at + EVERY_SECONDS, time.monotonic())
        if sum(done.faults.values()) % 30 == 0:
            tally = there.load.tally
            print(f"{now - start:.0f} s: {tally.verified:,} verified, {tally.wrong} wrong", file=sys.stderr, flush=True)
        await asyncio.sleep(max(0.0, next_at - time.monotonic()))
    done.seconds = time.monotonic() - start
    return done


def _suits(fault: Fault) -> bool:
    return fault.tokens == 1 and not (fault.ends_service or fault.lasts) and fault.name not in NEEDS_A_SCENE_OF_ITS_OWN


def _failed(there: Scene) -> bool:
    tally = there.load.tally
    return bool(tally.wrong or tally.missing or tally.unanswered)


def _section(there: Scene, done: Soak, before: Holding, after: Holding) -> str:
    tally = there.load.tally
    errors = ", ".join(f"{status}: {count:,}" for status, count in sorted(tally.errors.items())) or "none"
    faults = ", ".join(f"{name} {count}" for name, count in sorted(done.faults.items()))
    lines = [
        "## Soak",
        f"{done.seconds / 60:.0f} minutes of mixed load with a fault at random every {EVERY_SECONDS:g} s, "
        f"{done.faults.total()} in all: {tally.sent:,} items sent, {tally.verified:,} signatures verified; "
        f"{tally.wrong:,} wrong, {tally.missing:,} missing keys, {tally.unanswered:,} unanswered. "
        f"Honest errors: {errors}. The longest answer took {tally.longest_seconds:.1f} s.",
        f"What the gateway holds, at rest, {WARM_UP_SECONDS:g} s after it started and at the end; its memory was "
        f"{done.highest_memory / MIB:.1f} MiB at most:",
        table(HEAD, [("at the start", *before.row()), ("at the end", *after.row())]),
        f"The faults: {faults}.",
        *(f"- {problem}" for problem in [*there.problems, *tally.wrongs]),
    ]
    return "\n\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--out", type=Path, help="write the section to this file, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        demo = make_demo(Path(folder) / "demo")
        section, well = asyncio.run(soak(demo, Path(folder), 60 * arguments.minutes))
    if arguments.out:
        arguments.out.write_text(section)
    print(section)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
