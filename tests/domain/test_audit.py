"""The audit log's format and its check: whatever is done to the lines of a good log is found."""

import hashlib
import json
import random
from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from hsmgate.domain.audit.checking import ChainCheck, Place
from hsmgate.domain.audit.heads import read_head_key
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
from hsmgate.errors import AuditError

KEY = ed25519.Ed25519PrivateKey.generate()
TIME = time_text(1_700_000_000.25)


class Writer:
    """Writes a chain as a gateway does."""

    def __init__(self, chain: str = "one") -> None:
        self.chain = chain
        self.seq, self.hash = 0, NO_HASH
        self.files: list[list[bytes]] = []

    def add(self, record: Record) -> None:
        record.seq, record.prev = self.seq + 1, self.hash
        line = encode(record)
        self.files[-1].append(line)
        self.seq, self.hash = record.seq, line_hash(line)

    def open(self, others: Sequence[Seen] = ()) -> None:
        self.files.append([])
        number = len(self.files)
        self.add(
            Open(
                time=TIME,
                format=1,
                chain=self.chain,
                file=number,
                host="h",
                pid=1,
                version="1",
                head_key="k",
                others=[*others],
            )
        )

    def batch(self, number: int) -> None:
        entry = Entry(kid="k", mechanism="CKM_ECDSA", sha256="0" * 64, of="data", status=200, ms=number / 8)
        self.add(
            Batch(time=TIME, action="sign", request=f"r{number}", app="a", app_name="ä", address="::1", items=[entry])
        )

    def head(self, behind: int = 0) -> None:
        line = self.line(self.seq - behind)
        head = Head(
            time=TIME, chain=self.chain, covers=self.seq - behind, hash=line_hash(line), kid="k", algorithm="ED25519"
        )
        head.signature = KEY.sign(head.text())
        self.add(head)

    def line(self, seq: int) -> bytes:
        return [line for file in self.files for line in file][seq - 1]

    def seen(self) -> Seen:
        return Seen(chain=self.chain, file=len(self.files), seq=self.seq, hash=self.hash)


def good() -> list[list[bytes]]:
    """Two files of a chain that was closed."""
    writer = Writer()
    writer.open()
    writer.head()
    for number in range(4):
        writer.batch(number)
    writer.head(behind=1)
    writer.open()
    writer.batch(9)
    writer.add(
        Call(time=TIME, action="generate", request="r", app="a", app_name="a", address="unix", kid="k", status=201)
    )
    writer.add(Close(time=TIME))
    writer.head()
    return writer.files


GOOD = good()


def check(
    files: Sequence[Sequence[bytes]],
    sights: Sequence[tuple[str, Seen]] = (),
    *,
    keyed: bool = True,
    live: bool = False,
    partial: bool = False,
    unclosed: bool = False,
) -> ChainCheck:
    checked = ChainCheck("one", [KEY.public_key()] if keyed else [], sights, partial=partial, unclosed=unclosed)
    for name, lines in enumerate(files):
        for number, line in enumerate(lines, 1):
            checked.line(Place(str(name), number), line)
    checked.end(live=live)
    return checked


def test_a_good_chain_is_good() -> None:
    checked = check(GOOD)
    assert (checked.problems, checked.notes, checked.unvouched) == ([], [], 0)
    assert (checked.files, checked.lines, checked.items) == (2, 12, 5)


def test_the_hash_is_that_of_the_bytes_before() -> None:
    first, second = GOOD[0][:2]
    assert json.loads(second)["prev"] == hashlib.sha256(first).hexdigest()


@given(st.data())
def test_any_change_of_a_byte_is_found(data: st.DataObject) -> None:
    files = [[*lines] for lines in GOOD]
    lines = data.draw(st.sampled_from(files))
    at = data.draw(st.integers(0, len(lines) - 1))
    where = data.draw(st.integers(0, len(lines[at]) - 1))
    new = data.draw(st.integers(0, 255).filter(lambda byte: byte not in (lines[at][where], ord("\n"))))
    lines[at] = lines[at][:where] + bytes([new]) + lines[at][where + 1 :]
    assert check(files).problems


