"""In which order threads get what there is to do, and who reads what comes, over a real socket."""

import queue
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from hsmgate.ipc.frames import frame
from hsmgate.ipc.messages import DeriveSecret, ListKeys, Order, Part, Sign, ToSigner, Urgency, encode
from hsmgate.signer.inbox import IN_A_ROW, LONG_PATIENCE, Inbox, Lanes, Turn, Work
from hsmgate.signer.items import Bell
from hsmgate.signer.jobs import Task
from hsmgate.signer.link import Link
from tests.signer.test_jobs import TOKEN, task

EXPRESS, ORDINARY, LONG = Urgency.EXPRESS, Urgency.ORDINARY, Urgency.LONG


def taken(lanes: Lanes, count: int) -> list[Work]:
    return [turn.work for turn in (lanes.take() for _ in range(count)) if turn is not None]


def test_work_waits_for_as_many_threads_as_it_is_for() -> None:
    lanes = Lanes(Bell())
    first, second = task(3), task(3)
    lanes.put(first, threads=2)
    lanes.put(second)
    assert taken(lanes, 4) == [first, first, second]


def test_the_rest_of_a_task_comes_before_others_that_are_as_urgent() -> None:
    lanes = Lanes(Bell())
    rest, other = task(3), task(3)
    lanes.put(other)
    lanes.put_back(rest)
    assert taken(lanes, 2) == [rest, other]


def test_what_is_urgent_rings_until_somebody_has_it() -> None:
    bell = Bell(0, -1, 0)
    lanes = Lanes(bell)
    lanes.put(task(3))
    assert (bell.rings(LONG), bell.rings(ORDINARY)) == (True, False)
    lanes.put(task(1), threads=2, urgency=EXPRESS)
    assert bell.rings(ORDINARY)
    for rings in (True, False, False):
        lanes.take()
        assert bell.rings(ORDINARY) == rings
    assert not bell.rings(LONG)
    assert lanes.take() is None


def test_express_goes_first_but_not_for_ever() -> None:
    lanes = Lanes(Bell())
    ordinary, express, in_a_row = task(3), task(1), IN_A_ROW[EXPRESS]
    lanes.put(ordinary, threads=2)
    lanes.put(express, threads=in_a_row + 1, urgency=EXPRESS)
    assert taken(lanes, in_a_row + 3) == [express] * in_a_row + [ordinary, express, ordinary]


def test_long_ones_come_last_but_not_never() -> None:
    lanes, in_a_row = Lanes(Bell()), IN_A_ROW[EXPRESS]
    express, ordinary, long = task(1), task(2), task(3)
    lanes.put(long, threads=2, urgency=LONG)
    lanes.put(ordinary, threads=2)
    lanes.put(express, threads=2 * in_a_row + 1, urgency=EXPRESS)
    got = taken(lanes, 2 * in_a_row + 5)
    assert got == [*[express] * in_a_row, ordinary, *[express] * in_a_row, long, express, ordinary, long]


def test_a_long_one_stays_for_longer_when_ordinary_ones_wait_for_it() -> None:
    lanes, ordinary, long = Lanes(Bell()), task(2), task(3)
    lanes.put(long, threads=3, urgency=LONG)
    assert lanes.take() == Turn(long)
    lanes.put(ordinary, threads=2)
    assert [lanes.take() for _ in range(4)] == [
        Turn(ordinary),
        Turn(long, LONG_PATIENCE),
        Turn(ordinary),
        Turn(long),
    ]


class Gateway:
    """The other end of a signer's socket."""

    def __init__(self, sessions: int) -> None:
        self._socket, other = socket.socketpair()
        self._link = Link(other.detach())
        self.inbox = Inbox(self._link, sessions)

    def send(self, *messages: ToSigner) -> None:
        self._socket.sendall(b"".join(frame(encode(message)) for message in messages))

    def hang_up(self) -> None:
        self._socket.close()

    def close(self) -> None:
        self.hang_up()
        self._link._socket.close()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    one = Gateway(sessions=2)
    yield one
    one.close()


def order(number: int) -> Order:
    return DeriveSecret(number, "", create=False)


def batch(items: int, urgency: Urgency = ORDINARY) -> Sign:
    return Sign(1, [Part(TOKEN, [b"x"] * items, [])], 0.0, urgency)


def sizes(*works: Work) -> list[int]:
    return [len(work.results) for work in works if isinstance(work, Task)]


def test_whoever_has_nothing_to_do_reads(gateway: Gateway) -> None:
    got: queue.SimpleQueue[Work] = queue.SimpleQueue()
    threading.Thread(target=lambda: got.put(gateway.inbox.get().work)).start()
    time.sleep(0.05)
    gateway.send(order(1))
    assert got.get(timeout=10) == order(1)


def test_a_task_is_for_all_sessions_and_for_no_more_than_it_has_items(gateway: Gateway) -> None:
    gateway.send(batch(5), batch(1), order(9))
    first, second, third, fourth = (gateway.inbox.get().work for _ in range(4))
    assert first is second
    assert sizes(first, third) == [5, 1]
    assert fourth == order(9)


def test_who_is_busy_is_told_once_of_what_has_come_and_finds_it(gateway: Gateway) -> None:
    gateway.send(batch(3))
    rest = gateway.inbox.get().work
    assert gateway.inbox.get().work is rest, "the other session's"
    assert not gateway.inbox.bell.rings(ORDINARY)
    gateway.send(batch(1, EXPRESS))
    assert [gateway.inbox.bell.rings(ORDINARY) for _ in range(2)] == [True, False]
    assert isinstance(rest, Task)
    gateway.inbox.put_back(rest)
    assert sizes(*(gateway.inbox.get().work for _ in range(2))) == [1, 3]
    assert not gateway.inbox.bell.rings(ORDINARY)


def test_who_was_told_too_late_goes_on_with_what_there_is(gateway: Gateway) -> None:
    gateway.inbox.put_back(rest := task(3))
    gateway.inbox.bell.heard = 1
    assert gateway.inbox.get().work is rest, "and does not wait for what another has read"


def test_what_nobody_comes_to_read_is_read_all_the_same(gateway: Gateway) -> None:
    attending = threading.Thread(target=gateway.inbox.attend)
    attending.start()
    gateway.inbox.bell.heard = 1  # by a thread that does not come
    gateway.send(ListKeys(7))
    assert gateway.inbox.listing.get(timeout=10) == ListKeys(7)
    assert not gateway.inbox.bell.heard, "or nobody would hear of what comes next"
    gateway.hang_up()
    attending.join(10)
    assert not attending.is_alive()
    with pytest.raises(ConnectionError):
        gateway.inbox.get()


def test_many_threads_get_everything_once() -> None:
    gateway, got = Gateway(sessions=8), list[int]()

    def take() -> None:
        while (work := gateway.inbox.get().work) != order(-1):
            assert isinstance(work, DeriveSecret)
            got.append(work.id)
            if work.id % 7 == 0 and gateway.inbox.bell.rings(ORDINARY):
                continue  # it comes to read

    threads = [threading.Thread(target=take) for _ in range(8)]
    attending = threading.Thread(target=gateway.inbox.attend)
    for thread in (*threads, attending):
        thread.start()
    for number in range(0, 20_000, 50):
        gateway.send(*map(order, range(number, number + 50)))
    gateway.send(*[order(-1)] * 8)
    for thread in threads:
        thread.join(30)
    gateway.hang_up()
    attending.join(10)
    gateway.close()
    assert sorted(got) == [*range(20_000)]
