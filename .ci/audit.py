"""Ask PyPI whether what constraints.txt pins has known vulnerabilities.

    python .ci/audit.py STAMP

Exit code 1 where one is known. Where the service cannot be reached, or does not know our packages, that is said and is
no failure: nobody's lint should need the network. What was learnt holds for a day, a failure to ask for an hour, as
long as constraints.txt stays the same; STAMP is the file that remembers it.
"""

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CONSTRAINTS = Path("constraints.txt")
AUDITED_HOURS, NOT_ASKED_HOURS = 24, 1
ASK_SECONDS = 120


def verdict(answer: dict[str, Any]) -> tuple[str, list[str]]:
    """What pip-audit's JSON says: a line for everything, and one for each vulnerability.

    A mirror without PyPI's JSON API makes it skip every package and call that a success, so those are counted.
    """
    packages = answer["dependencies"]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    found = [
        f"{package['name']} {package['version']}: {one['id']}, fixed in {', '.join(one['fix_versions']) or 'none'}"
        for package in packages
        for one in package.get("vulns", ())
    ]
    if found:
        return f"known vulnerabilities: {len(found)}", found
    if len(skipped) == len(packages):
        return "not audited: the service knows none of our packages, so it is no full PyPI", found
    but = f", but it knows nothing of {', '.join(skipped)}" if skipped else ""
    return f"{len(packages) - len(skipped)} of {len(packages)} packages audited, no known vulnerabilities{but}", found


def main(stamp: Path) -> int:
    """Ask, unless that was done not long ago."""
    digest = hashlib.sha256(CONSTRAINTS.read_bytes()).hexdigest()
    remembered = _remembered(stamp, digest)
    if remembered is not None:
        print(f"pip-audit: {remembered} (asked not long ago)")
        return 0
    said, found = _ask()
    print(f"pip-audit: {said}", *found, sep="\n  ")
    if found:
        return 1
    stamp.write_text(f"{digest}\n{said}\n")
    return 0


def _ask() -> tuple[str, list[str]]:
    command = [str(Path(sys.executable).with_name("pip-audit")), "--requirement", str(CONSTRAINTS), "--no-deps"]
    options = ["--disable-pip", "--progress-spinner", "off", "--format", "json", "--timeout", "15"]
    try:
        done = subprocess.run(  # noqa: S603 - words of ours
            [*command, *options], capture_output=True, text=True, check=False, timeout=ASK_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"not audited: no answer within {ASK_SECONDS} s", []
    try:
        return verdict(json.loads(done.stdout))
    except json.JSONDecodeError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return f"not audited: {last[:200]}", []


def _remembered(stamp: Path, digest: str) -> str | None:
    try:
        of, said = stamp.read_text().splitlines()
        hours = (time.time() - stamp.stat().st_mtime) / 3600
    except (OSError, ValueError):
        return None
    fresh = hours < (NOT_ASKED_HOURS if said.startswith("not audited") else AUDITED_HOURS)
    return said if of == digest and fresh else None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
