"""Items of a batch in groups: each in one, with its own bytes, beside none that wants something else."""

from hypothesis import given
from hypothesis import strategies as st

from hsmgate.gateway.likeness import groups, likeness
from hsmgate.gateway.wire import Descriptor, Inline, SignItem, VerifyItem

KEYS = st.sampled_from([
    None,
    Descriptor(kid="a"),
    Descriptor(name="a"),
    Descriptor(kid="a", name="a"),
    Descriptor(transient_key=b"a"),
    Descriptor(inline=Inline(b"a", "EC")),
    Descriptor(inline=Inline(b"b", "EC")),
])  # fmt: skip
BYTES = st.sampled_from([None, b"", b"a", b"b"])
WORDS = st.sampled_from([None, "SHA256", "sha256"])
SIGN_ITEMS = st.builds(SignItem, KEYS, WORDS, BYTES, BYTES)
VERIFY_ITEMS = st.builds(VerifyItem, KEYS, WORDS, BYTES, BYTES, signature=BYTES)


@given(st.one_of(st.lists(SIGN_ITEMS), st.lists(VERIFY_ITEMS)))
def test_each_item_is_in_one_group_with_its_own_bytes(items: list[SignItem]) -> None:
    places = [10 * index for index in range(len(items))]
    seen = []
    for group in groups(items, places):
        seen += group.indexes
        for position, place in enumerate(group.indexes):
            item = items[place // 10]
            assert likeness(item) == likeness(group.sample)
            assert (item.hash is None, item.data is None) == (group.sample.hash is None, group.sample.data is None)
            assert group.payloads[position] is (item.data if item.hash is None else item.hash)
            if isinstance(item, VerifyItem):
                assert group.signatures[position] is item.signature
    assert sorted(seen) == places


@given(st.lists(SIGN_ITEMS))
def test_items_that_are_alike_are_in_one_group(items: list[SignItem]) -> None:
    found = [*groups(items, [*range(len(items))])]
    assert len({likeness(group.sample) for group in found}) == len(found)


def test_the_first_of_a_group_are_taken_off() -> None:
    (group,) = groups([SignItem(data=bytes((n,))) for n in range(5)], [*range(5)])
    first = group.take(2)
    assert (first.indexes, first.payloads) == ([0, 1], [b"\x00", b"\x01"])
    assert (group.indexes, len(group)) == ([2, 3, 4], 3)
