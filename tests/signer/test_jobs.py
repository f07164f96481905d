"""How a message is shared, and in which order threads get what there is to do."""

import threading

from hsmgate.domain.model import SignParams
from hsmgate.ipc.messages import DeriveSecret, Operation, Part, Sign, Signed
from hsmgate.signer.jobs import EXPRESS_IN_A_ROW, Job, Lanes, Task

TOKEN = Operation(b"key", SignParams("SHA256", prehashed=False))


def job(*items: int) -> Job:
    """A message with a part of so many items each."""
    parts = [Part(TOKEN, [b"%d" % n for n in range(count)], [], 1000) for count in items]
    return Job(Sign(7, parts, 0.0))


def task(items: int) -> Task:
    return job(items).tasks[0]


def test_a_task_is_done_when_all_have_left_and_nothing_is_left() -> None:
    one = task(2)
    assert one.join()
    assert one.join()
    assert one.items.take() is not None
    assert not one.leave(1.0, "CKM_ECDSA"), "there is another item"
    assert one.join()
    assert one.items.take() is not None
    assert not one.leave(0.5, ""), "another thread has an item"
    assert one.leave(2.0, "")
    assert not one.join(), "nothing is left to do"
    assert (one.seconds, one.mechanism) == (3.5, "CKM_ECDSA")


def test_whoever_is_last_has_the_answer() -> None:
    both = job(3, 1)
    one, last = both.tasks
    last.results[0] = True
    last.seconds = 0.5
    assert both.finish() is None
    one.results[:] = [b"0", b"1", b"2"]
    one.seconds, one.mechanism = 3.0, "CKM_ECDSA"
    assert both.finish() == Signed(7, [[b"0", b"1", b"2"], [True]], [3.0, 0.5], ["CKM_ECDSA", ""])


def test_work_waits_for_as_many_threads_as_it_is_for() -> None:
    lanes = Lanes()
    first, second = task(3), task(3)
    lanes.put(first, threads=2)
    lanes.put(second)
    assert [lanes.get() for _ in range(3)] == [first, first, second]


def test_the_rest_of_a_task_comes_before_other_ordinary_ones() -> None:
    lanes = Lanes()
    rest, other = task(3), task(3)
    lanes.put(other)
    lanes.put_back(rest)
    assert [lanes.get(), lanes.get()] == [rest, other]


def test_what_is_urgent_is_so_until_somebody_has_it() -> None:
    lanes = Lanes()
    lanes.put(task(3))
    assert not lanes.urgent.value
    lanes.put(task(1), threads=2, express=True)
    for urgent in (1, 0, 0):
        lanes.get()
        assert lanes.urgent.value == urgent


def test_express_goes_first_but_not_for_ever() -> None:
    lanes = Lanes()
    ordinary, express = task(3), task(1)
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
    assert not lanes.urgent.value
