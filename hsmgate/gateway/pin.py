"""The user PIN: read as late as possible, printed as stars."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from hsmgate.errors import TokenMisconfigured


@dataclass(frozen=True, slots=True)
class Pin:
    """A PIN. Only `reveal` shows it."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        """The PIN itself, for the one message that carries it."""
        return self._value

    def __str__(self) -> str:
        return "****"


class PinFile:
    """A file in memory that the signers of a token share: whether their PIN was refused where a key wants it.

    Those with another PIN get another file.
    """

    def __init__(self) -> None:
        self._salt = os.urandom(16)
        self._digest = b""
        self._file = -1

    def of(self, pin: Pin) -> int:
        """The file of the signers with that PIN, as a descriptor."""
        digest = hashlib.blake2b(pin.reveal().encode(), key=self._salt).digest()
        if digest != self._digest:
            self.close()
            self._digest, self._file = digest, os.memfd_create("hsmgate-pin")
        return self._file

    def close(self) -> None:
        """Nobody will be started any more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def read_pin(source: str, folder: Path) -> Pin:
    """The PIN from `file:PATH` (without newlines at its end) or `env:NAME`.

    Raises TokenMisconfigured where there is none; the text names the source, never what it holds.
    """
    scheme, _, rest = source.partition(":")
    if scheme == "env":
        value = os.environ.get(rest, "")
    else:
        try:
            value = (folder / rest).read_text("utf-8").rstrip("\r\n")
        except OSError as error:
            raise TokenMisconfigured(f"pin_source {source}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise TokenMisconfigured(f"pin_source {source}: not UTF-8") from None
    try:
        value.encode()
    except UnicodeEncodeError:
        raise TokenMisconfigured(f"pin_source {source}: not UTF-8") from None
    if not value:
        raise TokenMisconfigured(f"pin_source {source}: there is no PIN in it")
    return Pin(value)
