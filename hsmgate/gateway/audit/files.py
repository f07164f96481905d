"""A chain's files: made new, appended to, locked while they are written."""

import contextlib
import errno
import fcntl
import itertools
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from hsmgate.domain.audit.records import AnyRecord, Open, Seen, decode, line_hash

log = logging.getLogger(__name__)

SUFFIX = ".jsonl"
OTHERS_AT_MOST = 100
"""Chains of the folder that a new one takes note of: the newest."""

_BLOCK = 64 * 1024


def file_name(chain: str, number: int) -> str:
    """The name of a chain's file; names sort as the lines do."""
    return f"{chain}.{number:06d}{SUFFIX}"


class ChainFile:
    """A file that this process writes, and nobody else.

    torn: a line was cut short and could not be taken back, so nothing may come after it.
    """

    def __init__(self, path: Path) -> None:
        """Make it; it must not be there. Raises OSError."""
        self.path = path
        self.size = 0
        self.torn = False
        self._named = False
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(OSError):  # not every file system has locks; they tell a live file from a dead one's
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def append(self, line: bytes) -> None:
        """Write a line whole, or leave the file as it was; where that is refused too, it is torn. Raises OSError."""
        rest = memoryview(line + b"\n")
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            self._take_back(len(line) + 1 - len(rest))
            raise
        self.size += len(line) + 1

    def _take_back(self, written: int) -> None:
        """Cut off what was written of a line, unless others have cut the file or added to it meanwhile."""
        try:
            if os.fstat(self._fd).st_size == self.size + written:
                os.ftruncate(self._fd, self.size)
            else:
                self.torn = True
        except OSError:
            self.torn = True

    def harm(self) -> OSError | None:
        """What others have done to it, so that it cannot be gone on with; None where nothing."""
        try:
            status = os.fstat(self._fd)
        except OSError:  # as a file server says that it was removed
            status = None
        if status is None or status.st_nlink == 0:
            return OSError(errno.ENOENT, "its file has been removed")
        if status.st_size != self.size:
            return OSError(errno.EBADMSG, "its file has been cut or added to by somebody else")
        return None

    def room(self) -> int:
        """Bytes that the file system has left for us. Raises OSError."""
        about = os.fstatvfs(self._fd)
        return about.f_bavail * about.f_frsize

    def sync(self) -> None:
        """Wait until what was written is on the disk, and the file's name with it. Raises OSError."""
        os.fdatasync(self._fd)
        if not self._named:
            _sync_folder(self.path.parent)
            self._named = True

    def close(self) -> None:
        """Write no more. Whoever must know that all of it is on the disk has synced it before."""
        with contextlib.suppress(OSError):
            os.close(self._fd)

    def discard(self) -> None:
        """It is not wanted after all."""
        self.close()
        with contextlib.suppress(OSError):
            self.path.unlink()


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def others_in(folder: Path) -> list[Seen]:
    """The last whole line of each chain that has files in the folder, the newest chains first. Raises OSError."""
    chains: dict[str, list[Path]] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}"), reverse=True):
        chains.setdefault(path.name.split(".")[0], []).append(path)
    # The newest file may have nothing in it yet.
    ends = (next(filter(None, map(_see, files)), None) for files in chains.values())
    return [*itertools.islice(filter(None, ends), OTHERS_AT_MOST)]


def _see(path: Path) -> Seen | None:
    """The file's last whole line; None where it is no file of ours, or not ours to read."""
    try:
        opened = _first_record(path)
        record = decode(line := _last_line(path)) if isinstance(opened, Open) else None
    except OSError as error:
        log.warning("the audit log takes no note of %s: %s", path, error.strerror)
        return None
    if record is None or not isinstance(opened, Open):
        return None
    return Seen(chain=opened.chain, file=opened.file, seq=record.seq, hash=line_hash(line))


def _first_record(path: Path) -> AnyRecord | None:
    if not path.is_file():  # to open a named pipe would be to wait for whoever writes to it
        return None
    with path.open("rb") as file:
        return decode(file.readline().removesuffix(b"\n"))


def _last_line(path: Path) -> bytes:
    """The last line that has a line end, without it; empty where there is none."""
    end = b""
    for block in _blocks_from_the_end(path):
        end = block + end
        lines = end.split(b"\n")
        if len(lines) > 2:
            return lines[-2]
    return end.split(b"\n")[0] if b"\n" in end else b""


def _blocks_from_the_end(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        while at:
            start = max(0, at - _BLOCK)
            file.seek(start)
            yield file.read(at - start)
            at = start
