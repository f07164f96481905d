"""The pool against signers that a test plays: who gets what, in which messages, and what a death costs."""

import asyncio
import math
import time

import pytest
from msgspec.structs import replace

from hsmgate.domain.envelope import TransientKey, sealed, to_seal
from hsmgate.domain.model import KeyType
from hsmgate.errors import ItemError, NoSigner
from hsmgate.gateway import sending
from hsmgate.gateway.batch import Work
from hsmgate.gateway.pool import DEATHS_AT_MOST, TokenPool
from hsmgate.gateway.queue import EXPRESS_SECONDS, MESSAGE_BYTES, SHORTEST_MESSAGE_SECONDS, SIZES
from hsmgate.gateway.sending import CALL_SECONDS
from hsmgate.ipc.frames import KIB
from hsmgate.ipc.messages import (
    Failure,
    Generate,
    Keys,
    ListKeys,
    Made,
    Operation,
    Part,
    Signed,
    Source,
    Urgency,
)
from tests.gateway.played import (
    FAST,
    LATE,
    PARAMS,
    SECONDS,
    SLOW,
    Caller,
    FakeProcess,
    PromptPool,
    new_pool,
    occupied,
    payloads,
    with_signer,
)


async def test_items_are_signed_in_their_places() -> None:
    pool, process, _ = with_signer()
    caller = Caller(b"a", b"b", b"c")
    pool.submit(caller.runs)
    process.answer_all()
    assert await caller.results() == [b"signed a", b"signed b", b"signed c"]


async def test_items_that_came_before_the_first_signer_are_signed_by_it() -> None:
    pool, process, caller = new_pool(), FakeProcess(), Caller(b"a")
    pool.submit(caller.runs)
    assert pool.waiting == 1
    pool.join(process)
    process.answer_all()
    assert (await caller.results(), pool.waiting) == ([b"signed a"], 0)


async def test_items_of_several_batches_that_want_the_same_share_a_part() -> None:
    pool, process, _ = occupied(key=FAST)
    callers = [Caller(bytes((n,)), bytes((n, n))) for n in range(3)]
    for caller in callers:
        pool.submit(caller.runs)
    process.answer()
    process.answer()
    (shared,) = process.unanswered
    assert shared.parts == [
        Part(Operation(FAST, PARAMS), [part for n in range(3) for part in (bytes((n,)), bytes((n, n)))], [], 10)
    ]
    process.answer_all()
    assert [await caller.results() for caller in callers] == [
        [b"signed " + bytes((n,)), b"signed " + bytes((n, n))] for n in range(3)
    ]


async def test_a_message_is_not_longer_than_it_may_be() -> None:
    pool, process, _ = occupied()
    pool.submit(Caller(*[b"x"] * 1000).runs)
    lengths = [len(message) for message in process.answer_all()]
    assert sum(lengths) == 1002
    assert max(lengths) <= SIZES[Urgency.LONG].most_seconds / SECONDS[FAST] + 1


async def test_items_of_a_slow_key_go_one_by_one() -> None:
    pool, process, _ = occupied()
    pool.submit(Caller(*[b"x"] * 5, key=SLOW).runs)
    assert {len(message) for message in process.answer_all()} == {1}


async def test_items_of_a_key_that_was_not_seen_go_one_by_one_until_it_was() -> None:
    pool, process = new_pool(), FakeProcess()
    pool.join(process)
    pool.submit(Caller(*[b"x"] * 100).runs)
    lengths = [len(message) for message in process.answer_all()]
    assert lengths[:2] == [1, 1]
    assert max(lengths) > 10


async def test_a_message_carries_so_many_bytes_and_no_more() -> None:
    pool, process, _ = occupied()
    pool.submit(Caller(*(bytes((n,)) * 400 * KIB for n in range(7))).runs)
    messages = [message for message in process.answer_all() if message != [b"before"]]
    assert all(sum(map(len, message[:-1])) < MESSAGE_BYTES for message in messages)
    assert [len(message) for message in messages] == [3, 3, 1]