@given(st.data())
def test_any_removal_is_found(data: st.DataObject) -> None:
    places = [(file, at) for file, lines in enumerate(GOOD) for at in range(len(lines))]
    gone = data.draw(st.sets(st.sampled_from(places), min_size=1, max_size=len(places) - 1))
    left = [[line for at, line in enumerate(lines) if (file, at) not in gone] for file, lines in enumerate(GOOD)]
    assert check([lines for lines in left if lines]).problems


@given(st.randoms(use_true_random=False))
def test_any_other_order_is_found(order: random.Random) -> None:
    lines = [line for lines in GOOD for line in lines]
    mixed = order.sample(lines, len(lines))
    if mixed != lines:
        assert check([mixed[: len(GOOD[0])], mixed[len(GOOD[0]) :]]).problems


@given(st.integers(0, 11), st.integers(0, 11))
def test_a_line_that_is_there_again_is_found(what: int, where: int) -> None:
    lines = [line for lines in GOOD for line in lines]
    lines.insert(where, lines[what])
    assert check([lines]).problems


@given(st.integers(1, 11))
def test_any_cut_at_the_end_is_found(left: int) -> None:
    lines = [line for lines in GOOD for line in lines][:left]
    cut = [lines[:7], lines[7:]] if left > 7 else [lines]
    assert check(cut).problems


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines.__setitem__(3, lines[3].replace(b'"r1"', b'"r7"')), "0:4: it was changed"),
        (lambda lines: lines.__delitem__(slice(3, 5)), "0:4: lines 4 to 5 of the chain are missing before it"),
        (lambda lines: lines.insert(5, lines.pop(3)), "stands out of place"),
        (lambda lines: lines.__setitem__(3, b"{}"), "0:4: it is no record"),
        (lambda lines: lines.__setitem__(3, b" " + lines[3]), "0:4: it is no record"),
        (lambda lines: lines.__delitem__(0), "0:1: the file does not begin with an open record"),
    ],
    ids=["changed", "removed", "moved", "no record", "written otherwise", "no open"],
)
def test_what_is_said(change: "object", said: str) -> None:
    lines = [*GOOD[0]]
    change(lines)  # type: ignore[operator]
    assert said in "\n".join(check([lines, GOOD[1]]).problems)


def test_a_chain_that_was_made_anew_does_not_have_the_heads() -> None:
    """Who can write files can also hash, but not sign."""
    rewritten = Writer()
    rewritten.open()
    for number in range(5):
        rewritten.batch(number + 50)
    head = decode(GOOD[0][6])
    assert isinstance(head, Head)
    rewritten.add(head)
    assert "another line 5" in "\n".join(check(rewritten.files).problems)


def test_a_head_of_another_key_is_none() -> None:
    other = ed25519.Ed25519PrivateKey.generate()
    lines = [*GOOD[1]]
    head = decode(lines[-1])
    assert isinstance(head, Head)
    head.signature = other.sign(head.text())
    lines[-1] = encode(head)
    assert "does not verify" in "\n".join(check([GOOD[0], lines]).problems)
    assert not check([GOOD[0], lines], keyed=False).problems


def test_what_was_not_closed_may_be_cut() -> None:
    lines = GOOD[0][:5]
    assert "not closed" in "\n".join(check([lines]).problems)
    live = check([lines], live=True)
    assert not live.problems
    assert "3 lines after the last signed head" in "\n".join(live.notes)


