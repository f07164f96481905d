"""What an app may do is looked at once for all items that are alike."""

import pytest

from hsmgate.domain.model import KeyInfo, KeyType, SignParams
from hsmgate.domain.policy import Grant, SigningRules
from hsmgate.errors import NoSuchKey, NotPermitted
from hsmgate.gateway.auth import App
from hsmgate.gateway.keyring import Keyring
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.targets import Targets
from hsmgate.gateway.wire import Descriptor, SignItem
from hsmgate.ipc.messages import Keys

EC = KeyInfo(b"e" * 16, "0a1b2c3d-0000-4000-8000-000000000001", "ec", KeyType.EC, "NistP256", 256, b"one")


class Counting(SigningRules):
    """Rules that count how often they were asked."""

    asked = 0

    def check(self, params: SignParams) -> None:
        Counting.asked += 1
        super().check(params)


RULES = Counting(frozenset({"SHA256"}), frozenset({"PSS"}), frozenset({"data"}))


@pytest.fixture
def targets() -> Targets:
    pool, keyring = TokenPool("t", 1, lambda pool, keys: None), Keyring()
    keyring.update(pool, Keys([EC], [], 0.0, 0.0))
    Counting.asked = 0
    return Targets(keyring, [pool])


def app(*keys: str) -> App:
    return App("an id", "a name", Grant.of(keys, ["sign"], RULES))


def item(number: int, hash_alg: str = "SHA256") -> SignItem:
    return SignItem(Descriptor(name="ec"), hash_alg, data=str(number).encode())


def test_items_that_are_alike_are_looked_at_once(targets: Targets) -> None:
    caller = app("*")
    found = {targets.of(item(number), caller) for number in range(100)}
    assert (len(found), Counting.asked) == (1, 1)


def test_each_hash_mode_and_payload_is_looked_at_for_itself(targets: Targets) -> None:
    caller = app("*")
    for _ in range(2):
        targets.of(item(1), caller)
        for other in (item(1, "SHA1"), SignItem(Descriptor(name="ec"), "SHA256", hash=bytes(32))):
            with pytest.raises(NotPermitted):
                targets.of(other, caller)


def test_an_app_that_is_configured_anew_is_looked_at_anew(targets: Targets) -> None:
    targets.of(item(1), app("*"))
    with pytest.raises(NoSuchKey):
        targets.of(item(1), app("rsa"))