async def test_a_message_has_work_for_all_sessions_of_a_signer() -> None:
    pool, process, _ = occupied(sessions=4)
    pool.submit(Caller(*[b"x"] * 40).runs)
    process.answer()
    assert len(payloads(process.unanswered[-1])) == 40


async def test_two_signers_share_what_comes() -> None:
    pool, first, _ = with_signer()
    second = FakeProcess()
    pool.join(second)
    pool.submit(Caller(*[b"x"] * 100).runs)
    assert [[len(payloads(message)) for message in process.unanswered] for process in (first, second)] == [[50], [50]]


async def test_signers_of_a_long_batch_are_done_at_the_same_time(clock: list[float]) -> None:
    pool, first, _ = with_signer()
    second = FakeProcess()
    pool.join(second)
    pool.submit(Caller(*[b"x"] * 1000).runs)
    counts = [[len(payloads(message)) for message in process.unanswered] for process in (first, second)]
    assert [longest for longest, _ in counts] == [300, 300], "as much as a message may hold"
    (_, one), (_, other) = counts
    assert one == pytest.approx(0.9 * 200, abs=1)
    assert other == pytest.approx(0.9 * 200, abs=1)
    first.answer()
    assert len(payloads(first.unanswered[-1])) == 400 - one - other, "the rest, as the other has more to do"


async def test_the_only_signer_gets_a_long_batch_in_halves() -> None:
    pool, process, _ = with_signer()
    pool.submit(Caller(*[b"x"] * 400).runs)
    assert [len(message) for message in process.answer_all()[:3]] == [200, 100, 50]


async def test_busy_signers_get_batches_whole() -> None:
    pool, first, _ = with_signer()
    second = FakeProcess()
    pool.join(second)
    for _ in range(3):
        pool.submit(Caller(*[b"x"] * 54).runs)
    assert [[len(payloads(message)) for message in process.unanswered] for process in (first, second)] == [[27, 54]] * 2


async def test_a_big_batch_does_not_starve_a_small_one() -> None:
    pool, process, _ = with_signer()
    big, small = Caller(*[b"big"] * 15_000), Caller(b"small")
    pool.submit(big.runs)
    pool.submit(small.runs)
    messages = process.answer_all()
    turn = next(n for n, message in enumerate(messages) if b"small" in message)
    assert turn <= 3
    assert len(messages) > 50


async def test_a_short_batch_overtakes_long_ones_that_wait_and_that_are_in_hand() -> None:
    pool, process, _ = occupied()
    pool.submit(Caller(*[b"long"] * 1000).runs)
    assert pool.waiting == 1000
    short = [b"short"] * 20  # two milliseconds
    pool.submit(Caller(*short).runs)
    *_, last = process.unanswered
    assert (payloads(last), last.urgency) == (short, Urgency.EXPRESS)
    assert all(message.urgency < Urgency.EXPRESS for message in process.unanswered[:-1])


async def test_a_busy_signer_gets_short_batches_when_they_are_worth_a_message_or_it_is_done() -> None:
    pool, process, _ = with_signer()
    pool.submit(Caller(b"in hand").runs)
    worth = math.ceil(SHORTEST_MESSAGE_SECONDS / SECONDS[FAST])
    for n in range(worth - 1):
        pool.submit(Caller(bytes((n,))).runs)
    assert (len(process.unanswered), pool.waiting) == (1, worth - 1)
    pool.submit(Caller(b"the last").runs)
    assert [len(payloads(message)) for message in process.unanswered] == [1, worth]
    pool.submit(Caller(b"later").runs)
    process.answer()
    assert pool.waiting == 1
    process.answer()
    assert [payloads(message) for message in process.unanswered] == [[b"later"]]