def test_what_is_still_written_may_lack_its_end_where_that_is_wanted() -> None:
    lines = [*GOOD[0], *GOOD[1][:2]]
    copied = check([GOOD[0], GOOD[1][:2]], unclosed=True)
    assert len(lines) == 9
    assert not copied.problems
    assert f"vouched for up to line 5, by its head of {TIME}" in "\n".join(copied.notes)
    assert "3 lines after the last signed head" in "\n".join(copied.notes)
    assert "up to no line" in "\n".join(check([GOOD[0][:1]], keyed=False, unclosed=True).notes)
    assert "cut off: chain two saw line 12" in "\n".join(
        check([GOOD[0]], [("two", Seen(chain="one", file=2, seq=12, hash=NO_HASH))], unclosed=True).problems
    )


def test_a_chain_is_of_one_process() -> None:
    lines = [*GOOD[1]]
    opened = decode(lines[0])
    assert isinstance(opened, Open)
    opened.pid = 2
    lines[0] = encode(opened)
    assert "process 2 goes on with the chain that process 1 began" in "\n".join(check([GOOD[0], lines]).problems)


def test_what_another_chain_saw_is_missed() -> None:
    writer = Writer()
    writer.open()
    writer.head()
    writer.batch(1)
    before = [[*lines] for lines in writer.files]
    writer.batch(2)
    saw = [("two", writer.seen())]
    whole = check(writer.files, saw)
    assert not whole.problems
    assert "chain two saw it end so" in "\n".join(whole.notes)
    assert "cut off: chain two saw line 4" in "\n".join(check(before, saw).problems)
    other = Writer()
    other.open()
    for number in range(3):
        other.batch(number)
    assert "not the line that chain two saw" in "\n".join(check(other.files, saw).problems)


def test_a_chain_is_looked_at_from_a_later_file_on_where_that_is_wanted() -> None:
    assert "file 1 of the chain is missing before it" in "\n".join(check([GOOD[1]]).problems)
    checked = check([GOOD[1]], partial=True)
    assert not checked.problems
    assert "from its file 2 on, line 8" in "\n".join(checked.notes)


def test_a_file_in_between_is_missed() -> None:
    writer = Writer()
    for number in range(3):
        writer.open()
        writer.batch(number)
    writer.add(Close(time=TIME))
    writer.head()
    assert "file 2 of the chain is missing" in "\n".join(check([writer.files[0], writer.files[2]]).problems)
    twice = [writer.files[0], *writer.files]
    assert "file 1 of the chain is there twice" in "\n".join(check(twice).problems)


@pytest.mark.parametrize("withheld", [False, True])
def test_what_was_lost_is_wrong_unless_nobody_got_it(withheld: bool) -> None:
    writer = Writer()
    writer.open()
    writer.add(Gap(time=TIME, since=TIME, reason="ENOSPC", records=2, items=20, withheld=withheld))
    writer.add(Close(time=TIME))
    writer.head()
    checked = check(writer.files)
    assert ("2 records of 20 items" in "\n".join(checked.problems)) is not withheld
    assert ("2 records of 20 items" in "\n".join(checked.notes)) is withheld


def pem(key: "rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey") -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_heads_are_signed_by_three_kinds_of_keys() -> None:
    from hsmgate.domain.audit.heads import is_signed

    rsa_key, ec_key = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())
    head = Head(time=TIME, chain="one", covers=1, hash="0", kid="k", algorithm="?")
    keys = [read_head_key(pem(rsa_key)), read_head_key(pem(ec_key))]
    for signature in (
        rsa_key.sign(head.text(), padding.PKCS1v15(), SHA256()),
        ec_key.sign(head.text(), ECDSA(SHA256())),
    ):
        head.signature = signature
        assert is_signed(head, keys)
    head.signature = b"\0" * 64
    assert not is_signed(head, keys)


@pytest.mark.parametrize("text", [b"", b"no key", pem(x25519.X25519PrivateKey.generate())])
def test_what_is_no_key_for_heads_is_said(text: bytes) -> None:
    with pytest.raises(AuditError):
        read_head_key(text)


@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_a_line_is_a_record_or_none(line: bytes) -> None:
    assert decode(line) is None
    check([[line]])
