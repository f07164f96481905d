"""Which keys an app may use."""

import pytest

from hsmgate.domain.policy import Grant

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
