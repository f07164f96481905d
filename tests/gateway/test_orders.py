"""Orders to signers: new keys."""

import asyncio
import itertools
from typing import Any, cast

import pytest

from hsmgate.domain.model import KeyType
from hsmgate.gateway.abilities import Abilities
from hsmgate.gateway.orders import Orders
from hsmgate.gateway.signers import Asked, Signer
from hsmgate.ipc.messages import Failure, Generate


class Process:
    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, message: Any) -> None:
        self.sent.append(message)


class Idle:
    """A signer that answers when it is told to."""

    def __init__(self) -> None:
        self.process = Process()
        self.asked: dict[int, Asked] = {}
        self.alone = self.retiring = False
        self.items_in_hand = 0

    def fail(self) -> None:
        self.asked.pop(self.process.sent[-1].id).give(Failure(503, "no"))


def order(key_type: KeyType) -> Generate:
    return Generate(0, "app", key_type, "", 8192, ["SIGN"], 0)


async def test_rsa_keys_are_made_one_at_a_time_even_if_their_callers_go_away() -> None:
    one, other = Idle(), Idle()
    orders = Orders(cast("list[Signer]", [one, other]), cast("Abilities", None), itertools.count(1))
    first, second = (asyncio.create_task(orders.generate(order(KeyType.RSA))) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0.01)
    assert (len(one.process.sent), len(other.process.sent)) == (1, 0)
    quick = asyncio.create_task(orders.generate(order(KeyType.EC)))
    await asyncio.sleep(0.01)
    assert (len(one.process.sent), len(other.process.sent)) == (1, 1)
    one.fail()
    await asyncio.sleep(0.01)
    assert len(one.process.sent) == 2
    one.fail()
    other.fail()
    for task in (second, quick):
        with pytest.raises(Exception, match="no"):
            await task
