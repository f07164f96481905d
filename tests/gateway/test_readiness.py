"""When the gateway is ready, and when a token is asked for a canary."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hsmgate.config import Server
from hsmgate.domain.model import KeyInfo, KeyType
from hsmgate.errors import ItemError, NoSigner
from hsmgate.gateway.audit.log import AuditLog
from hsmgate.gateway.connections import Connections
from hsmgate.gateway.current import Current
from hsmgate.gateway.keyring import Keyring
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.readiness import PROVEN_SECONDS, Readiness
from hsmgate.gateway.signing import BatchSigner
from hsmgate.ipc.messages import Failure, Keys, Made, Prove
from tests.gateway.played import FakeProcess, new_pool


def key(number: int) -> KeyInfo:
    kid = f"00000000-0000-4000-8000-{number:012}"
    return KeyInfo(bytes([number]) * 16, kid, f"key {number}", KeyType.EC, "NistP256", 256, bytes([number]))


class Gateway:
    """Two tokens, with keys of these numbers."""

    def __init__(self, first: set[int], second: set[int], audit: Any = None) -> None:
        self.first, self.second = new_pool(), new_pool()
        self.first.name, self.second.name = "first", "second"
        keyring = Keyring()
        for pool, numbers in ((self.first, first), (self.second, second)):
            keyring.update(pool, Keys([key(number) for number in numbers], [], 0.0, 0.0))
        current = Current(Server())
        self.connections = Connections(current)
        signer = BatchSigner(keyring, [self.first, self.second], current)
        self._readiness = Readiness(signer, self.connections, cast("AuditLog | None", audit))

    def up(self, *pools: TokenPool) -> None:
        for pool in pools:
            pool.join(FakeProcess())

    @property
    def ready(self) -> bool:
        return self._readiness.look()

    @property
    def problems(self) -> list[str]:
        return self._readiness.problems()


async def test_every_token_is_needed() -> None:
    there = Gateway({1}, {2})
    assert there.problems == ["token first: it has no signer", "token second: it has no signer"]
    there.up(there.first)
    assert there.problems == ["token second: it has no signer"]
    there.up(there.second)
    assert there.problems == []


async def test_one_whose_keys_are_all_elsewhere_is_not_missed() -> None:
    there = Gateway({1, 2}, {1})
    there.up(there.first)
    assert there.problems == []
    there.first.leave(there.first.signers[0])
    there.up(there.second)
    assert there.problems == ["token first: it has no signer"], "nobody else has key 2"


async def test_one_that_was_never_opened_or_has_no_keys_is_needed() -> None:
    there = Gateway({1}, set())
    there.up(there.first)
    assert there.problems == ["token second: it has no signer"]


async def test_one_that_is_not_required_is_not_missed_while_another_signs() -> None:
    there = Gateway({1}, {2})
    there.second.required = False
    there.up(there.first)
    assert there.problems == []
    there.first.leave(there.first.signers[0])
    assert there.problems == ["token first: it has no signer", "token second: it has no signer"]
    there.up(there.second)
    assert there.problems == ["token first: it has no signer"]


async def test_a_drained_one_is_not_missed_and_stands_in_for_nobody() -> None:
    there = Gateway({1}, {1})
    there.second.draining = True
    there.up(there.first)
    assert there.problems == []
    there.first.leave(there.first.signers[0])
    there.up(there.second)
    assert there.problems == ["token first: it has no signer"]
    there.first.draining = True
    assert there.problems == ["all tokens are drained"]


async def test_two_that_fail_do_not_stand_in_for_each_other() -> None:
    there = Gateway({1}, {1})
    assert len(there.problems) == 2


async def test_a_signature_shows_for_a_while_that_a_token_signs() -> None:
    there = Gateway({1}, {2})
    there.up(there.first, there.second)
    there.first.figures.signed_at -= PROVEN_SECONDS + 5
    assert there.problems == ["token first: it has not signed for more than 30 s"]
    there.first.figures.signed()
    assert there.problems == []


async def test_what_changes_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    there = Gateway({1}, {2})
    with caplog.at_level("INFO"):
        assert not there.ready
        there.up(there.first, there.second)
        assert there.ready
        there.first.figures.signed_at -= PROVEN_SECONDS
        for _ in range(3):
            there.first.figures.signed_at -= 1
            assert not there.ready
    assert [record.getMessage() for record in caplog.records] == [
        "not ready: token first: it has no signer; token second: it has no signer",
        "ready",
        "not ready: token first: it has not signed for more than 30 s",
    ]


async def test_the_fault_of_a_token_is_said() -> None:
    there = Gateway({1}, {2})
    there.up(there.second)
    there.first.give_up("token first: the PIN was refused")
    assert there.problems == ["token first: the PIN was refused"]


@pytest.mark.parametrize(
    ("refuses", "problems"), [(True, ["the audit log cannot be written, so nothing is signed"]), (False, [])]
)
async def test_what_cannot_be_recorded_is_not_signed(refuses: bool, problems: list[str]) -> None:
    there = Gateway({1}, {2}, SimpleNamespace(refuses=refuses))
    there.up(there.first, there.second)
    assert there.problems == problems


async def test_a_gateway_that_drains_is_not_ready() -> None:
    there = Gateway({1}, {2})
    there.up(there.first, there.second)
    there.connections.end_with_answers()
    assert there.problems == ["the gateway is draining"]


async def test_a_canary_is_an_order_to_a_signer() -> None:
    pool, process = new_pool(), FakeProcess()
    with pytest.raises(NoSigner):
        await pool.orders.prove()
    pool.join(process)
    for result, error in ((b"", None), (Failure(503, "the token is busy"), ItemError)):
        asked = asyncio.ensure_future(pool.orders.prove())
        await asyncio.sleep(0)
        order = process.sent.pop()
        assert isinstance(order, Prove)
        process.hear(Made(order.id, result))
        (said,) = await asyncio.gather(asked, return_exceptions=True)
        assert isinstance(said, error) if error else said is None
