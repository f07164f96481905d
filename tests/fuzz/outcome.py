"""What came of a target's run, out of libFuzzer's log and the target's own report."""

import re
from pathlib import Path

import msgspec

_LAST = re.compile(r"#(\d+)\s+(?:DONE|INITED|NEW|pulse|REDUCE|RELOAD)\s+cov: (\d+) ft: (\d+) corp: (\d+)/")
_WARM = 0.1
"""Share of a run after which caches are full, and what is more at the end was left behind."""


class Look(msgspec.Struct):
    """The process after so many inputs. longest_seconds: of processor time that an input took."""

    inputs: int
    resident_bytes: int
    python_blocks: int
    longest_seconds: float


class Outcome(msgspec.Struct):
    """A target's run.

    edges: places of the instrumented code, and ways between them, that were reached.
    kept: inputs in the corpus, each of which reached something new.
    failed: why it ended before its time, empty where every promise was kept.
    """

    name: str
    inputs: int
    seconds: float
    edges: int
    kept: int
    looks: list[Look]
    failed: str = ""

    @property
    def warm(self) -> Look:
        """The process once it had warmed up."""
        return next(look for look in self.looks if look.inputs >= _WARM * self.inputs)

    @property
    def end(self) -> Look:
        """The process at the end."""
        return self.looks[-1]


def read_outcome(name: str, log: Path, report: Path, seconds: float, code: int) -> Outcome:
    """From the files that a run left."""
    text = log.read_text(errors="replace")
    inputs, edges, _, kept = map(int, ([("0",) * 4, *_LAST.findall(text)])[-1])
    looks = msgspec.json.decode(report.read_bytes(), type=list[Look]) if report.exists() else []
    failed = "" if code == 0 and looks else f"exit code {code}; see {log}"
    return Outcome(name, inputs, seconds, edges, kept, looks, failed)
