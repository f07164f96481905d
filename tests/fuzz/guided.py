"""One target under atheris: python -m tests.fuzz.guided NAME REPORT [libFuzzer's own flags]... CORPUS.

REPORT gets, again and again, what memory the process holds and the longest that an input took, as JSON. The exit code
is libFuzzer's: 0 where every promise was kept.
"""

import gc
import json
import logging
import resource
import sys
import time
from pathlib import Path
from typing import Any

import atheris

# What reads in Python of ours and of others; what reads in C is called, but guides nothing.
INSTRUMENTED = ["hsmgate", "jwt", "asn1crypto", "tomllib", "base64", "urllib.parse"]

with atheris.instrument_imports(include=INSTRUMENTED):
    from tests.fuzz.targets import TARGETS

LARGEST_BYTES = 2 * 1024**3
"""Of address space: a length that is believed shows as a MemoryError, whether or not the memory is used."""

REPORTS = 50


class Watch:
    """Calls the target's check, and reports."""

    def __init__(self, name: str, report: Path, runs: int) -> None:
        self._check = TARGETS[name].check
        self._report = report
        self._every = max(1, runs // REPORTS)
        self._inputs = 0
        self._longest_seconds = 0.0
        self._seen: list[dict[str, Any]] = []

    def __call__(self, data: bytes) -> None:
        started = time.process_time()
        self._check(data)
        self._longest_seconds = max(self._longest_seconds, time.process_time() - started)
        self._inputs += 1
        if self._inputs % self._every == 0:
            self._look()

    def _look(self) -> None:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        look = {
            "inputs": self._inputs,
            "resident_bytes": pages * resource.getpagesize(),
            "python_blocks": sys.getallocatedblocks(),
            "longest_seconds": self._longest_seconds,
        }
        self._seen.append(look)
        self._report.write_text(json.dumps(self._seen))


def main() -> None:
    """Never returns: libFuzzer exits."""
    name, report, *flags = sys.argv[1:]
    runs = next(int(flag.removeprefix("-runs=")) for flag in flags if flag.startswith("-runs="))
    corpus = Path(flags[-1])
    for number, seed in enumerate(TARGETS[name].seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    resource.setrlimit(resource.RLIMIT_AS, (LARGEST_BYTES, LARGEST_BYTES))
    logging.disable(logging.WARNING)
    atheris.Setup([sys.argv[0], *flags], Watch(name, Path(report), runs), internal_libfuzzer=True)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
