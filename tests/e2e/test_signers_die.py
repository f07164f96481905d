"""Whatever becomes of a signer, every item is answered."""

import asyncio
import base64
from typing import Any

import pytest

from tests.gateway_process import Gateway, b64
from tests.token_tool import Demo
from tests.verify import verify

pytestmark = pytest.mark.asyncio(loop_scope="session")

ITEM = {"key": {"name": "rsa2048"}, "hash_alg": "SHA256", "data": b64(b"x")}


async def all_verify(demo: Demo, batch: "asyncio.Task[list[dict[str, Any]]]") -> bool:
    key = next(key for label, _, key in demo.public_keys() if label == "rsa2048")
    for answer in await batch:
        assert answer["status"] == 200, answer
        verify(key, ITEM, base64.b64decode(answer["body"]["signature"]))
    return True


@pytest.mark.parametrize("count", [1, 2])
async def test_kill_9_in_the_middle_of_a_batch_costs_no_signature(
    own_gateway: Gateway, own_demo: Demo, count: int
) -> None:
    await wait_for_signers(own_gateway, 2)
    before = own_gateway.signers()
    batch = asyncio.create_task(own_gateway.sign([ITEM] * 1000))
    await asyncio.sleep(0.2)
    own_gateway.kill_signers(count)
    assert await all_verify(own_demo, batch)
    await wait_for_signers(own_gateway, 2)
    assert len(set(before) & set(own_gateway.signers())) == 2 - count
    assert (await own_gateway.sign_one(ITEM))["status"] == 200


async def test_a_stopped_signer_is_taken_for_hung_and_replaced(own_demo: Demo, tmp_path: Any) -> None:
    from signal import SIGSTOP

    import psutil

    from tests.gateway_process import serving

    text = own_demo.config.read_text().replace("signers = 2", "signers = 1\noperation_timeout = 0.5")
    own_demo.config.write_text(text)
    async with serving(own_demo.config, own_demo.api_key, tmp_path / "log") as gateway:
        (pid,) = gateway.signers()
        psutil.Process(pid).send_signal(SIGSTOP)
        assert (await gateway.sign_one(ITEM))["status"] == 200
        assert gateway.signers() != [pid]


async def wait_for_signers(gateway: Gateway, count: int) -> None:
    """Until so many are ready, by the log: a process that runs need not have opened its token."""
    async with asyncio.timeout(20):
        while True:
            log = gateway.log.read_text()
            if sum(f"signer {pid} is ready" in log for pid in gateway.signers()) == count:
                return
            await asyncio.sleep(0.02)
