"""Files of an audit log, by someone who can write them and has no key that signs heads."""

import contextlib
import io
import os
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsmgate.domain.audit.records import (
    NO_HASH,
    Batch,
    Call,
    Close,
    Entry,
    Gap,
    Head,
    Open,
    Record,
    Seen,
    decode,
    encode,
    line_hash,
    time_text,
)
from hsmgate.gateway.audit.verify import verify
from tests.fuzz.target import Target

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TIME = time_text(1_700_000_000.25)
FILES_AT_MOST = 3
BREAK = b"\n\n"
"""Between files, each of which ends with a line end."""


def check(data: bytes) -> None:
    """The first byte says what the others are made to fit with: nothing, the lines before them, heads too."""
    forger, rest = (data[0] if data else 0) % 3, data[1:]
    files = _files(rest)
    if forger:
        files = _chained(files, heads=forger == 2)
    fine, printed = _verified(files)
    for line in printed.splitlines():
        assert line.isprintable(), repr(line)
    if fine:
        assert _nothing_is_changed(files), "a change went unnoticed"
    else:
        assert files != GENUINE


def _files(data: bytes) -> list[bytes]:
    parts = data.split(BREAK, FILES_AT_MOST - 1)
    return [part + b"\n" for part in parts[:-1]] + parts[-1:]


def _chained(files: list[bytes], *, heads: bool) -> list[bytes]:
    """All hashes and numbers made anew, as far as that takes no key. heads: what they say as well."""
    seq, before, made = 0, NO_HASH, []
    for file in files:
        lines = []
        for line in file.split(b"\n"):
            record = decode(line)
            if record is not None:
                if heads and isinstance(record, Head):
                    record.covers, record.hash = seq, before
                record.seq, record.prev = seq + 1, before
                seq, before = record.seq, line_hash(encode(record))
            lines.append(line if record is None else encode(record))
        made.append(b"\n".join(lines))
    return made


def _verified(files: list[bytes]) -> tuple[bool, str]:
    """What `hsmgate audit verify` says of the files."""
    paths = []
    for (fd, path), content in zip(_places(), files, strict=False):
        os.ftruncate(fd, 0)
        os.pwrite(fd, content, 0)
        paths.append(path)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        fine = verify(paths, [_key_file()], partial=True)
    return fine, printed.getvalue()


def _nothing_is_changed(files: list[bytes]) -> bool:
    """What is there is the chain from one of its files on to its end; after that, at most heads again."""
    given = [line for file in files for line in file.split(b"\n")[:-1]]
    given.sort(key=_number)
    for start in range(len(GENUINE)):
        lines = [line for file in GENUINE[start:] for line in file.splitlines()]
        if given[: len(lines)] == lines:
            return all(isinstance(decode(line), Head) for line in given[len(lines) :])
    return False


def _number(line: bytes) -> int:
    record = decode(line)
    return record.seq if record else 0


@cache
def _places() -> list[tuple[int, Path]]:
    """Files in memory that end with the process."""
    fds = [os.memfd_create(f"{number}.jsonl") for number in range(FILES_AT_MOST)]
    return [(fd, Path(f"/proc/self/fd/{fd}")) for fd in fds]


@cache
def _key_file() -> Path:
    fd = os.memfd_create("key.pem")
    os.write(fd, KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return Path(f"/proc/self/fd/{fd}")


class _Writer:
    """Writes a chain as a gateway does."""

    def __init__(self, chain: str) -> None:
        self._chain = chain
        self._seq, self._hash = 0, NO_HASH
        self.files: list[bytes] = []

    def add(self, record: Record) -> None:
        record.seq, record.prev = self._seq + 1, self._hash
        line = encode(record)
        self.files[-1] += line + b"\n"
        self._seq, self._hash = record.seq, line_hash(line)

    def open(self, *others: Seen) -> None:
        self.files.append(b"")
        self.add(
            Open(
                time=TIME,
                format=1,
                chain=self._chain,
                file=len(self.files),
                host="h",
                pid=1,
                version="1",
                head_key="k",
                others=[*others],
            )
        )

    def head(self) -> None:
        head = Head(time=TIME, chain=self._chain, covers=self._seq, hash=self._hash, kid="k", algorithm="ED25519")
        head.signature = KEY.sign(head.text())
        self.add(head)


def _genuine() -> list[bytes]:
    """Two files of a chain that was closed."""
    writer = _Writer("one")
    writer.open(Seen(chain="zero", file=1, seq=3, hash="0" * 64))
    writer.head()
    item = Entry(kid="k", mechanism="CKM_ECDSA", sha256="0" * 64, of="data", status=200, ms=0.125)
    writer.add(
        Batch(
            time=TIME,
            action="sign",
            request="r",
            app="a",
            app_name="ä",
            address="::1",
            items=[item, Entry(status=403, ms=1.0)],
        )
    )
    writer.head()
    writer.open()
    writer.add(
        Call(
            time=TIME,
            action="generate",
            request="r",
            app="a",
            app_name="ä",
            address="unix",
            kid="k",
            status=201,
        )
    )
    writer.add(Gap(time=TIME, since=TIME, reason="ENOSPC", records=1, items=2, withheld=True))
    writer.add(Close(time=TIME))
    writer.head()
    return writer.files


GENUINE = _genuine()


def seeds() -> list[bytes]:
    whole = b"\n".join(GENUINE)
    first, second = GENUINE
    forged = [
        first,
        second,
        second + b"\n" + first,
        first + b"\n" + first,
        whole.replace(b'"ms":0.125', b'"ms":0.25'),
        whole.replace(b'"status":403', b'"status":200'),
        whole.replace(b'"withheld":true', b'"withheld":false'),
        whole.replace(b'"reason":"ENOSPC"', b'"reason":"\\n\\u001b[2Jall is well"'),
        whole.replace(b'"chain":"one"', b'"chain":"one\\nall is well"'),
        whole.replace(b'"chain":"zero"', b'"chain":"z\\nall is well"'),
        *(whole.replace(b'"chain":"one"', b'"chain":"%b"' % name) for name in (b"/", b"\\u0000", b"n" * 300)),
        whole.replace(b'"head_key":"k",', b""),
        whole.replace(b'"seq":3', b'"seq":9223372036854775807'),
        whole.replace(b'"covers":', b'"covers":-'),
        whole.replace(b'"file":2', b'"file":99999999999999999999'),
        b"\n".join(line for line in whole.split(b"\n") if b'"type":"head"' not in line),
        whole + second.splitlines()[-1] + b"\n",
        whole[:-30],
        whole[:-1],
        b"",
        b"\n\n\n",
        b"[" * 2000 + b"\n",
    ]
    return [bytes((forger,)) + text for forger in range(3) for text in (whole, *forged)]


TARGET = Target(
    name="audit",
    reads="files of an audit log, as they are and with all hashes made to fit",
    promise="no change of what a signed head vouches for goes unnoticed; what is printed is one line for each thing",
    check=check,
    seeds=seeds,
    words=(
        *(b'"seq":', b'"prev":"', b'"type":"head"', b'"type":"open"', b'"type":"batch"', b'"type":"close"', b'"file":'),
        *(b'"chain":"one"', b'"covers":', b'"hash":"', b'"others":[]', b'"items":[]', b'"withheld":true', b"\n", BREAK),
        *(b'"head_key":"k"', b'"time":"', b'"reason":"', b"\\n", b"\\u001b", b"-1", b"9223372036854775807", b"1e999"),
    ),
    longest=8192,
)
