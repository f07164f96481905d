"""Which key a descriptor means."""

import pytest
from msgspec.structs import replace

from hsmgate.domain.model import KeyInfo, KeyType
from hsmgate.domain.policy import Grant
from hsmgate.errors import AmbiguousKey, BadItem, NoSuchKey
from hsmgate.gateway.auth import App
from hsmgate.gateway.keyring import Keyring, Route
from hsmgate.gateway.pool import TokenPool
from hsmgate.ipc.messages import Keys

KIDS = [f"0a1b2c3d-0000-4000-8000-00000000000{n}" for n in range(3)]
RSA = KeyInfo(b"r" * 16, KIDS[0], "rsa", KeyType.RSA, None, 2048, b"one", may_sign=True, always_authenticate=False)
EC = replace(RSA, ref=b"e" * 16, kid=KIDS[1], name="ec", type=KeyType.EC, variant="NistP256", public_key=b"two")
TWIN = replace(EC, ref=b"t" * 16, kid=KIDS[2], name="rsa", public_key=b"three")


def app(*keys: str) -> App:
    return App(f"may use {keys}", "test", Grant.of(keys, ["sign"]))


ANYONE = app("*")


def pool(name: str = "t") -> TokenPool:
    return TokenPool(name, 1, lambda pool, keys: None)


def keyring(*tokens: list[KeyInfo]) -> tuple[Keyring, list[TokenPool]]:
    """A keyring, and a pool for each of the tokens with those keys."""
    ring, pools = Keyring(), [pool(str(n)) for n in range(len(tokens))]
    for token, keys in zip(pools, tokens, strict=True):
        ring.update(token, Keys(keys, [], 0.0, 0.0))
    return ring, pools


def test_a_key_is_found_by_kid_and_by_name_every_time() -> None:
    ring, [token] = keyring([RSA, EC])
    for _ in range(2):
        found = ring.by_kid(EC.kid, ANYONE)
        assert found is ring.by_name("ec", ANYONE) is ring.by_kid(EC.kid.upper(), ANYONE)
        assert (found.info, found.routes) == (EC, [Route(token, EC.ref)])


@pytest.mark.parametrize("kid", ["", "rsa", KIDS[0][:-1], KIDS[0] + "\n", KIDS[0].replace("-", ""), f"{{{KIDS[0]}}}"])
def test_what_is_no_uuid_is_a_bad_item(kid: str) -> None:
    ring, _ = keyring([RSA])
    with pytest.raises(BadItem, match=r"^key\.kid: not a UUID$"):
        ring.by_kid(kid, ANYONE)


@pytest.mark.parametrize("name", ["", " \t", "a\nb", "a\0b", "\ud800", "a" * 4097])
def test_what_can_be_no_name_is_a_bad_item(name: str) -> None:
    ring, _ = keyring([replace(RSA, name=name)])
    with pytest.raises(BadItem, match=r"^key\.name: ") as caught:
        ring.by_name(name, ANYONE)
    assert str(caught.value).isascii()


@pytest.mark.parametrize("name", ["a" * 4096, " a ", "ключ", KIDS[1]])
def test_a_name_may_be_long_and_of_any_script(name: str) -> None:
    ring, _ = keyring([replace(RSA, name=name)])
    assert ring.by_name(name, ANYONE).info.kid == RSA.kid


def test_a_key_that_the_app_may_not_use_is_as_unknown_as_one_that_is_not() -> None:
    ring, _ = keyring([RSA, EC])
    ring.by_name("ec", ANYONE)
    texts = set()
    for find, descriptor in (
        *((ring.by_kid, kid) for kid in (EC.kid, KIDS[2])),
        *((ring.by_name, name) for name in ("ec", "nothing")),
    ):
        with pytest.raises(NoSuchKey) as caught:
            find(descriptor, app("rsa"))
        texts.add(str(caught.value))
    assert len(texts) == 1


def test_two_keys_of_one_name_are_ambiguous_but_not_by_kid() -> None:
    ring, _ = keyring([RSA, TWIN])
    with pytest.raises(AmbiguousKey, match=r"^key\.name: 2 keys .* use kid$"):
        ring.by_name("rsa", ANYONE)
    assert [ring.by_kid(key.kid, ANYONE).info for key in (RSA, TWIN)] == [RSA, TWIN]
    assert list(ring.problems()) == ["2 keys are named 'rsa': they are used by kid only"]


def test_of_two_keys_of_one_name_an_app_gets_the_one_it_may_use() -> None:
    ring, _ = keyring([RSA], [TWIN])
    assert ring.by_name("rsa", app(TWIN.kid)).info is TWIN
    assert ring.by_name("rsa", app(RSA.kid)).info is RSA


