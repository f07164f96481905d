"""Which keys an app may use, and how."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hsmgate.domain.model import KeyType, Mode, SignParams
from hsmgate.domain.policy import Grant, Limits, SigningRules
from hsmgate.errors import BadItem, NotPermitted

KID = "0a1b2c3d-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        ("*", "anything", True),
        ("*", "", True),
        ("*", "two\nlines", True),
        ("rsa*", "rsa2048", True),
        ("rsa*", "an rsa key", False),
        ("*2048", "rsa2048", True),
        ("p?84", "p384", True),
        ("p?84", "p84", False),
        ("p*4", "p384", True),
        ("rsa", "rsa", True),
        ("rsa", "rsa2048", False),
        ("rsa", "RSA", False),
        ("a.c", "abc", False),
        ("a.c", "a.c", True),
        ("[ab]", "a", False),
        ("a|b", "a", False),
        ("a|b", "a|b", True),
        ("(", "(", True),
        (r"a\*", r"a\anything", True),
        (r"a\*", "a*", False),
        ("a$", "a", False),
        ("ключ ?", "ключ ü", True),
    ],
)
def test_a_star_is_anything_and_a_question_mark_one_character(pattern: str, name: str, covered: bool) -> None:
    assert Grant.of([pattern], []).covers(name, KID) is covered


def matches(pattern: str, name: str) -> bool:
    """The same in the plainest way: the beginnings of the name that the pattern's beginnings match, grown together."""
    ends = {0}
    for sign in pattern:
        if sign == "*":
            ends = set(range(min(ends, default=len(name) + 1), len(name) + 1))
        else:
            ends = {end + 1 for end in ends if end < len(name) and sign in ("?", name[end])}
    return len(name) in ends


@given(st.lists(st.text("ab*?.\n", min_size=1, max_size=12), max_size=3), st.text("ab.*\n", max_size=24))
@example(["*ab*ab"], "ab")
@example(["*a?*b"], "aaab")
@example(["a*a"], "a")
def test_patterns_match_as_the_plainest_way_says(patterns: list[str], name: str) -> None:
    assert Grant.of(patterns, []).covers(name, KID) is any(matches(pattern, name) for pattern in patterns)


@pytest.mark.parametrize("pattern", ["*a" * 100 + "*b", "*a?" * 100 + "b", "*" * 100 + "b", "*" + "?*" * 100 + "b"])
def test_a_long_name_that_nearly_matches_is_told_before_the_world_ends(pattern: str) -> None:
    name = "a" * 4096
    assert not Grant.of([pattern], []).covers(name, KID)
    assert Grant.of([pattern], []).covers(name[:-1] + "b", KID)


def test_a_kid_covers_its_key_whatever_the_name() -> None:
    grant = Grant.of([KID], ["sign"])
    assert grant.covers("rsa", KID)
    assert grant.covers(None, KID)
    assert not grant.covers("rsa", KID.replace("0a", "0b"))


def test_a_star_covers_a_key_without_a_name() -> None:
    assert Grant.of(["*"], []).covers(None, KID)


def test_any_one_of_the_patterns_is_enough() -> None:
    grant = Grant.of(["rsa*", "p256"], [])
    assert [name for name in ("rsa2048", "p256", "p256k") if grant.covers(name, KID)] == ["rsa2048", "p256"]


def test_no_pattern_covers_nothing() -> None:
    assert not Grant.of([], ["sign"]).covers("rsa", KID)
    assert not Grant.of([], ["sign"]).covers("", "")


@pytest.mark.parametrize("pattern", ["0*", "*-*", "?" * 36])
def test_a_pattern_for_names_covers_no_key_by_the_look_of_its_kid(pattern: str) -> None:
    assert not Grant.of([pattern], []).covers("rsa", KID)


def test_a_kid_may_be_written_in_capitals() -> None:
    assert Grant.of([KID.upper()], []).covers("rsa", KID)


DATA, HASH = SignParams("SHA256", prehashed=False), SignParams("SHA256", prehashed=True)
SHA1 = SignParams("sha1", prehashed=False)
NO_HASH = SignParams(None, prehashed=False)
STRICT = SigningRules(frozenset({"SHA256"}), frozenset({"PSS"}), frozenset({"data"}))


def pss(digest: str, mgf: str | None = None) -> SignParams:
    return SignParams(digest, prehashed=False, mode=Mode("PSS", mgf))


@pytest.mark.parametrize(
    "params",
    [
        *(DATA, HASH, SHA1, NO_HASH, pss("SHA1"), pss("SHA256", "MD5")),
        SignParams("?", prehashed=False, mode=Mode("PKCS1_V15")),
        SignParams(None, prehashed=True),
    ],
)
def test_without_rules_everything_goes_on_to_whoever_knows_it(params: SignParams) -> None:
    SigningRules().check(params)
    SigningRules().check_default(params, KeyType.RSA)


@pytest.mark.parametrize(
    "params", [DATA, NO_HASH, pss("sha256"), pss("SHA256", "Sha256"), SignParams(None, False, Mode("PRE_HASH"))]
)
def test_what_the_rules_name_is_allowed(params: SignParams) -> None:
    STRICT.check(params)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        (SHA1, "hash_alg: this app may not use SHA1"),
        (SignParams("SSL3", prehashed=False), "hash_alg: this app may not use SSL3"),
        (HASH, "hash: this app may not sign it, only `data`"),
        (SignParams(None, prehashed=True), "hash: this app may not sign it, only `data`"),
        (pss("SHA256", "sha1"), "mode.PSS.mgf.mgf1.hash: this app may not use SHA1"),
        (SignParams("SHA256", False, Mode("PKCS1_V15")), "mode: this app may not use PKCS1_V15"),
    ],
)
def test_what_the_rules_do_not_name_is_refused(params: SignParams, text: str) -> None:
    with pytest.raises(NotPermitted) as caught:
        STRICT.check(params)
    assert str(caught.value) == text


def test_a_hash_that_does_not_say_what_made_it_is_refused_where_some_hashes_are() -> None:
    with pytest.raises(NotPermitted, match=r"^hash_alg: missing, "):
        SigningRules(frozenset({"SHA256", "SHA512"})).check(SignParams(None, prehashed=True))


def test_an_app_may_be_kept_from_data() -> None:
    with pytest.raises(NotPermitted, match=r"^data: this app may not sign it, only `hash`$"):
        SigningRules(payloads=frozenset({"hash"})).check(DATA)


@pytest.mark.parametrize("params", [SignParams("SHA257", prehashed=False), pss("SHA256", "SHA257")])
def test_a_hash_that_nobody_knows_is_a_bad_item(params: SignParams) -> None:
    with pytest.raises(BadItem, match="unknown hash"):
        STRICT.check(params)


def test_the_default_padding_of_an_rsa_key_is_refused_like_the_padding_itself() -> None:
    with pytest.raises(NotPermitted, match=r"^mode: "):
        STRICT.check_default(DATA, KeyType.RSA)
    STRICT.check_default(DATA, KeyType.EC)
    STRICT.check_default(pss("SHA256"), KeyType.RSA)


def test_no_limit_is_none() -> None:
    assert Grant.of([], [], limits=Limits()).limits is None
    assert Grant.of([], [], limits=Limits(in_flight=1)).limits == Limits(None, 1)