async def test_short_batches_are_shared_with_a_signer_that_is_busy_now() -> None:
    pool, first, _ = with_signer()
    second = FakeProcess()
    pool.join(second)
    pool.submit(Caller(b"in hand").runs)
    pool.submit_together(Caller(*[b"x"] * 8) for _ in range(6))
    assert [[len(payloads(message)) for message in process.unanswered] for process in (first, second)] == [
        [1, 24],
        [24],
    ]


QUICK = b"quick"
QUICK_SECONDS = CALL_SECONDS / 2


def with_an_idle_signer(in_hand: int) -> tuple[PromptPool, FakeProcess, FakeProcess]:
    """A pool whose first signer has so many items of a quick key in hand, and whose second has nothing to do."""
    pool, first, _ = with_signer()
    pool.submit(Caller(b"", key=QUICK).runs)
    first.answer(seconds=QUICK_SECONDS)
    pool.submit(Caller(*[b"in hand"] * in_hand, key=QUICK).runs)
    second = FakeProcess()
    pool.join(second)
    return pool, first, second


async def test_an_idle_signer_is_not_woken_for_a_little_that_another_will_soon_take() -> None:
    pool, first, _ = with_an_idle_signer(1)
    pool.submit(Caller(b"a", key=QUICK).runs)
    assert pool.waiting == 1
    assert payloads(first.answer(seconds=QUICK_SECONDS)) == [b"in hand"]
    assert [payloads(message) for message in first.unanswered] == [[b"a"]]


async def test_it_is_when_there_is_more_than_a_little() -> None:
    pool, first, second = with_an_idle_signer(1)
    for number in range(math.ceil(SHORTEST_MESSAGE_SECONDS / QUICK_SECONDS)):
        assert not second.unanswered
        pool.submit(Caller(bytes((number,)), key=QUICK).runs)
    assert pool.waiting == 0
    assert sum(len(payloads(message)) for process in (first, second) for message in process.unanswered) == number + 2
    assert second.unanswered


@pytest.mark.parametrize("count", [2, 10])
async def test_it_is_for_a_batch_that_takes_longer_than_a_call_costs(count: int) -> None:
    pool, _, second = with_an_idle_signer(1)
    pool.submit(Caller(*[b"x"] * count, key=QUICK).runs)
    assert [len(payloads(message)) for message in second.unanswered] == [count]


async def test_it_is_where_the_other_is_busy_for_longer() -> None:
    pool, _, second = with_an_idle_signer(1 + math.ceil(EXPRESS_SECONDS / QUICK_SECONDS))
    pool.submit(Caller(b"a", key=QUICK).runs)
    assert [payloads(message) for message in second.unanswered] == [[b"a"]]


async def test_a_batch_stays_short_though_its_key_was_slow_once() -> None:
    pool, process, _ = with_signer()
    for _ in range(2):  # an interrupted session saw it take 3 ms
        pool.submit(Caller(b"interrupted").runs)
        process.answer(seconds=0.003)
    pool.submit(Caller(b"short").runs)
    assert process.unanswered[-1].urgency is Urgency.EXPRESS


async def test_a_key_that_has_become_slow_is_known_as_slow_in_time() -> None:
    pool, process, _ = with_signer()
    for _ in range(8):
        pool.submit(Caller(b"slow").runs)
        process.answer(seconds=0.003)
    pool.submit(Caller(b"long").runs)
    assert process.unanswered[-1].urgency is Urgency.ORDINARY


async def test_a_signer_whose_sessions_are_not_all_busy_gets_a_short_batch_at_once() -> None:
    pool, process, _ = with_signer(sessions=2)
    for content in (b"a", b"b", b"c"):
        pool.submit(Caller(content).runs)
    assert [payloads(message) for message in process.unanswered] == [[b"a"], [b"b"]]


