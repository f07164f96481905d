"""How many items an app may have done: counted, with a clock of the test's own."""

import contextlib

import pytest

from hsmgate.domain.policy import Grant, Limits
from hsmgate.errors import TooMany
from hsmgate.gateway.auth import App
from hsmgate.gateway.quotas import Quotas

GRANT = Grant.of(["*"], ["sign"])
APP, OTHER = App("one", "one", GRANT), App("two", "two", GRANT)


class Played:
    """Quotas and the time that they believe it is."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.quotas = Quotas(lambda: self.now)

    def admitted(self, limits: Limits, count: int, app: App = APP) -> int:
        """How many of so many items were let in; they are done at once."""
        with self.quotas.admit(app, limits, range(count)) as items:
            return counted(items, count)


def counted(items: object, count: int) -> int:
    assert isinstance(items, list | range)
    let_in = [item for item in items if not isinstance(item, TooMany)]
    assert let_in == [*range(len(let_in))], "the first of them, in order"
    assert len(items) == count
    return len(let_in)


def test_a_second_s_worth_may_come_at_once_and_then_as_many_as_time_gives() -> None:
    played, limits = Played(), Limits(per_second=8)
    assert [played.admitted(limits, 3) for _ in range(4)] == [3, 3, 2, 0]
    played.now += 3.5 / 8
    assert [played.admitted(limits, 100), played.admitted(limits, 1)] == [3, 0]
    played.now += 0.5 / 8  # half an item was left
    assert played.admitted(limits, 100) == 1
    played.now += 3600
    assert played.admitted(limits, 100) == 8


def test_a_batch_is_taken_in_part_and_the_rest_is_told_why() -> None:
    with Played().quotas.admit(APP, Limits(per_second=2), "abc") as items:
        assert [*items[:2]] == ["a", "b"]
        assert str(items[2]) == "this app may have 2 items done per second; try again"
    with Played().quotas.admit(APP, Limits(in_flight=1), "abc") as items:
        assert items[0] == "a"
        assert {str(item) for item in items[1:]} == {"this app may have 1 items in flight; try again"}


def test_items_are_in_flight_until_their_call_is_answered_whatever_becomes_of_it() -> None:
    played, limits = Played(), Limits(in_flight=5)
    with contextlib.suppress(KeyError), played.quotas.admit(APP, limits, range(3)) as items:
        assert counted(items, 3) == 3
        assert played.admitted(limits, 4) == 2
        assert played.admitted(limits, 4) == 2
        assert played.admitted(limits, 4, OTHER) == 4
        raise KeyError
    assert played.admitted(limits, 9) == 5


def test_what_does_not_fly_costs_nothing_of_the_second() -> None:
    played, limits = Played(), Limits(per_second=10, in_flight=2)
    assert [played.admitted(limits, 9) for _ in range(6)] == [2, 2, 2, 2, 2, 0]


def test_an_app_that_is_configured_anew_goes_on_where_it_was() -> None:
    played = Played()
    assert played.admitted(Limits(per_second=10), 10) == 10
    anew = App(APP.id, "other name", GRANT)
    assert played.admitted(Limits(per_second=10), 10, anew) == 0
    assert played.admitted(Limits(per_second=3), 10, anew) == 0
    played.now += 10
    assert played.admitted(Limits(per_second=3), 10, anew) == 3
    assert played.admitted(Limits(per_second=10), 10, OTHER) == 10


@pytest.mark.parametrize("limits", [Limits(), Limits(in_flight=10)])
def test_where_there_is_no_rate_there_is_none(limits: Limits) -> None:
    played = Played()
    assert [played.admitted(limits, 10) for _ in range(100)] == [10] * 100


def test_a_limit_that_comes_later_begins_with_a_full_second() -> None:
    played = Played()
    assert played.admitted(Limits(in_flight=10), 10) == 10
    assert played.admitted(Limits(per_second=7), 10) == 7


def test_apps_that_are_gone_are_forgotten_once_nothing_of_theirs_is_in_flight() -> None:
    played, limits = Played(), Limits(per_second=8)
    assert played.admitted(limits, 8, OTHER) == 8
    with played.quotas.admit(APP, limits, range(8)):
        played.quotas.forget_others({"two"})
        assert played.admitted(limits, 1) == 0, "it is still there"
    assert played.admitted(limits, 8, OTHER) == 0, "it never went"
    played.quotas.forget_others(())
    assert (played.admitted(limits, 8), played.admitted(limits, 8, OTHER)) == (8, 8)
