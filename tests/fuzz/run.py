"""Runs the targets: python -m tests.fuzz.run [--target NAME,...] [--runs N] [--out FILE] [--dir FOLDER].

Each target runs in a process of its own, one after the other. The corpora, the logs and what was found stay in the
folder, and the next run goes on from there. The page shows the last run of every target, so it is written only where
all have been run. Exits 1 where a promise was broken.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from tests.fuzz.outcome import Outcome, read_outcome
from tests.fuzz.page import summary, write_page
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parent.parent.parent
SECONDS_AT_MOST = 20
"""For an input: a hang, on a machine that may be busy with others."""
RESIDENT_MIB_AT_MOST = 1024


def run(target: Target, runs: int, folder: Path) -> Outcome:
    """So many inputs for one target."""
    place = folder / target.name
    corpus = place / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    report, log, words = place / "report.json", place / "log", place / "words"
    report.unlink(missing_ok=True)
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
    flags = [
        *(f"-runs={runs}", f"-max_len={target.longest}", f"-dict={words}"),
        *(f"-timeout={SECONDS_AT_MOST}", f"-rss_limit_mb={RESIDENT_MIB_AT_MOST}", f"-artifact_prefix={place}/"),
    ]
    command = [sys.executable, "-m", "tests.fuzz.guided", target.name, str(report), *flags, str(corpus)]
    started = time.monotonic()
    with log.open("wb") as printed:
        code = subprocess.run(
            command, cwd=ROOT, stdout=printed, stderr=printed, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)}
        ).returncode
    outcome = read_outcome(target.name, log, report, time.monotonic() - started, code)
    (place / "outcome.json").write_bytes(msgspec.json.encode(outcome))
    return outcome


def _escaped(word: bytes) -> str:
    """As libFuzzer's dictionaries have it."""
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"\\x{byte:02x}" for byte in word)


def chosen(names: str | None) -> list[Target]:
    """The targets of these names, or all."""
    wanted = [name.strip() for name in names.split(",")] if names else [*TARGETS]
    unknown = [name for name in wanted if name not in TARGETS]
    if unknown:
        sys.exit(f"there is no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    return [TARGETS[name] for name in wanted]


def outcomes(folder: Path) -> list[Outcome]:
    """The last run of every target that was run."""
    files = [folder / name / "outcome.json" for name in TARGETS]
    return [msgspec.json.decode(file.read_bytes(), type=Outcome) for file in files if file.exists()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", metavar="NAME,...", help="these targets alone")
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs for each")
    parser.add_argument("--out", type=Path, help="write the page to this file")
    parser.add_argument(
        "--dir", type=Path, default=Path(".hsmgate-fuzz"), help="where corpora, logs and finds are kept"
    )
    arguments = parser.parse_args()
    folder = arguments.dir.absolute()
    failed = False
    for target in chosen(arguments.target):
        outcome = run(target, arguments.runs, folder)
        failed |= bool(outcome.failed)
        print(summary(outcome), flush=True)
    seen = outcomes(folder)
    if arguments.out and len(seen) == len(TARGETS):
        arguments.out.write_text(write_page(seen))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
