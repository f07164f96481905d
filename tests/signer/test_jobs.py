"""How a message is shared by threads."""

from hsmgate.domain.model import SignParams
from hsmgate.ipc.messages import Operation, Part, Sign, Signed
from hsmgate.signer.jobs import Job, Task

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
