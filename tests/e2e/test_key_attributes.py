"""What a key itself allows: CKA_SIGN, CKA_ALLOWED_MECHANISMS and CKA_ALWAYS_AUTHENTICATE."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from tests.e2e.test_batch_sign import item, pss
from tests.faults.module import FaultyToken, faulty
from tests.gateway_process import Gateway, b64, serving
from tests.token_tool import Demo
from tests.verify import verify

pytestmark = pytest.mark.asyncio(loop_scope="session")

HASH = b64(hashlib.sha256(b"x").digest())
ALLOWED = {
    "hashing": "SHA256-RSA-PKCS,SHA384-RSA-PKCS-PSS",
    "raw": "RSA-X-509",
    "pss": "RSA-PKCS-PSS",
    "raw and hashing": "RSA-PKCS,SHA256-RSA-PKCS",
}


@dataclass(frozen=True)
class Scene:
    """A gateway over a token with such keys, and the module between the two."""

    gateway: Gateway
    token: FaultyToken
    public_keys: dict[str, PublicKeyTypes]

    async def signed(self, asked: dict[str, Any]) -> None:
        answer = await self.gateway.sign_one(asked)
        assert answer["status"] == 200, (asked, answer)
        verify(self.public_keys[asked["key"]["name"]], asked, base64.b64decode(answer["body"]["signature"]))

    async def refused(self, asked: dict[str, Any]) -> str:
        answer = await self.gateway.sign_one(asked)
        assert answer["status"] == 403, (asked, answer)
        text: str = answer["error"]
        return text


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    own = demo.copy(tmp_path_factory.mktemp("attributes") / "own")
    for label, mechanisms in ALLOWED.items():
        own.make_key(label, "rsa:1024", more=("--allowed-mechanisms", mechanisms))
    own.make_key("no ecdsa", "EC:prime256v1", more=("--allowed-mechanisms", "ECDSA-SHA256"))
    for label, key_type in (("pin", "EC:prime256v1"), ("pin rsa", "rsa:1024")):
        own.make_key(label, key_type, more=("--always-auth",))
    own.make_key("mute", "rsa:1024")
    own.forbid_signing("mute")
    token = faulty(own.config, own.folder)
    public_keys = {label: key for label, _, key in own.public_keys()}
    token.rules.set("C_Login delay 0")
    async with serving(token.config, own.api_key, own.folder / "serve.log") as gateway:
        await logins(token, 2)
        token.rules.clear()
        yield Scene(gateway, token, public_keys)


async def logins(token: FaultyToken, count: int) -> None:
    """Wait until so many signers have logged in."""
    async with asyncio.timeout(30):
        while token.rules.hits() != [count]:
            await asyncio.sleep(0.05)


async def test_a_key_that_may_not_sign_does_not(scene: Scene) -> None:
    asked = item("mute")
    assert await scene.refused(asked) == "key: it may not sign (CKA_SIGN is false)"
    answers = await scene.gateway.sign([asked, item("p256"), asked])
    assert [answer["status"] for answer in answers] == [403, 200, 403]


@pytest.mark.parametrize(
    "asked",
    [
        item("hashing"),
        item("hashing", "SHA384", mode={"PSS": {}}),
        item("raw"),
        item("raw", data=None, hash=HASH),
        item("raw", "SHA3_384"),
        item("raw", mode={"PSS": {}}),
        item("raw", mode=pss("SHA1")),
        item("pss", mode={"PSS": {}}),
        item("pss", data=None, hash=HASH, mode={"PSS": {}}),
        item("raw and hashing"),
        item("raw and hashing", data=None, hash=HASH),
    ],
)
async def test_what_comes_to_the_same_is_done_by_a_mechanism_that_the_key_allows(
    scene: Scene, asked: dict[str, Any]
) -> None:
    await scene.signed(asked)


@pytest.mark.parametrize(
    ("asked", "mechanism"),
    [
        (item("hashing", "SHA512"), "CKM_RSA_PKCS"),
        (item("hashing", data=None, hash=HASH), "CKM_RSA_PKCS"),
        (item("hashing", mode={"PSS": {}}), "CKM_RSA_PKCS_PSS"),
        (item("hashing", "SHA384", mode=pss("SHA1")), "CKM_RSA_X_509"),
        (item("pss"), "CKM_RSA_PKCS"),
        (item("pss", mode=pss("SHA1")), "CKM_RSA_X_509"),
        (item("raw and hashing", mode={"PSS": {}}), "CKM_RSA_PKCS_PSS"),
        (item("no ecdsa"), "CKM_ECDSA"),  # SoftHSM 2.6.1 does not list CKM_ECDSA_SHA256
    ],
)
async def test_what_the_key_does_not_allow_is_a_403_that_names_it(
    scene: Scene, asked: dict[str, Any], mechanism: str
) -> None:
    assert await scene.refused(asked) == f"key: it does not allow {mechanism} (CKA_ALLOWED_MECHANISMS)"


async def test_the_token_is_not_asked_for_what_the_key_does_not_allow(scene: Scene) -> None:
    scene.token.rules.set("C_SignInit delay 0")
    await scene.refused(item("pss"))
    assert scene.token.rules.hits() == [0]
    scene.token.rules.clear()


@pytest.mark.parametrize("name", ["pin", "pin rsa"])
async def test_a_key_that_wants_the_pin_each_time_gets_it_each_time(scene: Scene, name: str) -> None:
    scene.token.rules.set("C_Login delay 0")
    asked = item(name)
    for answer in await scene.gateway.sign([asked, item("p256")] * 20):
        assert answer["status"] == 200, answer
    await asyncio.gather(*(scene.signed(asked) for _ in range(10)))
    assert scene.token.rules.hits() == [30]
    scene.token.rules.clear()


async def test_a_failure_that_is_not_the_pin_s_is_tried_again(scene: Scene) -> None:
    scene.token.rules.set("C_Login rv 0x30 count=1")
    await scene.signed(item("pin"))
    assert scene.token.rules.hits() == [1]
    scene.token.rules.clear()


async def test_a_pin_that_is_refused_is_tried_once_by_all_signers_together(scene: Scene) -> None:
    """The last of these tests: its gateway signs with such keys no more."""
    signers = scene.gateway.signers()
    scene.token.rules.set("C_Login rv 0xa0")
    batches = [scene.gateway.sign([item("pin"), item("pin rsa"), item("p256")] * 5) for _ in range(8)]
    for answers in await asyncio.gather(*batches):
        assert [answer["status"] for answer in answers] == [503, 503, 200] * 5
        assert "PIN" in answers[0]["error"]
        assert "CKR_PIN_INCORRECT" in answers[0]["error"]
    assert scene.token.rules.hits() == [1]
    assert scene.gateway.signers() == signers
    # Nor is it by a signer that comes later: it logs in with it, as all do, and that is all.
    scene.token.rules.set("C_Login delay 0")
    scene.gateway.kill_signers(1)
    await logins(scene.token, 1)
    statuses = [answer["status"] for answer in await scene.gateway.sign([item("pin"), item("p256")] * 50)]
    assert statuses == [503, 200] * 50
    assert scene.token.rules.hits() == [1]
