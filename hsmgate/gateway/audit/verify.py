"""`hsmgate audit verify`: reads the files of any number of chains, and tells what is wrong with them."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsmgate.domain.audit.checking import ChainCheck, Place, sights_by_chain
from hsmgate.domain.audit.heads import HeadPublicKey, read_head_key
from hsmgate.domain.audit.records import Open, decode
from hsmgate.errors import AuditError
from hsmgate.gateway.audit.files import SUFFIX, file_name

NAMED_AT_MOST = 3
"""Chains that are missing, named in a note; of the others only how many."""


@dataclass(frozen=True, slots=True)
class _File:
    """A file to look at.

    live: a process is writing it.
    """

    path: Path
    chain: str
    number: int
    opened: Open | None
    live: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in all the files.

    missing: chains that others saw and that are not among them.
    signed: whether there was a key to verify heads under.
    """

    checks: Sequence[ChainCheck]
    missing: Sequence[str]
    signed: bool

    @property
    def problems(self) -> int:
        """How many there are."""
        return sum(len(check.problems) for check in self.checks)

    def members(self) -> dict[str, Any]:
        """For scripts, as what JSON can hold."""
        chains = [_members(check) for check in self.checks]
        return {"good": not self.problems, "heads_verified": self.signed, "chains": chains, "missing": [*self.missing]}


def verify(paths: Sequence[Path], key_paths: Sequence[Path]) -> bool:
    """Print what is wrong with the files, what should be known, and a summary. True if nothing is wrong.

    key_paths: public keys, PEM, that heads are verified under. Raises AuditError for what cannot be read.
    """
    found = examine(paths, key_paths)
    for check in found.checks:
        _print(check, signed=found.signed)
    _print_missing(found.missing)
    if not found.signed and any(check.head for check in found.checks):
        _say("note: the signatures of heads were not looked at: give the public key with --key")
    problems = found.problems
    _say(f"{problems} {'problem' if problems == 1 else 'problems'}" if problems else "all is well")
    return not problems


def examine(paths: Sequence[Path], key_paths: Sequence[Path]) -> Findings:
    """What is to be said of the files; likewise."""
    keys = [_read_key(path) for path in key_paths]
    files = sorted((_look_into(path) for path in paths), key=lambda file: (file.chain, file.number))
    opens = [file.opened for file in files if file.opened is not None]
    sights = sights_by_chain(opens)
    checks = []
    for chain in dict.fromkeys(file.chain for file in files):
        its = [file for file in files if file.chain == chain]
        checks.append(_check(its, ChainCheck(chain, keys, sights.get(chain, ()))))
    return Findings(checks, sorted({*sights} - {check.chain for check in checks}), bool(keys))


def _check(files: Sequence[_File], check: ChainCheck) -> ChainCheck:
    for file in files:
        _check_file(file, check)
    check.end(live=files[-1].live)
    return check


def _check_file(file: _File, check: ChainCheck) -> None:
    number = 0
    for number, line in enumerate(_lines(file.path), 1):
        place = Place(str(file.path), number)
        if line.endswith(b"\n"):
            check.line(place, line[:-1])
        else:
            check.torn(place, live=file.live)
    if not number and not file.live:
        check.notes.append(f"{file.path}: it is empty: its process died when it began it, or all of it was cut off")


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise AuditError(f"{path}: {error.strerror}") from None


def _look_into(path: Path) -> _File:
    """What chain a file is of, by its first line; where that is none, by its name."""
    first = next(_lines(path), b"")
    opened = decode(first.removesuffix(b"\n"))
    if isinstance(opened, Open):
        return _File(path, opened.chain, opened.file, opened, _is_live(path, opened))
    chain, _, number = path.name.removesuffix(SUFFIX).rpartition(".")
    named = bool(chain) and number.isascii() and number.isdigit()
    return _File(path, chain if named else path.name, int(number) if named else 1, None, _is_locked(path))


def _is_live(path: Path, opened: Open) -> bool:
    """Whether a process is writing the file, or has just gone on to one after it, as far as this machine can tell."""
    number = opened.file
    while not _is_locked(path):
        number += 1
        try:
            path = path.with_name(file_name(opened.chain, number))
            if not path.exists():
                return False
        except (OSError, ValueError):  # the chain says that its name is one that no file can have
            return False
    return True


def _is_locked(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False


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


def _print_missing(missing: Sequence[str]) -> None:
    if missing:
        more = f" and {len(missing) - NAMED_AT_MOST} more" if len(missing) > NAMED_AT_MOST else ""
        _say(f"note: chains that others saw are not among the files: {', '.join(missing[:NAMED_AT_MOST])}{more}")
