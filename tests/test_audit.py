"""What `make lint` makes of pip-audit's answers: a mirror that knows nothing must not look like a clean bill."""

import runpy
from pathlib import Path
from typing import Any

import pytest

AUDIT = runpy.run_path(str(Path(__file__).parent.parent / ".ci" / "audit.py"))
CLEAN: dict[str, Any] = {"name": "clean", "version": "1", "vulns": []}
SKIPPED: dict[str, Any] = {"name": "skipped", "skip_reason": "not found on PyPI"}
BAD: dict[str, Any] = {"name": "bad", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}


@pytest.mark.parametrize(
    ("packages", "said", "found"),
    [
        ([CLEAN], "1 of 1 packages audited, no known vulnerabilities", []),
        ([CLEAN, SKIPPED], "1 of 2 packages audited, no known vulnerabilities, but it knows nothing of skipped", []),
        ([SKIPPED, SKIPPED], "not audited: the service knows none of our packages, so it is no full PyPI", []),
        ([CLEAN, BAD, SKIPPED], "known vulnerabilities: 1", ["bad 2: PYSEC-1, fixed in 3"]),
    ],
)
def test_an_answer_is_told_as_it_is(packages: list[dict[str, Any]], said: str, found: list[str]) -> None:
    assert AUDIT["verdict"]({"dependencies": packages}) == (said, found)


def test_what_was_learnt_is_remembered_while_the_constraints_stay(tmp_path: Path) -> None:
    stamp = tmp_path / "stamp"
    assert AUDIT["_remembered"](stamp, "a") is None
    stamp.write_text("a\nnot audited: offline\n")
    assert AUDIT["_remembered"](stamp, "a") == "not audited: offline"
    assert AUDIT["_remembered"](stamp, "b") is None
