"""Session tokens against a clock, over pools that derive a secret, or none."""

import base64
from typing import cast

import pytest

from hsmgate.errors import NotFound
from hsmgate.gateway import sessions as module
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.sessions import IDLE_SECONDS, LIFE_SECONDS, RETRY_SECONDS, Session, Sessions

APP, OTHER = (f"5d1e1f52-8a3b-4c6d-9e7f-00112233445{n}" for n in (5, 6))
CREDENTIAL = bytes(range(8))


async def issued(one: Sessions, app: str = APP) -> str:
    token, idle_seconds = await one.issue(app, CREDENTIAL)
    assert idle_seconds == IDLE_SECONDS
    return token


class Pool:
    """A pool as far as sessions use it: its token may have a secret, or gets one when it may be made."""

    name = "fake"

    def __init__(self, secret: bytes | None = None) -> None:
        self.secret = secret
        self.asked = 0
        self.orders = self

    async def derive_secret(self, purpose: str, *, create: bool) -> bytes:
        self.asked += 1
        if self.secret is None:
            if not create:
                raise NotFound("none")
            self.secret = bytes(32)
        return self.secret


@pytest.fixture
def clock() -> list[float]:
    return [1_800_000_000.0]


def sessions(clock: list[float], pool: Pool) -> Sessions:
    return Sessions([cast("TokenPool", pool)], lambda: clock[0])


async def test_a_token_that_is_used_lives_and_an_idle_one_dies(clock: list[float]) -> None:
    one = sessions(clock, Pool())
    used, idle = await issued(one), await issued(one)
    for _ in range(3):
        clock[0] += IDLE_SECONDS - 1
        assert await one.identify(used) == Session(APP, CREDENTIAL)
    assert await one.identify(idle) is None


