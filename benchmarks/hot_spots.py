"""Where the CPU goes: the functions that cost most for an item, in the gateway process and in a signer.

python -m benchmarks.hot_spots [--key p256] [--items 100] [--connections 4] [--seconds 5] [--top 25]

It wants py-spy, which is not among the project's own packages: pip install py-spy. What is sampled is who holds the
interpreter's lock, so that waiting does not count; nor do C_Sign and sending from a signer, which give it away.
Sampling slows what it looks at: trust the shares rather than the sums. A signer signs about half of the items.
"""

import argparse
import asyncio
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

import psutil

from benchmarks import load
from benchmarks.stand import Size, Stand

SAMPLES_PER_SECOND = 400


def main() -> None:
    """Print both profiles."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hot_spots", description="Show where the CPU goes.")
    parser.add_argument("--key", default="p256", help="label of a demo key")
    parser.add_argument("--items", type=int, default=100, help="items of a batch")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--top", type=int, default=25, help="functions to show")
    with tempfile.TemporaryDirectory(prefix="hsmgate-bench-") as folder:
        asyncio.run(_profile(Path(folder), parser.parse_args()))


async def _profile(folder: Path, options: argparse.Namespace) -> None:
    stand = Stand(folder)
    async with stand.gateway(Size()) as gateway:
        request = await stand.request(gateway, options.key, options.items)
        processes = {"gateway": gateway.process.pid, "signer": gateway.signers()[0]}
        before = {name: _cpu(pid) for name, pid in processes.items()}
        plain = await load.run(request, options.connections, options.seconds, look=False)
        print(f"{plain.per_second * options.items:,.0f} items per second")
        for name, pid in processes.items():
            cost = (_cpu(pid) - before[name]) / plain.requests / options.items
            file = folder / f"{name}.txt"
            loading = asyncio.create_task(load.run(request, options.connections, options.seconds + 2, look=False))
            await _sample(pid, options.seconds, file)
            sampled = (await loading).per_second * options.items * options.seconds
            print(f"\n{name}: {cost * 1e6:.1f} µs of CPU for an item")
            _print(_read(file), 1e6 / SAMPLES_PER_SECOND / sampled, options.top)


async def _sample(pid: int, seconds: int, file: Path) -> None:
    sampler = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(pid), "--duration", str(seconds)),
        *("--rate", str(SAMPLES_PER_SECOND), "--format", "raw", "--function", "--gil", "--output", str(file)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await sampler.wait() == 0, "py-spy failed; it needs the right to trace processes"


def _read(file: Path) -> Counter[tuple[str, ...]]:
    """How often each stack was seen, outermost function first."""
    stacks: Counter[tuple[str, ...]] = Counter()
    for line in file.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        stacks[tuple(re.sub(r"\S*/(?=\S+/\S+\.py)", "", frame) for frame in stack.split(";"))] += int(count)
    return stacks


def _print(stacks: Counter[tuple[str, ...]], microseconds: float, top: int) -> None:
    """The functions in which most samples fell; one sample is worth so many microseconds for an item."""
    own: Counter[str] = Counter()
    with_called: Counter[str] = Counter()
    for stack, count in stacks.items():
        own[stack[-1]] += count
        for function in set(stack):
            with_called[function] += count
    print("     own   with called, µs for an item")
    for function, count in own.most_common(top):
        print(f"{count * microseconds:8.2f} {with_called[function] * microseconds:8.2f}   {function}")


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