async def test_a_session_does_about_a_millisecond_before_it_looks_for_what_is_more_urgent() -> None:
    pool, process, _ = with_signer()
    pool.submit(Caller(*[b"x"] * 1000).runs)
    assert [part.at_once for part in process.unanswered[0].parts] == [0.001 / SECONDS[FAST]]


async def test_long_messages_give_way_for_a_while_after_something_by_express(monkeypatch: pytest.MonkeyPatch) -> None:
    for likely_seconds, give_way in ((0.0, False), (60.0, True)):
        monkeypatch.setattr(sending, "EXPRESS_LIKELY_SECONDS", likely_seconds)
        pool, process, _ = with_signer()
        pool.submit(Caller(b"express").runs)
        pool.submit(Caller(*[b"x"] * 10_000).runs)
        express, long, *_ = process.unanswered
        assert (express.urgency, long.urgency) == (Urgency.EXPRESS, Urgency.LONG)
        assert long.gives_way == give_way


async def test_big_batches_take_turns() -> None:
    pool, process, _ = occupied()
    for name in (b"a", b"b", b"c"):
        pool.submit(Caller(*[name] * 1000).runs)
    turns = [message[0] for message in process.answer_all()[2:]]
    assert turns[:6] == [b"a", b"b", b"c"] * 2


async def test_items_of_a_batch_that_is_over_are_dropped() -> None:
    pool, process, _ = occupied(key=FAST)
    given_up, kept = Caller(*[b"given up"] * 3), Caller(b"kept")
    pool.submit(given_up.runs)
    pool.submit(kept.runs)
    assert await given_up.results() == [LATE] * 3
    assert process.answer_all()[2:] == [[b"kept"]]
    assert (await kept.results(), pool.waiting) == ([b"signed kept"], 0)


async def test_a_signer_that_leaves_costs_no_item_its_signature() -> None:
    pool, _, signer = with_signer()
    caller = Caller(b"a", b"b", b"c")
    pool.submit(caller.runs)
    assert pool.leave(signer) == 3
    assert pool.waiting == 3
    after = FakeProcess()
    pool.join(after)
    assert after.answer_all() == [[b"a"], [b"b"], [b"c"]]
    assert await caller.results() == [b"signed a", b"signed b", b"signed c"]


async def test_a_suspect_runs_alone() -> None:
    pool, _, signer = with_signer(sessions=4)
    pool.submit(Caller(b"suspect").runs)
    pool.leave(signer)
    after, bystander = FakeProcess(), Caller(b"bystander")
    pool.join(after)
    pool.submit(bystander.runs)
    assert [payloads(message) for message in after.unanswered] == [[b"suspect"]]
    after.answer()
    assert [payloads(message) for message in after.unanswered] == [[b"bystander"]]


async def test_a_suspect_whose_batch_is_over_is_dropped() -> None:
    pool, _, signer = with_signer()
    caller = Caller(b"suspect")
    pool.submit(caller.runs)
    pool.leave(signer)
    assert await caller.results() == [LATE]
    after = FakeProcess()
    pool.join(after)
    assert (after.unanswered, pool.waiting) == ([], 0)


async def test_a_suspect_waits_for_one_signer_while_the_others_go_on() -> None:
    pool, first, _ = with_signer()
    second, third = FakeProcess(), FakeProcess()
    busy = [pool.join(process) for process in (second, third)]
    pool.submit(Caller(*[b"x"] * 200, key=SLOW).runs)
    died = payloads(third.unanswered[0])
    assert pool.leave(busy[1]) == 2
    for _ in range(10):
        second.answer()
        assert len(second.unanswered) == 2
    first.answer()
    first.answer()
    assert [payloads(message) for message in first.unanswered] == [died]


