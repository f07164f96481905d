"""The last minutes, second by second."""

from types import SimpleNamespace
from typing import cast

import pytest

from hsmgate.config import Server
from hsmgate.gateway.audit.chain import Tally
from hsmgate.gateway.audit.log import AuditLog
from hsmgate.gateway.calls import Calls
from hsmgate.gateway.current import Current
from hsmgate.gateway.figures import BOUNDS_SECONDS, End, StartFault, TokenFigures
from hsmgate.gateway.history import SECONDS, History, quantile_ms
from hsmgate.gateway.keyring import Keyring
from hsmgate.gateway.loads import Loads
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.troubles import Troubles


@pytest.fixture
def pool() -> TokenPool:
    return TokenPool("hsm", 1, lambda pool, keys: None)


@pytest.fixture
def signer(pool: TokenPool) -> BatchSigner:
    return BatchSigner(Keyring(), [pool], Current(Server()))


def new_history(signer: BatchSigner) -> History:
    return History(signer, Troubles(signer, Calls(), Loads()))


def count(signer: BatchSigner, status: int, items: int, seconds: float, token: str = "hsm") -> None:
    if status != 200:
        signer.figures.failures[status, token] += items
    signer.figures.counts["sign", status, "RSA", "CKM_RSA_PKCS"] += items
    signer.figures.seconds.add(seconds, items)


def test_a_second_has_what_came_in_it(signer: BatchSigner) -> None:
    count(signer, 200, 7, 0.004)
    history = new_history(signer)
    count(signer, 200, 99, 0.004)
    count(signer, 404, 1, 0.4)
    history.note(1)
    history.note(1)
    first, second = history.latest(SECONDS)
    assert (first.ok, first.failed, second.ok, second.failed) == (99, 1, 0, 0)
    assert first.p50_ms is not None
    assert first.p99_ms is not None
    assert 2.5 < first.p50_ms < 5 == first.p99_ms
    assert second.p50_ms is second.p99_ms is None


def test_seconds_that_were_missed_share_what_came(signer: BatchSigner) -> None:
    history = new_history(signer)
    count(signer, 200, 10, 0.004)
    history.note(4)
    assert [second.ok for second in history.latest(SECONDS)] == [2.5] * 4
    assert [second.at - history.latest(SECONDS)[0].at for second in history.latest(SECONDS)] == [0, 1, 2, 3]
    history.note(10 * SECONDS)
    assert len(history.latest(SECONDS)) == SECONDS
    assert history.count == 4 + 10 * SECONDS


def test_each_token_has_a_rate_of_its_own(signer: BatchSigner, pool: TokenPool) -> None:
    pool.figures.in_signer.add(0.001, 5)
    history = new_history(signer)
    pool.figures.in_signer.add(0.001, 6)
    history.note(2)
    pool.figures = TokenFigures()  # as of a token that has gone and come again
    history.note(1)
    assert [second.tokens for second in history.latest(SECONDS)] == [{"hsm": 3.0}, {"hsm": 3.0}, {"hsm": 0.0}]


def test_it_has_an_end(signer: BatchSigner) -> None:
    history = new_history(signer)
    for _ in range(SECONDS + 5):
        history.note(1)
    assert [len(history.latest(seconds)) for seconds in (0, 1, SECONDS, SECONDS + 1)] == [0, 1, SECONDS, SECONDS]


def test_what_went_wrong_is_added_up_and_forgotten(signer: BatchSigner, pool: TokenPool) -> None:
    history = new_history(signer)
    count(signer, 500, 3, 0.001)
    pool.figures.ends[End.CRASHED] += 1
    pool.figures.ends[End.WORN] += 1
    history.note(1)
    count(signer, 500, 2, 0.001)
    count(signer, 400, 1, 0.001, "")
    count(signer, 299, 1, 0.001)
    pool.figures.failed_starts[StartFault.PIN] += 1
    history.note(1)
    assert {trouble: times for trouble, times, _ in history.troubles()} == {
        ("the token failed on an item", "hsm"): 5,
        ("an item was wrong in itself", None): 1,
        ("a signer crashed", "hsm"): 1,
        ("the PIN was refused", "hsm"): 1,
    }
    history.note(SECONDS)
    assert [*history.troubles()] == []


def test_what_goes_wrong_around_items_is_told_too(signer: BatchSigner) -> None:
    calls, loads = Calls(), Loads()
    chain = SimpleNamespace(lost=Tally())
    audit = cast("AuditLog", SimpleNamespace(chain=chain, refused_calls=0))
    history = History(signer, Troubles(signer, calls, loads, audit))
    calls.statuses[200] += 5
    calls.statuses[401] += 3
    calls.statuses[413] += 2
    calls.bugs += 1
    loads.refuse(["app[0].name: missing"])
    chain.lost = Tally(4)
    history.note(1)
    assert {trouble: times for (trouble, _), times, _ in history.troubles()} == {
        "a call had no valid credentials": 3,
        "a call was too large": 2,
        "a call met with an error of the gateway's own; the log says where": 1,
        "a new config was refused; the log says why": 1,
        "a record could not be written to the audit log": 4,
    }


@pytest.mark.parametrize(
    ("problem", "place"),
    [
        ("token[0].signers: input should be greater than 0", "token[0].signers"),
        ("token hsm-1: the token refused the PIN", "token hsm-1"),
        ("audit.head_key: no token would have it any more", "audit.head_key"),
        ("app: id 5d1e1f52 stands more than once", "app"),
        ("/etc/hsmgate/hsmgate.toml: No such file or directory", "the file"),
        ("ValueError", "the file"),
    ],
)
def test_of_a_refused_config_only_the_place_is_for_anyone(problem: str, place: str) -> None:
    loads = Loads()
    loads.refuse([problem, problem])
    assert loads.places() == [place]
    loads.hold()
    assert loads.places() == []


@pytest.mark.parametrize(
    ("bucket", "share", "milliseconds"),
    [(0, 0.5, 0.25), (0, 1.0, 0.5), (1, 0.5, 0.75), (-2, 1.0, 60_000), (-1, 0.5, 60_000)],
)
def test_a_quantile_lies_in_its_bucket(bucket: int, share: float, milliseconds: float) -> None:
    counts = [0] * (len(BOUNDS_SECONDS) + 1)
    counts[bucket] = 10
    assert quantile_ms(counts, share) == pytest.approx(milliseconds)


def test_there_is_no_quantile_of_nothing() -> None:
    assert quantile_ms([0] * (len(BOUNDS_SECONDS) + 1), 0.5) is None
