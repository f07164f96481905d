"""Items of a batch that want the same are found together, so that what is decided for all of them is decided once."""

import itertools
from collections.abc import Hashable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, cast

from hsmgate.gateway.wire import SignItem, VerifyItem

_wish = attrgetter("key", "hash_alg", "mode", "deterministic_signature", "context")


class Group:
    """Items that want the same of the same key, whatever their bytes: what is wrong with one is wrong with all.

    sample: one of them.
    indexes: their places in the batch.
    payloads: their bytes, `data` or `hash`. signatures: what is to be verified; empty where there is something to sign.
    """

    __slots__ = ("indexes", "payloads", "sample", "signatures")

    def __init__(self, sample: SignItem, indexes: list[int], payloads: list[bytes], signatures: list[bytes]) -> None:
        self.sample = sample
        self.indexes = indexes
        self.payloads = payloads
        self.signatures = signatures

    def __len__(self) -> int:
        return len(self.indexes)

    def take(self, count: int) -> "Group":
        """Take off the first items, as a group of their own."""
        first = Group(self.sample, self.indexes[:count], self.payloads[:count], self.signatures[:count])
        del self.indexes[:count], self.payloads[:count], self.signatures[:count]
        return first


def likeness(item: SignItem) -> Hashable:
    """Equal for two items of one group."""
    return type(item), item.hash is None, item.data is None, _wish(item)


def groups(items: Sequence[SignItem], indexes: list[int]) -> Iterable[Group]:
    """The items in groups; indexes: their places in the batch."""
    if len(items) == 1:
        return (_alone(items[0], indexes),)
    return _groups(items, indexes)


def _alone(item: SignItem, indexes: list[int]) -> Group:
    payload: Any = item.data if item.hash is None else item.hash
    signatures: list[Any] = [item.signature] if isinstance(item, VerifyItem) else []
    return Group(item, indexes, [payload], signatures)


def _groups(items: Sequence[SignItem], indexes: Sequence[int]) -> Iterator[Group]:
    wishes = [*map(_wish, items)]
    together: dict[object, list[int]] = {}
    for wish, some in itertools.groupby(range(len(items)), key=wishes.__getitem__):  # neighbours are often alike
        together.setdefault(wish, []).extend(some)
    for some_of_a_wish in together.values():
        yield from _by_members([items[n] for n in some_of_a_wish], [indexes[n] for n in some_of_a_wish])


def _by_members(items: Sequence[SignItem], indexes: list[int]) -> Iterator[Group]:
    """Items with the same wish in groups that have the same of `hash`, `data` and `signature`."""
    columns = _columns(items)
    if all(column.count(None) in (0, len(items)) for column in columns):
        yield _group(items[0], indexes, columns)
        return
    apart: dict[object, tuple[list[SignItem], list[int]]] = {}
    for item, index in zip(items, indexes, strict=True):
        its_items, its_indexes = apart.setdefault(_members(item), ([], []))
        its_items.append(item)
        its_indexes.append(index)
    for its_items, its_indexes in apart.values():
        yield _group(its_items[0], its_indexes, _columns(its_items))


_Column = list[bytes | None]


def _columns(items: Sequence[SignItem]) -> tuple[_Column, _Column, _Column]:
    """The `hash`, `data` and, where there is something to verify, `signature` of each."""
    signatures = [item.signature for item in items if isinstance(item, VerifyItem)]
    return [item.hash for item in items], [item.data for item in items], signatures


def _members(item: SignItem) -> tuple[bool, ...]:
    """Which of them it lacks."""
    return tuple(column == [None] for column in _columns((item,)))


def _group(sample: SignItem, indexes: list[int], columns: tuple[_Column, _Column, _Column]) -> Group:
    hashes, datas, signatures = columns
    payloads = datas if sample.hash is None else hashes
    return Group(sample, indexes, cast("list[bytes]", payloads), cast("list[bytes]", signatures))
