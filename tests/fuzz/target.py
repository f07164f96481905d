"""What a fuzz target is, and what all of them promise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

LONGEST_TEXT = 400
"""Characters of an error's text: it names a member and what was wrong, and does not quote what came."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something that reads bytes from outside.

    reads: what those bytes are, for a reader of docs/fuzzing.md.
    promise: what may come of them.
    check: reads them, and raises unless the promise was kept.
    seeds: bytes that are right, or nearly so, to start from.
    words: what such bytes are made of.
    longest: bytes of an input at most.
    """

    name: str
    reads: str
    promise: str
    check: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    words: Sequence[bytes] = ()
    longest: int = 4096


def check_text(text: str, *secrets: bytes | str | None) -> None:
    """An error's text is short, of one line, and holds none of these, unless they are too short to tell."""
    assert 0 < len(text) <= LONGEST_TEXT, text[:1000]
    assert text.isprintable(), repr(text)
    for secret in secrets:
        shown = secret.decode("latin-1") if isinstance(secret, bytes) else secret
        assert shown is None or len(shown) < 8 or shown not in text, "an error quotes what came"
