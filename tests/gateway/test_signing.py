"""Batches on their way to pools: what comes of items that there is no room for."""

import asyncio
from collections.abc import Sequence

from hsmgate.config import Server
from hsmgate.domain.model import KeyInfo, KeyType
from hsmgate.domain.policy import Grant
from hsmgate.gateway.auth import App
from hsmgate.gateway.batch import Result
from hsmgate.gateway.current import Current
from hsmgate.gateway.keyring import Keyring
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.wire import Descriptor, SignItem
from hsmgate.ipc.messages import Failure, Keys
from tests.gateway.played import FakeProcess, new_pool

KIDS = {name: f"0a1b2c3d-0000-4000-8000-00000000000{number}" for number, name in enumerate("abc")}


async def test_items_that_there_is_no_room_for_are_refused_and_not_sent() -> None:
    pool, keyring, process = new_pool(), Keyring(), FakeProcess()
    keys = [KeyInfo(name.encode() * 16, kid, name, KeyType.EC, "NistP256", 256, b"") for name, kid in KIDS.items()]
    keyring.update(pool, Keys(keys, [], 0.0, 0.0))
    pool.join(process)
    signer = BatchSigner(keyring, [pool], Current(Server(max_waiting=3)))
    await sign(signer, process, 1)  # what an item takes is known then, so that a message has as many as there are
    kids, results, sent = await sign(signer, process, 2)
    assert sent == [2, 1]
    assert results[:3] == [b"signed \x00", b"signed \x01", b"signed \x00"]
    assert [result.status for result in results[3:] if isinstance(result, Failure)] == [503] * 3
    assert kids == [KIDS["a"]] * 2 + [KIDS["b"]] + [None] * 3


async def sign(
    signer: BatchSigner, process: FakeProcess, count: int
) -> tuple[Sequence[str | None], Sequence[Result], list[int]]:
    """So many items of each key: their kids and results, and how many each part had that was sent at first."""
    items = [SignItem(Descriptor(name=name), "SHA256", data=bytes((n,))) for name in KIDS for n in range(count)]
    batch = signer.batch(len(items))
    running = asyncio.create_task(signer.run(batch, items, App("an id", "a name", Grant.of(["*"], ["sign"]))))
    await asyncio.sleep(0)
    sent = [len(part.payloads) for message in process.unanswered for part in message.parts]
    process.answer_all()
    return batch.kids, await running, sent
