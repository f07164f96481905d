"""What a pool does when a token fails: it distrusts, hands over, refuses, takes back, and replaces what is worn."""

import time

import pytest

from hsmgate.gateway.batch import Batch, Run, Work
from hsmgate.gateway.pool import AWAY_AT_MOST_SECONDS, DISTRUST_SECONDS, TokenPool
from hsmgate.gateway.signers import WORN_AFTER_OBJECTS, Signer
from hsmgate.ipc.messages import Distrust, Failure, Keys, ListKeys, Operation, Signed, Source
from tests.gateway.played import FAST, PARAMS, SLOW, Caller, FakeProcess, new_pool, payloads, with_signer

WRONG = Failure(500, "the token's signatures do not verify under this key")
AWAY = Failure(503, "token t cannot be had at present; try again")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time as pools see it."""
    now = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def twins() -> tuple[tuple[TokenPool, FakeProcess, Signer], tuple[TokenPool, FakeProcess, Signer]]:
    """Two tokens that have the same keys."""
    return with_signer(), with_signer()


def on_both(caller: Caller, *pools: TokenPool) -> Caller:
    """The caller, whose key is on all these tokens; on each it is called something else."""
    places: list[tuple[TokenPool, Work]] = []
    for number, pool in enumerate(pools):
        places.append((pool, Work(Operation(b"key %d" % number, PARAMS), places)))
    for run in caller.runs:
        run.work = places[0][1]
    return caller


async def test_a_wrong_signature_is_not_returned_and_its_item_runs_again_elsewhere() -> None:
    pool, process, signer = with_signer()
    caller = Caller(b"a", b"b", b"c")
    pool.submit(caller.runs)
    process.hear(Distrust(process.unanswered[0].id, 0, 1))
    assert process.killed
    assert (pool.leave(signer), pool.waiting) == (3, 3)
    after = FakeProcess()
    pool.join(after)
    assert after.answer_all() == [[b"a", b"b", b"c"]]  # nobody is a suspect: it is known which item it was
    assert await caller.results() == [b"signed a", b"signed b", b"signed c"]


async def test_a_key_whose_signatures_are_wrong_again_is_left_alone_for_a_while(clock: list[float]) -> None:
    pool, process, signer = with_signer()
    bad, good = Caller(b"bad", key=SLOW), Caller(b"good")
    pool.submit([*bad.runs, *good.runs])
    for _ in range(2):
        message = next(message for message in process.unanswered if b"bad" in payloads(message))
        process.hear(Distrust(message.id, [part.payloads[0] for part in message.parts].index(b"bad"), 0))
        pool.leave(signer)
        process = FakeProcess()
        signer = pool.join(process)
    process.answer_all()
    assert await bad.results() == [WRONG]
    assert await good.results() == [b"signed good"]
    again = Caller(b"again", key=SLOW)
    pool.submit(again.runs)
    assert (await again.results(), process.unanswered) == ([WRONG], [])
    clock[0] += DISTRUST_SECONDS + 1
    pool.submit(Caller(b"later", key=SLOW).runs)
    assert [payloads(message) for message in process.unanswered] == [[b"later"]]


async def test_a_signer_that_was_distrusted_gets_nothing_more() -> None:
    pool, process, _ = with_signer()
    pool.submit(Caller(b"a").runs)
    process.hear(Distrust(process.unanswered[0].id, 0, 0))
    pool.submit(Caller(b"b").runs)
    assert [payloads(message) for message in process.unanswered] == [[b"a"]]


async def test_what_a_dead_token_leaves_behind_is_signed_by_its_twin() -> None:
    (first, _, signer), (second, process, _) = twins()
    in_hand, waiting = (on_both(Caller(*[name] * 3, key=SLOW), first, second) for name in (b"in hand", b"waiting"))
    first.submit(in_hand.runs)
    first.submit(waiting.runs)
    first.leave(signer)
    process.answer_all()
    assert first.waiting == second.waiting == 0
    assert await in_hand.results() == [b"signed in hand"] * 3
    assert await waiting.results() == [b"signed waiting"] * 3
    assert all(run.work.operation.key == b"key 1" for run in waiting.runs)


async def test_what_comes_for_a_token_without_signers_goes_to_its_twin() -> None:
    away, (twin, process, _) = new_pool(), with_signer()
    caller = on_both(Caller(b"a"), away, twin)
    away.submit(caller.runs)
    process.answer_all()
    assert await caller.results() == [b"signed a"]


LOST = Failure(500, "the token failed (CKR_OBJECT_HANDLE_INVALID)")


async def test_an_item_that_one_token_fails_on_is_tried_once_on_its_twin() -> None:
    (first, process, _), (second, other, _) = twins()
    caller = on_both(Caller(b"a", b"b", b"c"), first, second)
    first.submit(caller.runs)
    becomes: dict[bytes, bytes | bool | Failure] = {b"a": b"signed a", b"b": LOST, b"c": Failure(403, "no")}
    while process.unanswered:
        message = process.unanswered[0]
        process.sent.remove(message)
        results = [[becomes[payload] for payload in part.payloads] for part in message.parts]
        process.hear(Signed(message.id, results, [0.0] * len(results), [""] * len(results)))
    assert [payloads(message) for message in other.unanswered] == [[b"b"]]
    other.hear(Signed(other.unanswered[0].id, [[LOST]], [0.0], [""]))
    assert process.unanswered == []
    assert await caller.results() == [b"signed a", LOST, Failure(403, "no")]


async def test_an_item_that_a_token_fails_on_has_its_error_where_there_is_no_other() -> None:
    (first, process, _), away = with_signer(), new_pool()
    caller = on_both(Caller(b"a"), first, away)
    first.submit(caller.runs)
    process.hear(Signed(process.unanswered[0].id, [[LOST]], [0.0], [""]))
    assert await caller.results() == [LOST]


async def test_a_key_that_one_token_signs_wrongly_is_signed_by_its_twin() -> None:
    (first, process, signer), (second, other, _) = twins()
    caller = on_both(Caller(b"a"), first, second)
    first.submit(caller.runs)
    process.hear(Distrust(process.unanswered[0].id, 0, 0))
    first.leave(signer)
    other.answer_all()
    assert await caller.results() == [b"signed a"]


async def test_a_key_that_every_token_signs_wrongly_is_an_error() -> None:
    pools = [with_signer(), with_signer()]
    caller = on_both(Caller(b"a"), *(pool for pool, _, _ in pools))
    pools[0][0].submit(caller.runs)
    wrong = 0
    while any(process.unanswered for _, process, _ in pools):
        at = next(n for n, (_, process, _) in enumerate(pools) if process.unanswered)
        pool, process, signer = pools[at]
        process.hear(Distrust(process.unanswered[0].id, 0, 0))
        pool.leave(signer)
        successor = FakeProcess()
        pools[at] = pool, successor, pool.join(successor)
        wrong += 1
    assert wrong <= 4
    assert await caller.results() == [WRONG]


async def test_items_wait_for_a_token_that_is_away_and_not_for_ever(clock: list[float]) -> None:
    pool, _, signer = with_signer()
    pool.leave(signer)
    waits = Caller(b"waits")
    pool.submit(waits.runs)
    clock[0] += AWAY_AT_MOST_SECONDS - 0.1
    pool.let_go()
    assert pool.waiting == 1
    clock[0] += 0.2
    pool.let_go()
    comes = Caller(b"comes")
    pool.submit(comes.runs)
    assert (await waits.results(), await comes.results(), pool.waiting) == ([AWAY], [AWAY], 0)
    back, process = Caller(b"back"), FakeProcess()
    pool.join(process)
    pool.submit(back.runs)
    process.answer_all()
    assert await back.results() == [b"signed back"]


async def test_a_refused_pin_stops_nothing_while_a_signer_works() -> None:
    pool, process, _ = with_signer()
    pool.give_up("the PIN was refused")
    caller = Caller(b"a")
    pool.submit(caller.runs)
    process.answer_all()
    assert await caller.results() == [b"signed a"]


async def test_a_worn_signer_retires_when_it_has_nothing_left() -> None:
    pool, process, signer = with_signer()
    signer.note_brought(WORN_AFTER_OBJECTS)
    caller = Caller(b"a", b"b")
    pool.submit(caller.runs)
    successor = FakeProcess()
    pool.join(successor)
    pool.retire_worn()
    pool.submit(Caller(b"c").runs)
    assert [payloads(message) for message in successor.unanswered] == [[b"c"]]
    assert not signer.emptied.is_set()
    process.answer_all()
    assert signer.emptied.is_set()
    assert (pool.leave(signer), await caller.results()) == (0, [b"signed a", b"signed b"])


async def test_only_keys_that_callers_bring_wear_a_signer() -> None:
    pool, process, signer = with_signer()
    pool.submit(Caller(*[b"x"] * 10).runs)
    process.answer_all()
    assert signer._brought == 0
    batch = Batch(10, 60.0)
    pool.submit(
        [Run(batch, Work(Operation(b"key %d" % n, PARAMS, Source.INLINE, "EC")), [n], [b"x"], []) for n in range(10)]
    )
    process.answer_all()
    assert signer._brought == 10


async def test_a_signer_that_does_not_give_its_keys_hangs() -> None:
    pool, process, signer = with_signer()
    pool.orders.list_keys()
    assert process.sent == [ListKeys(-1)]
    assert signer.listing_since is not None
    signer.listing_since -= 10.1
    assert pool.overdue(10.0) == [signer]
    process.hear(Keys([], [], 0.0, 0.0))
    assert pool.overdue(10.0) == []


async def test_a_message_says_until_when_somebody_waits() -> None:
    pool, process, _ = with_signer()
    caller = Caller(b"a", key=FAST)
    pool.submit(caller.runs)
    assert process.unanswered[0].deadline == caller.batch.deadline
