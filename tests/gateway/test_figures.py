"""What is counted of items and tokens, and what becomes of it in labels."""

import pytest

from hsmgate.errors import DeadlinePassed
from hsmgate.gateway.batch import Batch
from hsmgate.gateway.figures import BOUNDS_SECONDS, Durations, ItemFigures
from hsmgate.ipc.messages import Action, Failure
from tests.gateway.played import SLOW, Caller, with_signer


def test_a_duration_is_in_the_first_bucket_that_it_fits() -> None:
    durations = Durations()
    for seconds, count in ((0.0, 1), (0.0005, 2), (0.00051, 4), (60.0, 8), (60.1, 16)):
        durations.add(seconds, count)
    counts, total = durations.take()
    assert (counts[0], counts[1], counts[-2], counts[-1]) == (3, 4, 8, 16)
    assert len(counts) == len(BOUNDS_SECONDS) + 1
    assert total == pytest.approx(0.001 + 4 * 0.00051 + 480 + 16 * 60.1)
    assert durations.take() == ([0] * len(counts), 0.0)


async def test_each_item_is_counted_once_by_what_came_first() -> None:
    figures = ItemFigures()
    batch = Batch(5, 0.0, Action.VERIFY)
    batch.put([0, 1], [True, False], "CKM_ECDSA", "EC")
    batch.put([1, 2], [True, Failure(422, "no")], "CKM_RSA_PKCS", "RSA")
    batch.put([3], [Failure(400, "bad")])
    figures.note(batch, await batch.wait(lambda: DeadlinePassed("late")))
    assert figures.counts.take() == {
        ("verify", 200, "EC", "CKM_ECDSA"): 2,
        ("verify", 422, "RSA", "CKM_RSA_PKCS"): 1,
        ("verify", 400, "none", "none"): 1,
        ("verify", 504, "none", "none"): 1,
    }
    assert sum(figures.seconds.counts) == 5
    assert not figures.counts.take()


async def test_what_a_caller_did_not_wait_for_is_499() -> None:
    figures = ItemFigures()
    batch = Batch(2, 60.0)
    batch.put([1], [b"s"], "CKM_EDDSA", "Ed25519")
    figures.note(batch, batch.so_far())
    assert figures.counts.take() == {("sign", 200, "Ed25519", "CKM_EDDSA"): 1, ("sign", 499, "none", "none"): 1}


async def test_a_token_counts_items_as_they_go_and_come() -> None:
    pool, process, _ = with_signer()
    pool.figures.waited.take()
    pool.figures.in_signer.take()
    pool.figures.signed_at = 0.0
    caller = Caller(b"a", b"b", key=SLOW)
    pool.submit(caller.runs)
    process.answer_all()
    assert await caller.results() == [b"signed a", b"signed b"]
    assert (sum(pool.figures.waited.take()[0]), sum(pool.figures.in_signer.take()[0])) == (2, 2)
    assert pool.figures.unsigned_seconds() < 60
