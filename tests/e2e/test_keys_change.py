"""Keys come and go on the token while the gateway runs."""

import asyncio
import base64
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.gateway_process import Gateway, b64
from tests.token_tool import Demo
from tests.verify import verify

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOTICED_WITHIN_SECONDS = 5


def item(**key: str) -> dict[str, Any]:
    return {"key": key, "hash_alg": "SHA256", "data": b64(b"x")}


async def until(status: int, ask: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """The first answer of that status. Fails if it does not come in time."""
    async with asyncio.timeout(NOTICED_WITHIN_SECONDS):
        while (answer := await ask())["status"] != status:
            await asyncio.sleep(0.05)
    return answer


async def test_a_new_key_signs_a_deleted_one_is_404_and_a_second_of_its_name_is_409(
    own_gateway: Gateway, own_demo: Demo
) -> None:
    first, second = uuid.uuid4(), uuid.uuid4()

    def by_name() -> Awaitable[dict[str, Any]]:
        return own_gateway.sign_one(item(name="late"))

    assert (await by_name())["status"] == 404
    own_demo.make_key("late", "EC:prime256v1", first.hex)
    assert (await until(200, by_name))["body"]["kid"] == str(first)

    own_demo.make_key("late", "EC:secp384r1", second.hex)
    assert "use kid" in (await until(409, by_name))["error"]
    keys = {ckaid: key for _, ckaid, key in own_demo.public_keys()}
    for kid in (first, second):
        answer = await own_gateway.sign_one(item(kid=str(kid)))
        verify(keys[kid.hex], item(), base64.b64decode(answer["body"]["signature"]))

    own_demo.delete_key("late")  # one of the two, then the other
    assert (await until(200, by_name))["status"] == 200
    own_demo.delete_key("late")
    await until(404, by_name)


CURVES = ("secp224r1", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1")


async def test_keys_on_curves_that_the_demo_lacks_and_without_a_uuid_for_an_id_sign_too(
    own_gateway: Gateway, own_demo: Demo
) -> None:
    for curve in CURVES:
        own_demo.make_key(curve, f"EC:{curve}", "01")
    own_demo.make_key("no id", "EC:prime256v1")
    keys = {label: key for label, _, key in own_demo.public_keys()}
    kids: set[str] = set()
    answer: dict[str, Any] = {}
    for name in (*CURVES, "no id"):
        for hash_alg in ("SHA1", "SHA512", "SHA3_384"):
            asked = item(name=name) | {"hash_alg": hash_alg}
            answer = await until(200, lambda asked=asked: own_gateway.sign_one(asked))  # type: ignore[misc]
            verify(keys[name], asked, base64.b64decode(answer["body"]["signature"]))
        kids.add(answer["body"]["kid"])
    assert len(kids) == len(CURVES) + 1
