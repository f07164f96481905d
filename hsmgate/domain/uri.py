"""PKCS#11 URIs (RFC 7512), as far as they name a token."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote_to_bytes

from hsmgate.errors import shown


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What a slot and its token say of themselves, without the padding of the C structs."""

    slot_id: int
    slot_description: str
    label: str
    serial: str
    manufacturer: str
    model: str


# Path attributes of RFC 7512, section 2.3, that say something of a token or its slot.
_ATTRIBUTES = {
    "token": "label",
    "serial": "serial",
    "manufacturer": "manufacturer",
    "model": "model",
    "slot-id": "slot_id",
    "slot-description": "slot_description",
}


_LONGEST_SLOT_ID = 20  # CK_SLOT_ID has 64 bits at most


@dataclass(frozen=True, slots=True)
class TokenURI:
    """Which token is meant. `wanted` holds pairs of a TokenInfo field and the value that it must have, never none."""

    text: str
    wanted: tuple[tuple[str, str | int], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URI. Raises ValueError, saying what is wrong, for anything that cannot name a token."""
        scheme, colon, path = text.partition(":")
        if not colon or scheme.lower() != "pkcs11":
            raise ValueError("it does not begin with 'pkcs11:'")
        if "?" in path:
            raise ValueError("query attributes ('?…') are not used; say it in the config")
        wanted: dict[str, str | int] = {}
        for pair in filter(None, path.split(";")):
            name, equals, value = pair.partition("=")
            field = _ATTRIBUTES.get(name)
            if field is None or not equals:
                what = f"'{shown(name)}'" if equals else "a part without '='"  # which might be a secret
                raise ValueError(f"{what} does not name a token; use {', '.join(_ATTRIBUTES)}")
            if field in wanted:
                raise ValueError(f"'{name}' stands twice")
            wanted[field] = _value(name, value)
        if not wanted:
            raise ValueError("it names no token; say for instance pkcs11:token=LABEL")
        return cls(text, tuple(wanted.items()))

    def matches(self, token: TokenInfo) -> bool:
        """Whether this is the token, or one of those, that the URI names."""
        return all(getattr(token, field) == value for field, value in self.wanted)


def _value(name: str, encoded: str) -> str | int:
    try:
        value = unquote_to_bytes(encoded).decode()
    except UnicodeError:
        raise ValueError(f"'{name}' is not UTF-8") from None
    if name != "slot-id":
        return value
    if not (value.isascii() and value.isdigit() and len(value) <= _LONGEST_SLOT_ID):
        raise ValueError("'slot-id' is not a number")
    return int(value)
