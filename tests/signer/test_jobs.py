"""How a message is cut into pieces, and in which order threads get them."""

import threading

import pytest

from hsmgate.domain.model import SignParams
from hsmgate.ipc.messages import DeriveSecret, Operation, Part, Sign, Signed, Source
from hsmgate.signer.jobs import EXPRESS_IN_A_ROW, Job, Lanes

PARAMS = SignParams("SHA256", prehashed=False)
TOKEN = Operation(b"key", PARAMS)
INLINE = Operation(b"key", PARAMS, Source.INLINE, "EC")


def message(*parts: Part) -> Sign:
    return Sign(7, [*parts], 0.0)


def part(items: int, at_once: int = 1000, operation: Operation = TOKEN) -> Part:
    return Part(operation, [b"%d" % n for n in range(items)], [], at_once)


def sizes(job: Job) -> list[int]:
    return [piece.stop - piece.start for piece in job.pieces]


@pytest.mark.parametrize(
    ("sessions", "parts", "expected"),
    [
        (1, [part(100)], [100]),
        (1, [part(3), part(2)], [3, 2]),
        (4, [part(64)], [4] * 16),
        (16, [part(5)], [1] * 5),
        (4, [part(64, at_once=1, operation=INLINE)], [16] * 4),
    ],
    ids=["whole", "parts", "shared", "too few", "a caller's key"],
)
def test_pieces_are_as_large_as_they_should(sessions: int, parts: list[Part], expected: list[int]) -> None:
    assert sizes(Job(message(*parts), sessions)) == expected


def test_whoever_is_last_has_the_answer() -> None:
    job = Job(message(part(3), part(1)), 1)
    one, last = job.pieces
    last.results[0] = True
    last.start = last.stop
    assert job.note(last, 0.5) is None
    one.results[:] = [b"0", b"1", b"2"]
    one.start = 2
    assert job.note(one, 2.0) is None
    one.start = 3
    assert job.note(one, 1.0, "CKM_ECDSA") == Signed(7, [[b"0", b"1", b"2"], [True]], [3.0, 0.5], ["CKM_ECDSA", ""])


def test_the_rest_of_a_piece_comes_before_other_ordinary_ones() -> None:
    lanes = Lanes()
    rest, other = (Job(message(part(3)), 1).pieces[0] for _ in range(2))
    lanes.put(other)
    lanes.put_back(rest)
    assert not lanes.urgent
    assert [lanes.get(), lanes.get()] == [rest, other]


def test_express_goes_first_but_not_for_ever() -> None:
    lanes = Lanes()
    ordinary, express = Job(message(part(3)), 1).pieces[0], Job(message(part(1)), 1).pieces[0]
    for _ in range(2):
        lanes.put(ordinary)
    for _ in range(EXPRESS_IN_A_ROW + 1):
        lanes.put(express, express=True)
    got = [lanes.get() for _ in range(EXPRESS_IN_A_ROW + 3)]
    assert got == [express] * EXPRESS_IN_A_ROW + [ordinary, express, ordinary]


def test_many_threads_get_everything_once() -> None:
    lanes = Lanes()
    got: list[int] = []

    def take() -> None:
        while True:
            work = lanes.get()
            assert isinstance(work, DeriveSecret)
            if work.id < 0:
                return
            got.append(work.id)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for number in range(20_000):
        lanes.put(DeriveSecret(number, "", create=False), express=number % 3 == 0)
    for _ in threads:
        lanes.put(DeriveSecret(-1, "", create=False))
    for thread in threads:
        thread.join(30)
    assert sorted(got) == [*range(20_000)]