async def test_an_item_that_kills_again_and_again_gets_a_500_and_the_others_their_signatures() -> None:
    pool, process, signer = with_signer()
    caller = Caller(b"good", b"deadly", b"too")
    pool.submit(caller.runs)
    deaths = 0
    while process.unanswered:
        if any(b"deadly" in payloads(message) for message in process.unanswered):
            deaths += 1
            pool.leave(signer)
            process = FakeProcess()
            signer = pool.join(process)
        else:
            process.answer()
    assert deaths == DEATHS_AT_MOST
    good, failed, too = await caller.results()
    assert (good, too, pool.waiting) == (b"signed good", b"signed too", 0)
    assert isinstance(failed, Failure)
    assert failed == Failure(500, f"the signer died {DEATHS_AT_MOST} times with this item in hand")


async def test_what_may_have_been_signed_with_a_one_time_key_is_not_signed_again() -> None:
    pool, _, signer = with_signer()
    held, waiting = Caller(*[b"held"] * 2, key=SLOW, once=True), Caller(b"waiting", key=SLOW, once=True)
    pool.submit(held.runs)
    pool.submit(waiting.runs)
    pool.leave(signer)
    after = FakeProcess()
    pool.join(after)
    assert after.answer_all() == [[b"waiting"]]
    refusal = Failure(500, "the signer died; a one-time key is not tried again")
    assert (await held.results(), await waiting.results()) == ([refusal] * 2, [b"signed waiting"])


@pytest.mark.parametrize("late", [Signed(10**6, [[b""]], [0.0], [""]), None], ids=["unknown id", "wrong length"])
async def test_a_signer_that_answers_what_it_was_not_asked_is_killed(late: Signed | None) -> None:
    pool, process, signer = with_signer()
    caller = Caller(b"a", b"b")
    pool.submit(caller.runs)
    process.hear(late or Signed(process.unanswered[0].id, [[b"one"]], [0.0], [""]))
    assert process.killed
    assert pool.leave(signer) == 2
    after = FakeProcess()
    pool.join(after)
    after.answer_all()
    assert await caller.results() == [b"signed a", b"signed b"]


async def test_a_message_is_answered_once() -> None:
    pool, process, _ = with_signer()
    pool.submit(Caller(b"a").runs)
    message = process.answer()
    assert not process.killed
    process.hear(Signed(message.id, [[b"again"]], [0.0], [""]))
    assert process.killed


async def test_a_message_that_cannot_be_encoded_fails_its_items_only() -> None:
    pool, process, _ = with_signer()
    odd, fine = Caller(b"odd"), Caller(b"fine")
    odd.runs[0].work = Work(Operation(FAST, replace(PARAMS, hash_alg="\ud800")))
    pool.submit(odd.runs)
    pool.submit(fine.runs)
    process.answer_all()
    assert await odd.results() == [Failure(500, "it cannot be carried to a signer")]
    assert (await fine.results(), pool.waiting) == ([b"signed fine"], 0)


async def test_giving_up_refuses_what_waits_and_what_comes() -> None:
    pool, process, signer = occupied()
    pool.submit(Caller(b"suspect", key=SLOW).runs)
    pool.leave(signer)
    waits, comes = Caller(b"waits", b"too"), Caller(b"comes")
    pool.submit(waits.runs)
    assert pool.waiting == 5
    pool.give_up("the PIN was refused")
    pool.submit(comes.runs)
    refusal = Failure(503, "the PIN was refused")
    assert (await waits.results(), await comes.results()) == ([refusal] * 2, [refusal])
    assert (pool.fault, pool.waiting) == ("the PIN was refused", 0)
    assert process.sent


async def test_what_is_in_hand_when_the_pool_gives_up_is_still_answered() -> None:
    pool, process, _ = with_signer()
    caller = Caller(b"a")
    pool.submit(caller.runs)
    pool.give_up("the PIN was refused")
    process.answer_all()
    assert await caller.results() == [b"signed a"]


async def test_what_a_last_signer_leaves_behind_is_refused_once_the_pool_gave_up() -> None:
    pool, _, signer = with_signer()
    caller = Caller(b"a")
    pool.submit(caller.runs)
    pool.give_up("the PIN was refused")
    pool.leave(signer)
    assert (await caller.results(), pool.waiting) == ([Failure(503, "the PIN was refused")], 0)


