"""A secret as a value."""

import hmac
from typing import NoReturn


class Secret:
    """A text that prints as stars and goes into no pickle or copy. Only `reveal` shows it."""

    __slots__ = ("_text",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself, for the one place that needs it."""
        return self._text

    def __eq__(self, other: object) -> bool:
        """In a time that does not tell where they differ."""
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self._text), _bytes(other._text))

    def __repr__(self) -> str:
        return "****"

    def __format__(self, spec: str) -> str:
        return format("****", spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not to be pickled or copied")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
