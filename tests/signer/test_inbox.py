"""In which order threads get what there is to do, and who reads what comes, over a real socket."""

import queue
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from hsmgate.ipc.frames import frame
from hsmgate.ipc.messages import DeriveSecret, ListKeys, Order, Part, Sign, ToSigner, encode
from hsmgate.signer.inbox import EXPRESS_IN_A_ROW, Inbox, Lanes, Work
from hsmgate.signer.items import Bell
from hsmgate.signer.jobs import Task
from hsmgate.signer.link import Link
from tests.signer.test_jobs import TOKEN, task


def test_work_waits_for_as_many_threads_as_it_is_for() -> None:
    lanes = Lanes(Bell())
    first, second = task(3), task(3)
    lanes.put(first, threads=2)
    lanes.put(second)
    assert [lanes.take() for _ in range(3)] == [first, first, second]


def test_the_rest_of_a_task_comes_before_other_ordinary_ones() -> None:
    lanes = Lanes(Bell())
    rest, other = task(3), task(3)
    lanes.put(other)
    lanes.put_back(rest)
    assert [lanes.take(), lanes.take()] == [rest, other]


def test_what_is_urgent_rings_until_somebody_has_it() -> None:
    bell = Bell(0, -1, 0)
    lanes = Lanes(bell)
    lanes.put(task(3))
    assert not bell.rings()
    lanes.put(task(1), threads=2, express=True)
    assert bell.rings()
    for rings in (True, False, False):
        lanes.take()
        assert bell.rings() == rings
    assert lanes.take() is None


def test_express_goes_first_but_not_for_ever() -> None:
    lanes = Lanes(Bell())
    ordinary, express = task(3), task(1)
    for _ in range(2):
        lanes.put(ordinary)
    for _ in range(EXPRESS_IN_A_ROW + 1):
        lanes.put(express, express=True)
    got = [lanes.take() for _ in range(EXPRESS_IN_A_ROW + 3)]
    assert got == [express] * EXPRESS_IN_A_ROW + [ordinary, express, ordinary]


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


def batch(items: int, *, express: bool = False) -> Sign:
    return Sign(1, [Part(TOKEN, [b"x"] * items, [])], 0.0, express)


def sizes(*works: Work) -> list[int]:
    return [len(work.results) for work in works if isinstance(work, Task)]


def test_whoever_has_nothing_to_do_reads(gateway: Gateway) -> None:
    got: queue.SimpleQueue[Work] = queue.SimpleQueue()
    threading.Thread(target=lambda: got.put(gateway.inbox.get())).start()
    time.sleep(0.05)
    gateway.send(order(1))
    assert got.get(timeout=10) == order(1)


def test_a_task_is_for_all_sessions_and_for_no_more_than_it_has_items(gateway: Gateway) -> None:
    gateway.send(batch(5), batch(1), order(9))
    first, second, third, fourth = (gateway.inbox.get() for _ in range(4))
    assert first is second
    assert sizes(first, third) == [5, 1]
    assert fourth == order(9)


def test_who_is_busy_is_told_once_of_what_has_come_and_finds_it(gateway: Gateway) -> None:
    gateway.send(batch(3))
    rest = gateway.inbox.get()
    assert gateway.inbox.get() is rest, "the other session's"
    assert not gateway.inbox.bell.rings()
    gateway.send(batch(1, express=True))
    assert [gateway.inbox.bell.rings() for _ in range(2)] == [True, False]
    assert isinstance(rest, Task)
    gateway.inbox.put_back(rest)
    assert sizes(gateway.inbox.get(), gateway.inbox.get()) == [1, 3]
    assert not gateway.inbox.bell.rings()


def test_who_was_told_too_late_goes_on_with_what_there_is(gateway: Gateway) -> None:
    gateway.inbox.put_back(rest := task(3))
    gateway.inbox.bell.heard = 1
    assert gateway.inbox.get() is rest, "and does not wait for what another has read"


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
        while (work := gateway.inbox.get()) != order(-1):
            assert isinstance(work, DeriveSecret)
            got.append(work.id)
            if work.id % 7 == 0 and gateway.inbox.bell.rings():
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