async def test_no_token_outlives_its_life(clock: list[float]) -> None:
    one = sessions(clock, Pool())
    token = await issued(one)
    for _ in range(LIFE_SECONDS // 500):
        clock[0] += 500
        assert await one.identify(token) == Session(APP, CREDENTIAL)
    clock[0] += 500
    assert await one.identify(token) is None


async def test_a_token_ends_with_what_it_was_given_for(clock: list[float]) -> None:
    one = sessions(clock, Pool())
    token, idle_seconds = await one.issue(APP, CREDENTIAL, clock[0] + 60.5)
    assert idle_seconds == 60
    clock[0] += 60
    assert await one.identify(token) == Session(APP, CREDENTIAL)
    clock[0] += 1
    assert await one.identify(token) is None


async def test_a_replica_knows_a_token_by_the_secret_alone(clock: list[float]) -> None:
    shared = Pool()
    first, replica = sessions(clock, shared), sessions(clock, shared)
    token = await issued(first)
    assert await replica.identify(token) == Session(APP, CREDENTIAL)
    first.terminate(token)
    assert await first.identify(token) is None
    assert await replica.identify(token) == Session(APP, CREDENTIAL)
    clock[0] += IDLE_SECONDS + 1
    assert await replica.identify(token) is None


async def test_another_tokens_secret_is_of_no_use(clock: list[float]) -> None:
    token = await issued(sessions(clock, Pool(b"a" * 32)))
    assert await sessions(clock, Pool(b"b" * 32)).identify(token) is None


async def test_every_flipped_bit_of_a_token_is_noticed(clock: list[float]) -> None:
    one = sessions(clock, Pool())
    raw = base64.urlsafe_b64decode(await issued(one) + "==")
    for at in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[at // 8] ^= 1 << at % 8
        assert await one.identify(base64.urlsafe_b64encode(bytes(flipped)).decode()) is None


async def test_a_token_lives_for_all_of_its_idle_seconds_wherever_the_second_began(clock: list[float]) -> None:
    one = sessions(clock, Pool())
    for part in (0.001, 0.5, 0.999):
        clock[0] = int(clock[0]) + part
        token = await issued(one)
        clock[0] += IDLE_SECONDS
        assert await one.identify(token) == Session(APP, CREDENTIAL)


def remembered(one: Sessions) -> int:
    return sum(len(memory.used) + len(memory.terminated) for memory in one._memories.values())


async def test_tokens_that_nobody_uses_take_no_memory(clock: list[float]) -> None:
    one = sessions(clock, Pool())
    for _ in range(1000):
        await issued(one)
    assert remembered(one) == 0


async def test_dead_tokens_are_forgotten_and_living_ones_are_not(clock: list[float]) -> None:
    one = sessions(clock, Pool())
    for _ in range(5):
        tokens = [await issued(one) for _ in range(1500)]
        for token in tokens:
            await one.identify(token)
        clock[0] += IDLE_SECONDS
        assert await one.identify(tokens[0]) == Session(APP, CREDENTIAL)
        assert await one.identify(tokens[-1]) == Session(APP, CREDENTIAL)
        clock[0] += 1
        assert remembered(one) <= 1502
    clock[0] += IDLE_SECONDS
    await one.identify(await issued(one, OTHER))
    assert remembered(one) == 1, "of apps that are quiet nothing is left"


async def test_the_uses_that_are_remembered_have_an_end_for_each_app(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED_AT_MOST", 10)
    one = sessions(clock, Pool())
    others = await issued(one, OTHER)
    tokens = [await issued(one) for _ in range(30)]
    clock[0] += IDLE_SECONDS
    for token in (others, *tokens):
        assert await one.identify(token) is not None
    clock[0] += 1
    assert remembered(one) == 11
    living = [await one.identify(token) is not None for token in tokens]
    assert living == [False] * 20 + [True] * 10, "what is forgotten is idle, and the oldest use is forgotten first"
    assert await one.identify(others) == Session(OTHER, CREDENTIAL)


async def test_a_terminated_token_stays_dead_however_many_are_terminated_after_it(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED_AT_MOST", 10)
    one = sessions(clock, Pool())
    others = await issued(one, OTHER)
    tokens = [await issued(one) for _ in range(50)]
    for token in tokens:
        one.terminate(token)
    clock[0] += 1
    newer = await issued(one)
    assert remembered(one) == 10
    for token in tokens:
        assert await one.identify(token) is None
    assert await one.identify(newer) == Session(APP, CREDENTIAL)
    assert await one.identify(others) == Session(OTHER, CREDENTIAL)


async def test_nobody_terminates_by_a_token_that_is_not_ours(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED_AT_MOST", 1)
    one, another = sessions(clock, Pool(b"1" * 32)), sessions(clock, Pool(b"2" * 32))
    token = await issued(one)
    for _ in range(3):
        one.terminate(await issued(another))
    assert await one.identify(token) == Session(APP, CREDENTIAL)


async def test_a_terminated_token_of_a_clock_that_is_ahead_is_not_forgotten_too_soon(clock: list[float]) -> None:
    shared = Pool()
    one = sessions(clock, shared)
    token = await issued(sessions([clock[0] + 30], shared))
    assert await one.identify(token) == Session(APP, CREDENTIAL)
    one.terminate(token)
    clock[0] += IDLE_SECONDS + 10
    await one.identify(await issued(one, OTHER))
    assert await one.identify(token) is None


async def test_strangers_do_not_make_the_hsm_work(clock: list[float]) -> None:
    pool = Pool()
    one = sessions(clock, pool)
    stranger = await issued(sessions(clock, Pool(b"x" * 32)))
    for _ in range(100):
        assert await one.identify(stranger) is None
        assert await one.identify("junk") is None
    assert pool.asked == 1
    clock[0] += RETRY_SECONDS
    assert await one.identify(stranger) is None
    assert (pool.asked, pool.secret) == (2, None)


async def test_without_a_token_that_can_the_secret_is_this_processs_own(clock: list[float]) -> None:
    one = Sessions([], lambda: clock[0])
    assert await one.identify(await issued(one)) == Session(APP, CREDENTIAL)
    assert await Sessions([], lambda: clock[0]).identify(await issued(one)) is None


async def test_terminated_tokens_stay_dead_and_are_forgotten_when_they_would_have_died(clock: list[float]) -> None:
    one = sessions(clock, Pool())
    for _ in range(5):
        tokens = [await issued(one) for _ in range(1500)]
        for token in tokens:
            one.terminate(token)
        clock[0] += IDLE_SECONDS
        assert await one.identify(tokens[0]) is None
        clock[0] += 1
        assert await one.identify(tokens[0]) is None
        assert remembered(one) <= 3000


async def test_when_the_token_with_the_secret_leaves_another_is_asked_and_old_tokens_stay_good(
    clock: list[float],
) -> None:
    first, second = Pool(b"1" * 32), Pool(b"2" * 32)
    pools = [cast("TokenPool", first), cast("TokenPool", second)]
    one = Sessions(pools, lambda: clock[0])
    old = await issued(one)
    del pools[0]
    new = await issued(one)
    assert (first.asked, second.asked) == (1, 1)
    for token in (old, new):
        assert await one.identify(token) == Session(APP, CREDENTIAL)
    assert await sessions(clock, second).identify(new) == Session(APP, CREDENTIAL), "a gateway that starts later"
    pools[0] = cast("TokenPool", Pool(b"3" * 32))
    other = await issued(sessions(clock, Pool(b"3" * 32)))
    for token in (other, old, new):
        assert await one.identify(token) == Session(APP, CREDENTIAL)
    assert await one.identify(await issued(sessions(clock, Pool(b"4" * 32)))) is None
