"""What several processes count together: real processes, and one that is killed."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hsmgate.domain.policy import Grant, Limits
from hsmgate.errors import TooMany
from hsmgate.gateway.auth import App
from hsmgate.gateway.quotas import SharedQuotas
from hsmgate.gateway.workers import counts as counts_module
from hsmgate.gateway.workers.counts import Counts
from hsmgate.gateway.workers.folder import SharedPins
from hsmgate.secret import Secret

GRANT = Grant.of(["*"], ["sign"])
APPS = [App(f"00000000-0000-0000-0000-{number:012x}", "app", GRANT) for number in range(50)]


def in_workers(counts: Counts, work: Callable[[int], int], workers: int = 4) -> list[int]:
    """What that gives in each of so many forked processes, all at once."""
    context = multiprocessing.get_context("fork")
    results: Any = context.SimpleQueue()

    def run(index: int) -> None:
        counts.become(index)
        results.put(work(index))

    processes = [context.Process(target=run, args=(index,)) for index in range(workers)]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return found


def let_in(quotas: SharedQuotas, app: App, limits: Limits, count: int) -> int:
    with quotas.admit(app, limits, range(count)) as items:
        return sum(not isinstance(item, TooMany) for item in items)


def test_items_of_a_second_are_counted_over_all_workers_and_for_each_app() -> None:
    counts = Counts(4)
    limits = Limits(per_second=100)

    def work(index: int) -> int:
        quotas = SharedQuotas(counts)
        quotas._clock = lambda: 1000.0
        return sum(let_in(quotas, app, limits, 1) for _ in range(60) for app in APPS)

    assert sum(in_workers(counts, work)) == 100 * len(APPS)


def test_what_a_killed_worker_had_in_flight_is_given_back() -> None:
    counts = Counts(2)
    limits = Limits(in_flight=5)
    held, hold = os.pipe()
    pid = os.fork()
    if pid == 0:
        counts.become(1)
        with SharedQuotas(counts).admit(APPS[0], limits, range(3)):
            counts.reserve(10, 0, 100)
            os.write(hold, b"x")
            signal.pause()
    os.read(held, 1)
    counts.become(0)
    quotas = SharedQuotas(counts)
    assert let_in(quotas, APPS[0], limits, 9) == 2
    assert counts.reserve(100, 0, 100) == 90
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    counts.give_back(1)
    assert let_in(quotas, APPS[0], limits, 9) == 5
    assert counts.reserve(100, 0, 100) == 100


def test_waiting_items_are_counted_over_all_workers() -> None:
    counts = Counts(4)

    def work(index: int) -> int:
        waiting = 0
        for _ in range(1000):
            waiting += counts.reserve(1, waiting, 777)
        return waiting

    assert sum(in_workers(counts, work)) == 777
    counts.become(0)
    counts.note_waiting(0)
    assert counts.reserve(1000, 0, 10_000) == 1000


def test_who_has_more_connections_than_another_is_crowded() -> None:
    counts = Counts(3)
    counts.become(0)
    counts.note_connections(5)
    assert not counts.crowded()  # nobody else lets anyone in
    counts.become(1)
    counts.note_connections(0)
    assert not counts.crowded()
    counts.become(0)
    assert counts.crowded()
    counts.become(1)
    counts.note_connections(None)
    counts.become(0)
    assert not counts.crowded()


def test_apps_beyond_all_rows_share_the_last(monkeypatch: Any) -> None:
    monkeypatch.setattr(counts_module, "ROWS", 3)
    counts = Counts(1)
    quotas = SharedQuotas(counts)
    limits = Limits(in_flight=1)
    with contextlib.ExitStack() as stack:
        got = [stack.enter_context(quotas.admit(app, limits, [0]))[0] for app in APPS[:5]]
    assert [isinstance(item, TooMany) for item in got] == [False, False, False, True, True]


def test_what_is_noted_of_a_pin_in_one_worker_is_read_in_the_others(tmp_path: Path) -> None:
    pins = SharedPins(tmp_path)
    pid = os.fork()
    if pid == 0:
        os.write(pins.open(pins.digest(Secret("1234"))), b"refused")
        os._exit(0)
    os.waitpid(pid, 0)
    for _ in range(2):  # also when nobody had it open meanwhile
        file = pins.open(pins.digest(Secret("1234")))
        assert os.pread(file, 100, 0) == b"refused"
        pins.close(pins.digest(Secret("1234")))
    other = pins.open(pins.digest(Secret("12345")))
    assert os.pread(other, 100, 0) == b""