@pytest.mark.parametrize("second_token", [False, True], ids=["on one token", "on two tokens"])
def test_a_kid_that_several_keys_bear_is_ambiguous(second_token: bool) -> None:
    impostor = replace(TWIN, kid=RSA.kid)
    ring, _ = keyring([RSA], [impostor]) if second_token else keyring([RSA, impostor])
    for _ in range(2):
        with pytest.raises(AmbiguousKey, match=f"the kid {RSA.kid}$"):
            ring.by_kid(RSA.kid, ANYONE)
        with pytest.raises(AmbiguousKey):
            ring.by_name("rsa", ANYONE)
    with pytest.raises(NoSuchKey):
        ring.by_kid(RSA.kid, app("ec"))
    assert list(ring.problems()) == [f"kid {RSA.kid} is borne by more than one key: none of them is used"]


def test_a_key_on_two_tokens_is_one_with_two_routes() -> None:
    ring, pools = keyring([RSA], [replace(RSA, ref=b"clone")])
    found = ring.by_name("rsa", ANYONE)
    assert found is ring.by_kid(RSA.kid, ANYONE)
    assert [(route.pool, route.ref) for route in found.routes] == [(pools[0], RSA.ref), (pools[1], b"clone")]
    assert not list(ring.problems())


def test_an_update_replaces_what_the_token_had() -> None:
    ring, [first, second] = keyring([RSA], [RSA])
    ring.by_name("rsa", ANYONE)
    ring.update(first, Keys([EC], [], 0.0, 0.0))
    assert [route.pool for route in ring.by_name("rsa", ANYONE).routes] == [second]
    assert [route.pool for route in ring.by_name("ec", ANYONE).routes] == [first]
    ring.update(second, Keys([], [], 0.0, 0.0))
    for find, descriptor in ((ring.by_name, "rsa"), (ring.by_kid, RSA.kid)):
        with pytest.raises(NoSuchKey):
            find(descriptor, ANYONE)


def test_an_update_without_changes_keeps_what_was_found() -> None:
    ring, [token] = keyring([RSA])
    found = ring.by_kid(RSA.kid, ANYONE)
    ring.update(token, Keys([replace(RSA)], [], 0.0, 0.0))
    assert ring.by_kid(RSA.kid, ANYONE) is found


def test_a_key_without_a_name_is_found_by_kid() -> None:
    ring, _ = keyring([replace(RSA, name=None)])
    assert ring.by_kid(RSA.kid, ANYONE).info.name is None


def test_a_kid_is_a_bad_item_whatever_was_found_by_name() -> None:
    ring, _ = keyring([RSA])
    ring.by_name("rsa", ANYONE)
    with pytest.raises(BadItem):
        ring.by_kid(" rsa", ANYONE)


def test_apps_that_may_use_the_same_keys_look_at_them_once() -> None:
    class Counting(Grant):
        asked = 0

        def covers(self, name: str | None, kid: str) -> bool:
            Counting.asked += 1
            return super().covers(name, kid)

    ring, _ = keyring([RSA, EC])
    apps = [App(str(number), "", Counting.of(["r*"], ["sign"])) for number in range(5)]
    for caller in apps:
        assert ring.by_name("rsa", caller) is ring.by_kid(RSA.kid, caller)
        for missing in ("ec", "no such key"):
            with pytest.raises(NoSuchKey):
                ring.by_name(missing, caller)
    assert Counting.asked == 4, "two keys by kid and two by name"
    ring.update(pool(), Keys([TWIN], [], 0.0, 0.0))
    with pytest.raises(AmbiguousKey, match="2 keys"):
        ring.by_name("rsa", apps[0])
    assert Counting.asked == 4 + 3 + 3


def test_how_many_keys_of_a_name_others_have_does_not_show() -> None:
    ring, _ = keyring([RSA, TWIN])
    assert ring.by_name("rsa", app(TWIN.kid)).info == TWIN
    with pytest.raises(NoSuchKey):
        ring.by_name("rsa", app(EC.kid))


def test_what_apps_may_use_is_looked_up_anew_only_where_it_changed_and_forgotten_when_unused() -> None:
    class Counting(Grant):
        asked = 0

        def covers(self, name: str | None, kid: str) -> bool:
            Counting.asked += 1
            return super().covers(name, kid)

    ring, _ = keyring([RSA])
    for patterns, asked in ((["r*"], 2), (["r*"], 2), (["?sa"], 4), (["r*"], 6), (["r*"], 6)):
        assert ring.by_name("rsa", App("one", "", Counting.of(patterns, ["sign"])))
        assert Counting.asked == asked
        ring.forget_callers()
