"""Which keys a listing shows, and in what order (contract: dsm-wire, section 3.2)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from hsmgate.domain.model import KeyInfo, KeyType
from hsmgate.errors import BadItem
from hsmgate.gateway.sobjects import time_text, type_of

MOST = 1000
"""Keys in a listing, unless `limit` says fewer."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a listing was asked for. Parameters that are not here are passed over: what they select does not exist.

    sort: a member and whether it falls.
    start: the value of the sorted member after which the listing begins.
    """

    name: str | None
    obj_type: str | None
    limit: int
    offset: int
    sort: tuple[str, bool]
    start: str | None
    with_metadata: bool

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Self:
        """From a query string's parameters. Raises BadItem, which names the parameter."""
        return cls(
            name=query.get("name"),
            obj_type=query.get("obj_type"),
            limit=min(_number(query, "limit", MOST), MOST),
            offset=_number(query, "offset", 0),
            sort=_sort(query.get("sort", "")),
            start=query.get("start"),
            with_metadata=query.get("with_metadata", "").lower() == "true",
        )


def select(keys: Sequence[KeyInfo], query: Query) -> tuple[list[KeyInfo], int]:
    """The keys to be shown, and how many match before `limit` and `offset`."""
    matching = [key for key in keys if query.name in (None, key.name) and query.obj_type in (None, "", type_of(key))]
    count = len(matching)
    member, falling = query.sort
    value = _VALUES[member]
    matching.sort(key=value, reverse=falling)
    if query.start:
        start = query.start.lower() if member == "kid" else query.start
        matching = [key for key in matching if (value(key) < start if falling else value(key) > start)]
    return matching[query.offset :][: query.limit], count


_VALUES: dict[str, Callable[[KeyInfo], str]] = {
    "kid": lambda key: key.kid,
    "name": lambda key: key.name or "",
    "created_at": lambda key: time_text(key.notes.created_at),
}
"""What may be sorted by."""

# What the decoders of clients know that fail a whole listing over one word (Rust's sdkms 0.5.0).
_OLD_CURVES = frozenset({f"NistP{n}" for n in (192, 224, 256, 384, 521)} | {f"SecP{n}K1" for n in (192, 224, 256)})


def is_old(key: KeyInfo) -> bool:
    """Whether strict old clients can decode the key's sobject."""
    return key.type in (KeyType.RSA, KeyType.ED25519) or (key.type is KeyType.EC and key.variant in _OLD_CURVES)


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadItem(f"{name}: not a number")
    return int(text)


def _sort(text: str) -> tuple[str, bool]:
    member, _, direction = (text or "kid:asc").partition(":")
    if member not in _VALUES or direction not in ("", "asc", "desc"):
        raise BadItem(f"sort: one of {', '.join(_VALUES)}, with :asc or :desc")
    return member, direction == "desc"
