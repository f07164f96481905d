"""A chain as it is written: numbers, hashes, files that follow each other, and what was lost when there was no room."""

import errno
import logging
import os
import secrets
import socket
import time
from pathlib import Path
from typing import NamedTuple, Self

import hsmgate
from hsmgate.domain.audit.records import (
    FORMAT_VERSION,
    NO_HASH,
    Batch,
    Gap,
    Open,
    Record,
    encode,
    line_hash,
    time_text,
)
from hsmgate.gateway.audit.files import ChainFile, file_name, others_in

log = logging.getLogger(__name__)

ROOM_BYTES = 4096
"""Left over after the line that did not fit, before writing is tried again."""

ROTATE_AGAIN_SECONDS = 1.0
"""After a new file could not be made, before it is tried again."""


class Tally(NamedTuple):
    """How many records, and how many items of batches in them."""

    records: int = 0
    items: int = 0

    @classmethod
    def of(cls, record: Record) -> Self:
        """One record."""
        return cls(1, len(record.items) if isinstance(record, Batch) else 0)

    def plus(self, other: "Tally") -> "Tally":
        """Both together."""
        return Tally(self.records + other.records, self.items + other.items)

    def minus(self, other: "Tally") -> "Tally":
        """What is left without the other."""
        return Tally(self.records - other.records, self.items - other.items)


class Trouble:
    """Why nothing can be written, and what was lost by it.

    reason: the first error's name. needed: bytes of the line that could not be written.
    new_file: the file cannot be gone on with, so the chain goes on in the next.
    lost: what was. answered: whether some of it had been answered before.
    """

    def __init__(self, reason: str, needed: int) -> None:
        self.since = time.time()
        self.reason = reason
        self.needed = needed
        self.new_file = False
        self.lost = Tally()
        self.answered = False


class Chain:
    """The chain of this process. An error in writing is told once, and is its `trouble` until writing works again.

    seq, hash: of the last line. file: the one that is written.
    written, lost: what was appended and what was not, or is not surely on the disk, since the beginning.
    withhold: what cannot be recorded is kept from the callers, and the log says so.
    """

    def __init__(self, folder: Path, rotate_bytes: int, head_key: str | None, *, withhold: bool) -> None:
        """Make the first file. Raises OSError."""
        self.id = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}"
        self.seq = 0
        self.hash = NO_HASH
        self.trouble: Trouble | None = None
        self.written = Tally()
        self.lost = Tally()
        self._folder = folder
        self._rotate_bytes = rotate_bytes
        self._head_key = head_key
        self._withhold = withhold
        self._number = 0
        self._needed = 0
        self._rotate_again_at: float | None = None
        self._retired: list[ChainFile] = []
        self.file = self._next_file()

    def append(self, record: Record) -> bool:
        """Write a record as the next line. Whether it was written."""
        if self.trouble is not None and not self.recover():
            self.count_lost(Tally.of(record))
            return False
        try:
            if self.file.size >= self._rotate_bytes:
                self._rotate_if_possible()
            self._write(self.file, record)
        except OSError as error:
            self.fail(error)
            self.count_lost(Tally.of(record))
            return False
        self.written = self.written.plus(Tally.of(record))
        return True

    def fail(self, error: OSError, *, new_file: bool = False) -> None:
        """Nothing can be written now, or what was written cannot be relied on."""
        if self.trouble is None:
            log.error("the audit log cannot be written (%s): %s", self._folder, error.strerror)
            self.trouble = Trouble(_name(error), self._needed)
        self.trouble.new_file |= new_file or self.file.torn or error.errno == errno.EFBIG

    def recover(self) -> bool:
        """Try to write again, beginning with what was lost. Whether there is no trouble any more."""
        trouble = self.trouble
        if trouble is None:
            return True
        gap = Gap(
            time=time_text(time.time()),
            since=time_text(trouble.since),
            reason=trouble.reason,
            records=trouble.lost.records,
            items=trouble.lost.items,
            withheld=self._withhold and not trouble.answered,
        )
        try:
            if self.file.room() < trouble.needed + ROOM_BYTES:
                return False
            if trouble.new_file:
                self._rotate()
                trouble.new_file = False
            self._write(self.file, gap)
        except OSError as error:
            self.fail(error)
            return False
        self.trouble = None
        log.warning("the audit log is written again; %d records of %d items were lost", gap.records, gap.items)
        return True

    def take_retired(self) -> list[ChainFile]:
        """The files that no more is written to; who takes them closes them."""
        retired, self._retired = self._retired, []
        return retired

    def close(self) -> None:
        """Write no more."""
        for file in (*self._retired, self.file):
            file.close()

    def count_lost(self, tally: Tally, *, answered: bool = False) -> None:
        """So much is not on record, or not surely. answered: though it has been answered."""
        self.lost = self.lost.plus(tally)
        if self.trouble is not None:
            self.trouble.lost = self.trouble.lost.plus(tally)
            self.trouble.answered |= answered and tally.records > 0

    def _rotate_if_possible(self) -> None:
        """The chain goes on in a new file; where none can be made, in the old, and it is tried again soon."""
        if self._rotate_again_at is not None and time.monotonic() < self._rotate_again_at:
            return
        try:
            self._rotate()
        except OSError as error:
            if self._rotate_again_at is None:
                text = "the audit log's next file cannot be made (%s): %s; it goes on in %s"
                log.error(text, self._folder, error.strerror, self.file.path.name)
            self._rotate_again_at = time.monotonic() + ROTATE_AGAIN_SECONDS

    def _rotate(self) -> None:
        """The chain goes on in a new file. Raises OSError."""
        file = self._next_file()
        self._retired.append(self.file)
        self.file = file
        if self._rotate_again_at is not None:
            log.warning("the audit log's next file is made: %s", file.path.name)
            self._rotate_again_at = None

    def _next_file(self) -> ChainFile:
        number = self._number + 1
        others = [] if self._number else others_in(self._folder)
        file = ChainFile(self._folder / file_name(self.id, number))
        opened = Open(
            time=time_text(time.time()),
            format=FORMAT_VERSION,
            chain=self.id,
            file=number,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=hsmgate.__version__,
            head_key=self._head_key,
            others=others,
        )
        try:
            self._write(file, opened)
        except OSError:
            file.discard()
            raise
        self._number = number
        return file

    def _write(self, file: ChainFile, record: Record) -> None:
        record.seq, record.prev = self.seq + 1, self.hash
        line = encode(record)
        self._needed = len(line)
        file.append(line)
        self.seq, self.hash = record.seq, line_hash(line)


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "error")