KEY_ID = b"i" * 16
NEW_KEY = TransientKey("app", KeyType.EC, "NistP256", 256, b"spki", ["SIGN"], 0, 0x210B, b"wrapped")
BLOB = sealed(to_seal(KEY_ID, NEW_KEY), bytes(32))
ORDER = Generate(0, "app", KeyType.EC, "NistP256", 256, ["SIGN"], 0)


async def ordered(pool: TokenPool, process: FakeProcess) -> tuple["asyncio.Task[bytes]", Generate]:
    """A key being made, and what the signer was told."""
    task = asyncio.create_task(pool.orders.generate(ORDER))
    await asyncio.sleep(0)
    told = process.sent[-1]
    assert isinstance(told, Generate)
    assert replace(told, id=0) == ORDER
    return task, told


async def test_a_generated_key_is_its_blob_and_its_wrapping_key_is_known_at_once() -> None:
    pool, process, _ = with_signer()
    task, told = await ordered(pool, process)
    assert KEY_ID not in pool.abilities.wrapping
    process.hear(Made(told.id, BLOB))
    assert await task == BLOB
    assert KEY_ID in pool.abilities.wrapping


async def test_keys_are_generated_side_by_side() -> None:
    pool, process, _ = with_signer(sessions=2)
    (one, first), (two, second) = await ordered(pool, process), await ordered(pool, process)
    process.hear(Made(second.id, Failure(422, "no")))
    process.hear(Made(first.id, BLOB))
    assert await one == BLOB
    with pytest.raises(ItemError):
        await two


async def test_a_refused_key_is_the_signers_refusal() -> None:
    pool, process, _ = with_signer()
    task, told = await ordered(pool, process)
    process.hear(Made(told.id, Failure(422, "transient: no")))
    with pytest.raises(ItemError, match=r"^transient: no$") as caught:
        await task
    assert caught.value.status == 422


async def test_a_key_that_was_being_made_when_the_signer_left_is_to_be_tried_again() -> None:
    pool, process, signer = with_signer()
    task, _ = await ordered(pool, process)
    pool.leave(signer)
    with pytest.raises(ItemError, match=r"try again$") as caught:
        await task
    assert caught.value.status == 503


async def test_without_a_signer_no_key_is_made() -> None:
    with pytest.raises(NoSigner):
        await new_pool().orders.generate(ORDER)


async def test_a_key_that_nobody_waits_for_any_more_does_no_harm() -> None:
    pool, process, signer = with_signer()
    for answered in (True, False):
        task, told = await ordered(pool, process)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if answered:
            process.hear(Made(told.id, BLOB))
    caller = Caller(b"a")
    pool.leave(signer)
    after = FakeProcess()
    pool.join(after)
    pool.submit(caller.runs)
    after.answer_all()
    assert await caller.results() == [b"signed a"]


async def test_a_session_that_makes_a_key_gets_nothing_else() -> None:
    pool, process, _ = with_signer()
    task, told = await ordered(pool, process)
    caller = Caller(b"a")
    pool.submit(caller.runs)
    assert not process.unanswered
    process.hear(Made(told.id, BLOB))
    process.answer_all()
    assert (await task, await caller.results()) == (BLOB, [b"signed a"])


