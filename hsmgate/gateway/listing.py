"""Which keys a listing shows, and in what order (contract: dsm-wire, section 3.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from hsmgate.domain.model import KeyInfo
from hsmgate.errors import BadItem
from hsmgate.gateway.sobjects import type_of

MOST = 1000
"""Keys in a listing, unless `limit` says fewer."""

_SORT_KEYS = ("kid", "name", "created_at")


@dataclass(frozen=True, slots=True)
class Query:
    """What a listing was asked for. Parameters that are not here are passed over: what they select does not exist.

    sort: a member and whether it falls.
    start: the kid after which the listing begins, where it is sorted by kid.
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
    if member != "created_at":  # which is the same for all
        matching.sort(key=lambda key: key.kid if member == "kid" else key.name or "", reverse=falling)
    if query.start and member == "kid":
        start = query.start.lower()
        matching = [key for key in matching if (key.kid < start if falling else key.kid > start)]
    return matching[query.offset :][: query.limit], count


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadItem(f"{name}: not a number")
    return int(text)


def _sort(text: str) -> tuple[str, bool]:
    member, _, direction = (text or "kid:asc").partition(":")
    if member not in _SORT_KEYS or direction not in ("", "asc", "desc"):
        raise BadItem(f"sort: one of {', '.join(_SORT_KEYS)}, with :asc or :desc")
    return member, direction == "desc"
