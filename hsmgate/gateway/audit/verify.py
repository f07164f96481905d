"""`hsmgate audit verify`: reads the files of any number of chains, and tells what is wrong with them."""

import socket
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsmgate.domain.audit.checking import ChainCheck, Place, sights_by_chain
from hsmgate.domain.audit.heads import HeadPublicKey, read_head_key
from hsmgate.domain.audit.records import Open, decode
from hsmgate.errors import AuditError
from hsmgate.gateway.audit.files import SUFFIX, file_name

LOCKS = Path("/proc/locks")

NAMED_AT_MOST = 3
"""Chains that are missing, by name; of the others only how many."""


@dataclass(frozen=True, slots=True)
class _File:
    """A file to look at."""

    path: Path
    chain: str
    number: int
    opened: Open | None


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in all the files.

    missing: chains that others saw and that are not among them. partial: which is no problem.
    signed: whether there was a key to verify heads under.
    """

    checks: Sequence[ChainCheck]
    missing: Sequence[str]
    partial: bool
    signed: bool

    @property
    def problems(self) -> int:
        """How many there are."""
        return sum(len(check.problems) for check in self.checks) + (0 if self.partial else len(self.missing))

    def members(self) -> dict[str, Any]:
        """For scripts, as what JSON can hold."""
        chains = [_members(check) for check in self.checks]
        return {"good": not self.problems, "heads_verified": self.signed, "chains": chains, "missing": [*self.missing]}


def verify(paths: Sequence[Path], key_paths: Sequence[Path], *, partial: bool = False, unclosed: bool = False) -> bool:
    """Print what is wrong with the files, what should be known, and a summary. True if nothing is wrong.

    key_paths: public keys, PEM, that heads are verified under.
    partial: older files and chains may be kept elsewhere. unclosed: chains need not be closed.
    Raises AuditError for what cannot be read.
    """
    found = examine(paths, key_paths, partial=partial, unclosed=unclosed)
    for check in found.checks:
        _print(check, signed=found.signed)
    _print_missing(found)
    if not found.signed and any(check.head for check in found.checks):
        _say("note: the signatures of heads were not looked at: give the public key with --key")
    problems = found.problems
    _say(f"{problems} {'problem' if problems == 1 else 'problems'}" if problems else "all is well")
    return not problems


def examine(
    paths: Sequence[Path], key_paths: Sequence[Path], *, partial: bool = False, unclosed: bool = False
) -> Findings:
    """What is to be said of the files; likewise."""
    keys = [_read_key(path) for path in key_paths]
    files = sorted((_look_into(path) for path in paths), key=lambda file: (file.chain, file.number))
    opens = [file.opened for file in files if file.opened is not None]
    sights = sights_by_chain(opens)
    checks = []
    for chain in dict.fromkeys(file.chain for file in files):
        its = [file for file in files if file.chain == chain]
        check = ChainCheck(chain, keys, sights.get(chain, ()), partial=partial, unclosed=unclosed)
        checks.append(_check(its, check))
    return Findings(checks, sorted({*sights} - {check.chain for check in checks}), partial, bool(keys))


def _check(files: Sequence[_File], check: ChainCheck) -> ChainCheck:
    live = _is_live(files)  # before they are read: a process that ends meanwhile has its close in them
    for file in files:
        _check_file(file, check, live=live)
    check.end(live=live)
    return check


def _check_file(file: _File, check: ChainCheck, *, live: bool) -> None:
    number = 0
    for number, line in enumerate(_lines(file.path), 1):
        place = Place(str(file.path), number)
        if line.endswith(b"\n"):
            check.line(place, line[:-1])
        else:
            check.torn(place, live=live)
    if not number and not live:
        check.notes.append(f"{file.path}: it is empty: its process died when it began it, or all of it was cut off")


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise AuditError(f"{path}: {error.strerror}") from None


def _look_into(path: Path) -> _File:
    """What chain a file is of, by its first line; where that is none, by its name."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise AuditError(f"{path}: no regular file")
    except OSError as error:
        raise AuditError(f"{path}: {error.strerror}") from None
    first = next(_lines(path), b"")
    opened = decode(first.removesuffix(b"\n"))
    if isinstance(opened, Open):
        return _File(path, opened.chain, opened.file, opened)
    chain, _, number = path.name.removesuffix(SUFFIX).rpartition(".")
    named = bool(chain) and number.isascii() and number.isdigit()
    return _File(path, chain if named else path.name, int(number) if named else 1, None)


def _is_live(files: Sequence[_File]) -> bool:
    """Whether the chain's process is writing the last file, or has just gone on to one after it.

    Anybody may hold a lock: it must be held, on this machine, by the process that began the chain.
    """
    opened, path, number = files[0].opened, files[-1].path, files[-1].number
    if opened is None or opened.host != socket.gethostname():
        return False
    try:
        while opened.pid not in _lock_holders(path):
            number += 1
            path = path.with_name(file_name(opened.chain, number))
    except (OSError, ValueError):  # there is none, or the chain says that its name is one that no file can have
        return False
    return True


def _lock_holders(path: Path) -> Iterator[int]:
    """The processes that have locked the file with flock, as Linux tells (proc_locks(5)). Raises OSError."""
    inode = str(path.stat().st_ino)
    for line in LOCKS.read_text().splitlines():
        words = line.split()  # 1: FLOCK ADVISORY WRITE 4711 fe:00:9977912 0 EOF
        if words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode:
            yield int(words[4])


def _read_key(path: Path) -> HeadPublicKey:
    try:
        return read_head_key(path.read_bytes())
    except OSError as error:
        raise AuditError(f"{path}: {error.strerror}") from None
    except AuditError as error:
        raise AuditError(f"{path}: {error}") from None


def _say(text: str) -> None:
    """Print a line; what a file says of itself may hold line ends and a terminal's escape sequences."""
    print(text if text.isprintable() else text.encode("unicode_escape").decode())


def _members(check: ChainCheck) -> dict[str, Any]:
    return {
        "chain": check.chain,
        "files": check.files,
        "lines": check.lines,
        "items": check.items,
        "last_head": check.head.time if check.head else None,
        "lines_after_it": check.unvouched,
        "problems": check.problems,
        "notes": check.notes,
    }


def _print(check: ChainCheck, *, signed: bool) -> None:
    for problem in check.problems:
        _say(problem)
    for note in check.notes:
        _say(f"note: {note}")
    head = "no signed head"
    if check.head is not None:
        head = f"last head{'' if signed else ' (unverified)'} of {check.head.time} and {check.unvouched} lines after it"
    _say(f"chain {check.chain}: {check.files} files, {check.lines} lines, {check.items} items, {head}")


def _print_missing(found: Findings) -> None:
    missing = found.missing
    if missing:
        note = "note: " if found.partial else ""
        more = f" and {len(missing) - NAMED_AT_MOST} more" if len(missing) > NAMED_AT_MOST else ""
        _say(f"{note}chains that others saw are not among the files: {', '.join(missing[:NAMED_AT_MOST])}{more}")
