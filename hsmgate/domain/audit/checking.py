"""Is a chain whole? It is told line by line, and says what is wrong and where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hsmgate.domain.audit.hashes import RecentHashes
from hsmgate.domain.audit.heads import HeadPublicKey, is_signed
from hsmgate.domain.audit.records import NO_HASH, AnyRecord, Batch, Close, Gap, Head, Open, Seen, decode, line_hash


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file; both from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class ChainCheck:
    """The lines of one chain, in the order of its files.

    keys: what heads are verified under; without any, their signatures are not looked at.
    sights: what other chains saw of this one when they began, with their names.
    partial: files before those that are looked at may be elsewhere. unclosed: the end may be.
    problems: what is wrong, each with its place. notes: what an auditor should know besides.
    """

    def __init__(
        self,
        chain: str,
        keys: Sequence[HeadPublicKey],
        sights: Sequence[tuple[str, Seen]],
        *,
        partial: bool = False,
        unclosed: bool = False,
    ) -> None:
        self.chain = chain
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.files = self.lines = self.items = 0
        self.head: Head | None = None
        self.unvouched = 0
        self._partial = partial
        self._unclosed = unclosed
        self._keys = keys
        self._sights: dict[int, list[tuple[str, Seen]]] = {}
        for by, sight in sights:
            self._sights.setdefault(sight.seq, []).append((by, sight))
        self._hashes = RecentHashes()
        self._last: Place | None = None
        self._unreadable: Place | None = None
        self._seq = 0
        self._hash = NO_HASH
        self._file = 0
        self._pid: int | None = None
        self._closed = 0
        self._head_key = False
        self._seen_to_the_end: str | None = None

    def line(self, place: Place, raw: bytes) -> None:
        """The next line, without its line end."""
        self.lines += 1
        record = decode(raw)
        if place.line == 1:
            self._begin_file(place, record)
        if record is None:
            self._wrong(place, "it is no record: it was changed")
            self._unreadable = place
        else:
            self._check_order(place, record)
            self._look_at(place, record)
        self._seq = record.seq if record else self._seq + 1
        self._hash = line_hash(raw)
        self._last = place
        self._hashes.put(self._seq, self._hash)
        self._compare_with_sight(place)

    def torn(self, place: Place, *, live: bool) -> None:
        """What comes last in a file has no line end."""
        if not live:
            self.notes.append(f"{place}: a torn line: writing it was cut short, by a crash or a full disk")

    def end(self, *, live: bool) -> None:
        """That was all. live: its process is still writing it."""
        last = self._last or Place(self.chain, 0)
        for by, sight in (found for several in self._sights.values() for found in several):
            if sight.seq > self._seq:
                self._wrong(last, f"cut off: chain {by} saw line {sight.seq} of this chain, which ends at {self._seq}")
        if self._closed:
            if self._head_key and (self.head is None or self.head.covers < self._closed):
                self._wrong(last, "cut off: the head that vouches for the close is missing")
        elif live:
            self.notes.append(f"chain {self.chain} is being written")
        elif self._seen_to_the_end:
            self.notes.append(
                f"chain {self.chain} is not closed, its process died; chain {self._seen_to_the_end} saw it end so"
            )
        elif self._unclosed:
            head = (
                f"line {self.head.covers}, by its head of {self.head.time}" if self.head else "no line: it has no head"
            )
            self.notes.append(f"chain {self.chain} is not closed: it is vouched for up to {head}")
        else:
            self._wrong(last, "the chain is not closed: its process died, or its end was cut off")
        self._say_who_vouches(last)

    def _say_who_vouches(self, last: Place) -> None:
        if not self._head_key:
            self.notes.append(f"chain {self.chain} has no signed heads: who can write the files can make it anew")
        if self._keys and self.head is None:
            self._wrong(last, "no head of this chain is signed with the key")
        elif self.head is not None and self.unvouched:
            what = "1 line" if self.unvouched == 1 else f"{self.unvouched} lines"
            self.notes.append(f"chain {self.chain}: {what} after the last signed head: nothing vouches for them")

    def _begin_file(self, place: Place, record: AnyRecord | None) -> None:
        self.files += 1
        if not isinstance(record, Open):
            self._wrong(place, "the file does not begin with an open record")
            self._file += 1
            return
        if self._partial and not self._file and record.file > 1:
            self.notes.append(f"chain {self.chain} is looked at from its file {record.file} on, line {record.seq}")
        elif record.file > self._file + 1:
            self._wrong(place, f"file {self._file + 1} of the chain is missing before it")
        elif record.file <= self._file:
            self._wrong(place, f"file {record.file} of the chain is there twice")
        if self._pid not in (None, record.pid):
            self._wrong(place, f"process {record.pid} goes on with the chain that process {self._pid} began")
        self._file = record.file
        self._pid = record.pid
        self._head_key |= record.head_key is not None

    def _check_order(self, place: Place, record: AnyRecord) -> None:
        if self._last is None:
            if isinstance(record, Open) and record.file == 1 and (record.seq, record.prev) != (1, NO_HASH):
                self._wrong(place, "the chain does not begin with line 1")
        elif record.seq > self._seq + 1:
            self._wrong(place, f"lines {self._seq + 1} to {record.seq - 1} of the chain are missing before it")
        elif record.seq <= self._seq:
            self._wrong(place, f"line {record.seq} of the chain stands out of place, after {self._seq}")
        elif record.prev != self._hash and self._last != self._unreadable:
            self._wrong(self._last, f"it was changed, or put there: {place} has another hash for the line before it")

    def _look_at(self, place: Place, record: AnyRecord) -> None:
        self.unvouched += 1
        if isinstance(record, Open) and place.line != 1:
            self._wrong(place, "an open record within a file")
        if self._closed and not isinstance(record, Head):
            self._wrong(place, "it comes after the close of its chain")
        if isinstance(record, Batch):
            self.items += len(record.items)
        elif isinstance(record, Head):
            self._check_head(place, record)
        elif isinstance(record, Gap):
            self._tell_gap(place, record)
        elif isinstance(record, Close):
            self._closed = record.seq

    def _check_head(self, place: Place, head: Head) -> None:
        known = self._hashes.get(head.covers)
        if head.chain != self.chain or head.covers >= head.seq:
            self._wrong(place, "the head is of another chain, or covers what comes after it")
        elif known is not None and known != head.hash:
            self._wrong(place, f"the head was signed over another line {head.covers}: lines before it were rewritten")
        elif self._keys and not is_signed(head, self._keys):
            self._wrong(place, "the head's signature does not verify")
        else:
            self.head = head
            self.unvouched = head.seq - 1 - head.covers
            self._hashes.forget_before(head.covers)

    def _tell_gap(self, place: Place, gap: Gap) -> None:
        lost = f"{gap.records} records of {gap.items} items from {gap.since} to {gap.time} ({gap.reason})"
        if gap.records and not gap.withheld:
            self._wrong(place, f"lost: {lost}")
        else:
            self.notes.append(f"{place}: not recorded, and withheld from the callers: {lost}")

    def _compare_with_sight(self, place: Place) -> None:
        self._seen_to_the_end = None
        for by, sight in self._sights.pop(self._seq, ()):
            if sight.hash == self._hash:
                self._seen_to_the_end = by
            else:
                self._wrong(place, f"it is not the line that chain {by} saw: it was changed, or lines before it were")

    def _wrong(self, place: Place, text: str) -> None:
        self.problems.append(f"{place}: {text}")


def sights_by_chain(opens: Sequence[Open]) -> Mapping[str, list[tuple[str, Seen]]]:
    """What the chains saw of each other when they began, by the chain that was seen."""
    found: dict[str, list[tuple[str, Seen]]] = {}
    for record in opens:
        for sight in record.others:
            found.setdefault(sight.chain, []).append((record.chain, sight))
    return found