async def test_a_suspect_does_not_run_where_a_key_is_being_made() -> None:
    pool, _, signer = with_signer()
    pool.submit(Caller(b"suspect").runs)
    other = FakeProcess()
    pool.join(other)
    task, told = await ordered(pool, other)
    pool.leave(signer)
    before = other.unanswered
    other.hear(Made(told.id, BLOB))
    assert await task == BLOB
    assert (before, [payloads(message) for message in other.unanswered]) == ([], [[b"suspect"]])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in its only place; it begins with the real one, which a default of a dataclass keeps to."""
    now = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_signer_that_is_at_one_message_for_too_long_hangs(clock: list[float]) -> None:
    async def scenario() -> None:
        pool, process, signer = with_signer()
        pool.submit(Caller(b"a", key=SLOW).runs)
        clock[0] += 20 + 10 * SECONDS[SLOW]
        assert pool.overdue(20.0) == []
        clock[0] += 0.1
        assert pool.overdue(20.0) == [signer]
        process.answer()
        assert pool.overdue(20.0) == []

    asyncio.run(scenario())


def test_a_signer_that_is_at_making_a_key_for_too_long_hangs(clock: list[float]) -> None:
    async def scenario() -> None:
        pool, process, signer = with_signer()
        task, _ = await ordered(pool, process)
        task.cancel()  # the request's time was up
        await asyncio.gather(task, return_exceptions=True)
        pool.submit(Caller(b"a").runs)
        clock[0] += 100
        assert pool.overdue(20.0) == [signer]

    asyncio.run(scenario())


def test_a_signer_that_makes_one_key_after_another_does_not_hang(clock: list[float]) -> None:
    async def scenario() -> None:
        pool, process, _ = with_signer()
        made = [await ordered(pool, process) for _ in range(5)]
        for task, told in made:
            clock[0] += 15
            assert pool.overdue(20.0) == []
            process.hear(Made(told.id, BLOB))
            assert await task == BLOB

    asyncio.run(scenario())


async def test_types_that_callers_make_up_are_not_remembered() -> None:
    pool, process, _ = with_signer()
    for n in range(2000):
        caller = Caller(b"a")
        caller.runs[0].work = Work(Operation(b"key", PARAMS, Source.INLINE, f"made up {n}"))
        pool.submit(caller.runs)
        process.answer_all()
    assert len(pool._costs._seconds) < 1000


async def test_the_keys_that_a_signer_reads_go_to_whom_it_concerns() -> None:
    told: list[tuple[TokenPool, Keys]] = []
    pool, process = TokenPool("t", 1, lambda pool, keys: told.append((pool, keys))), FakeProcess([b"a"])
    pool.orders.list_keys()
    pool.join(process)
    pool.orders.list_keys()
    assert process.sent == [ListKeys(-1)]
    process.hear(Keys([], [b"b"], 0.0, 0.0))
    assert told == [(pool, process.opened.keys), (pool, Keys([], [b"b"], 0.0, 0.0))]
    assert [name in pool.abilities.wrapping for name in (b"a", b"b", b"c")] == [True, True, False]


async def test_a_signer_that_opened_before_a_key_was_made_does_not_make_others_forget_it() -> None:
    told: list[Keys] = []
    pool, late = TokenPool("t", 1, lambda pool, keys: told.append(keys)), FakeProcess([b"late"])
    late.opened = replace(late.opened, keys=replace(late.opened.keys, begun=1.0))
    first = FakeProcess()
    pool.join(first)
    first.hear(with_key := Keys([], [], 0.0, 2.0))
    pool.join(late)
    assert told == [first.opened.keys, with_key]
    assert b"late" in pool.abilities.wrapping, "it opens what is made with that"
    late.hear(newer := Keys([], [], 0.0, 3.0))
    assert told[2:] == [newer]


async def test_a_pool_knows_what_its_token_takes_from_its_first_signer_on() -> None:
    pool = new_pool()
    assert not pool.abilities.wraps_keys()
    assert not pool.abilities.takes_inline("RSA")
    pool.join(FakeProcess())
    assert pool.abilities.wraps_keys()
    taken = {kind: pool.abilities.takes_inline(kind) for kind in ("RSA", "rsa", "EC", "DSA", "MLDSA", "AES", "")}
    assert taken == {"RSA": True, "rsa": True, "EC": True, "DSA": False, "MLDSA": True, "AES": False, "": False}
