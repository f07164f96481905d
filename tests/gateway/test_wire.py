"""JSON in and out: what one item's mistakes cost, and what a body's."""

import base64
import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hsmgate.domain.inline import MAX_BYTES
from hsmgate.domain.model import LONGEST_CONTEXT, Mode, SignParams
from hsmgate.errors import BadItem, ItemError
from hsmgate.gateway.answers import write_answer, write_body
from hsmgate.gateway.wire import (
    BadBody,
    Descriptor,
    Inline,
    SignItem,
    read_item,
    read_items,
)
from hsmgate.ipc.messages import Failure, Operation, Part, Sign, encode

KID = "0a1b2c3d-0000-4000-8000-000000000001"
GOOD = {"key": {"kid": KID}, "hash_alg": "SHA256", "data": "aGk="}
NESTED = "[" * 5000 + "]" * 5000

texts = st.text(st.characters(), max_size=8)  # with lone surrogates
base64s = st.binary(max_size=8).map(lambda data: base64.b64encode(data).decode())
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts | base64s
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)


def objects(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects with some of those members, rightly typed or not, and with others."""
    known = st.fixed_dictionaries({}, optional={name: value | anything for name, value in members.items()})
    return st.builds(lambda *parts: parts[0] | parts[1], st.dictionaries(texts, anything, max_size=1), known)


pss = objects(mgf=objects(mgf1=objects(hash=texts)))
almost_items = objects(
    key=objects(kid=texts, name=texts, transient_key=base64s, inline=objects(value=base64s, obj_type=texts)),
    hash_alg=st.sampled_from(["SHA256", ""]),
    hash=base64s,
    data=base64s,
    mode=objects(PSS=pss, PKCS1_V15=objects(), variant=texts),
    deterministic_signature=st.booleans(),
    context=base64s,
)


def read_one(item: Any) -> SignItem | BadItem:
    [only] = read_items((item if isinstance(item, str) else json.dumps(item)).join("[]").encode())
    return only


def good(**members: Any) -> SignItem:
    item = read_one(GOOD | members)
    assert isinstance(item, SignItem)
    return item


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"key": "k"}, "key: "),
        ({"key": {"kid": 1}}, "key.kid: it wants a string, not a number"),
        ({"key": {"name": ["k"]}}, "key.name: it wants a string, not "),
        ({"key": {"inline": {"value": "?"}}}, "key.inline.value: not base64 "),
        ({"hash_alg": 256}, "hash_alg: it wants a string, not a number"),
        ({"data": 1.5}, "data: it wants base64 text, not a number"),
        ({"data": True}, "data: it wants base64 text, not true or false"),
        ({"data": "aGk"}, "data: not base64 (standard alphabet, with padding)"),
        ({"hash": "-_-_"}, "hash: not base64 "),
        ({"data": "aG\nk="}, "data: not base64 "),
        ({"data": "aGk=\n"}, "data: not base64 "),
        ({"data": " aGk="}, "data: not base64 "),
        ({"data": "aG=k"}, "data: not base64 "),
        ({"data": "aGk=aGk="}, "data: not base64 "),
        ({"data": "ü"}, "data: not base64 "),
        ({"data": "\ud800"}, "data, hash, context: not base64 "),
        ({"context": 1}, "context: "),
        ({"mode": "PSS"}, "mode: "),
        ({"mode": {"PSS": {"mgf": {"mgf1": {"hash": 1}}}}}, "mode.PSS.mgf.mgf1.hash: it wants a string, not a number"),
        ({"deterministic_signature": "true"}, "deterministic_signature: it wants true or false, not a string"),
    ],
)
def test_an_ill_typed_member_costs_only_its_item(members: dict[str, Any], complaint: str) -> None:
    before, bad, after = read_items(json.dumps([GOOD, GOOD | members, GOOD]).encode())
    assert before == after == good()
    assert isinstance(bad, BadItem)
    assert str(bad).startswith(complaint)


@pytest.mark.parametrize("item", ["null", "1", '"item"', "[]", "true"])
def test_what_is_no_object_costs_only_its_place(item: str) -> None:
    bad, fine = read_items(f"[{item}, {json.dumps(GOOD)}]".encode())
    assert isinstance(bad, BadItem)
    assert fine == good()


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" \n", b"null", b"{}", b'"[]"', b"1", json.dumps(GOOD).encode()),
        *(b"[", b"[{}", b"[{}]]", b"[{},]", b"[{'key': 1}]", b"not JSON", b"[{}]\0"),
        *(json.dumps([GOOD]).encode("utf-16"), json.dumps([GOOD]).encode("utf-32")),
        *(b"[" * 100_000, b'{"a":' * 100_000),
    ],
    ids=lambda body: repr(body[:16]),
)
def test_what_is_no_array_of_json_is_a_bad_body(body: bytes) -> None:
    with pytest.raises(BadBody, match=r"^the body is "):
        read_items(body)


@pytest.mark.parametrize("body", ["[]", " [ ]\n", f"[{json.dumps(GOOD)}]\r\n\t ", "[{}]"])
def test_an_array_with_blanks_around_is_a_body(body: str) -> None:
    assert len(read_items(body.encode())) == len(json.loads(body))


@pytest.mark.parametrize("member", ["key", "hash_alg", "hash", "mode", "deterministic_signature", "context"])
def test_a_null_is_the_same_as_absent(member: str) -> None:
    without = {name: value for name, value in GOOD.items() if name != member}
    assert read_one(GOOD | {member: None}) == read_one(without)


def test_an_empty_hash_alg_is_the_same_as_absent() -> None:
    assert good(hash_alg="").params() == good(hash_alg=None).params() == SignParams(None, prehashed=False)


def test_unknown_members_are_passed_over_at_every_depth() -> None:
    extra = {"new": {"deep": [1, 2.5, None]}}
    mode = {"PSS": {"mgf": {"mgf1": {"hash": "SHA1"}}}}
    padded = {"PSS": {"mgf": {"mgf1": {"hash": "SHA1"} | extra} | extra} | extra} | extra
    assert good(key={"kid": KID} | extra, mode=padded, **extra) == good(mode=mode)


@pytest.mark.parametrize("neighbour", ["{}", "1"], ids=["good", "bad"])
def test_of_a_member_that_stands_twice_the_last_counts(neighbour: str) -> None:
    item = read_items(f'[{{"data": 1, "data": "YQ==", "data": "Yg=="}}, {neighbour}]'.encode())[0]
    assert isinstance(item, SignItem)
    assert item.data == b"b"


def test_a_lone_surrogate_in_a_name_costs_at_most_its_item() -> None:
    named, fine = read_items(rb'[{"key": {"name": "\ud800"}}, {"key": {"name": "a"}}]')
    assert isinstance(named, BadItem) or named.descriptor().name == "\ud800"
    assert fine == SignItem(key=Descriptor(name="a"))


@pytest.mark.parametrize("member", [{"hash_alg": "\xff"}, {"key": {"name": "\xff"}}, {"data": "\xff"}], ids=str)
def test_what_is_not_utf_8_costs_at_most_its_item(member: dict[str, Any]) -> None:
    bad, fine = read_items(json.dumps([GOOD | member, GOOD], ensure_ascii=False).encode("latin-1"))
    assert fine == good()
    if isinstance(bad, SignItem) and "hash_alg" in member:
        with pytest.raises(BadItem, match=r"^hash_alg: unknown$"):
            bad.params()


@pytest.mark.parametrize("text", ['{"data": NaN}', '{"hash_alg": Infinity}', f'{{"key": {NESTED}}}'])
def test_what_json_does_not_have_or_no_one_reads_is_not_taken(text: str) -> None:
    with contextlib.suppress(BadBody):
        assert isinstance(read_one(text), BadItem)


@settings(deadline=None)
@given(st.lists(anything | almost_items, max_size=4))
def test_any_json_array_has_a_result_for_each_item(items: list[Any]) -> None:
    results = read_items(json.dumps(items).encode())
    assert len(results) == len(items)
    for result in results:
        if isinstance(result, SignItem):
            for method in (result.descriptor, result.payload, result.params):
                with contextlib.suppress(ItemError):
                    method()


@settings(deadline=None)
@given(almost_items)
def test_an_item_reads_the_same_beside_a_bad_one(item: Any) -> None:
    alone, beside = read_one(item), read_items(json.dumps([1, item]).encode())[1]
    assert str(alone) == str(beside)
    assert type(alone) is type(beside)


@settings(deadline=None)
@given(st.binary() | st.text('[]{}",:\\ud80tfn1e+ \xff').map(str.encode))
def test_any_bytes_are_a_bad_body_or_items(body: bytes) -> None:
    with contextlib.suppress(BadBody):
        assert isinstance(read_items(body), list)


@settings(deadline=None)
@given(almost_items)
@example(GOOD | {"hash_alg": "\ud800"})
@example(GOOD | {"mode": {"variant": "\ud800"}})
@example(GOOD | {"mode": {"PSS": {"mgf": {"mgf1": {"hash": "\ud800"}}}}})
def test_what_an_item_asks_for_can_be_sent_to_a_signer(item: Any) -> None:
    read = read_one(item)
    if isinstance(read, SignItem):
        with contextlib.suppress(ItemError):
            operation = Operation(b"", read.params())
            encode(Sign(0, [Part(operation, [read.payload()], [])], 0.0))


@pytest.mark.parametrize("extra", ["1" * 5000, '"\xff"'], ids=["long number", "not UTF-8"])
def test_an_unknown_member_that_is_passed_over_is_so_beside_a_bad_item(extra: str) -> None:
    item = f'{{"data": "YQ==", "new": {extra}}}'.encode("latin-1")
    assert read_items(b"[" + item + b", 1]")[0] == read_items(b"[" + item + b"]")[0]


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_a_body_with_what_json_does_not_have_is_a_bad_body(word: str) -> None:
    with pytest.raises(BadBody):
        read_items(f'[{{"new": {word}}}]'.encode())


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        (None, "key: missing"),
        ({}, "key: exactly one of "),
        ({"kid": None}, "key: exactly one of "),
        ({"kid": KID, "name": "k"}, "key: exactly one of "),
        ({"kid": KID, "inline": {}}, "key: exactly one of "),
    ],
)
def test_a_descriptor_has_exactly_one_form(key: dict[str, Any] | None, complaint: str) -> None:
    with pytest.raises(BadItem, match=complaint):
        good(key=key).descriptor()


def test_a_descriptor_is_a_kid_a_name_or_a_key() -> None:
    inline = {"value": "aGk=", "obj_type": "RSA"}
    assert good(key={"kid": KID, "name": None}).descriptor() == Descriptor(kid=KID)
    assert good(key={"name": ""}).descriptor() == Descriptor(name="")
    assert good(key={"transient_key": "aGk="}).descriptor() == Descriptor(transient_key=b"hi")
    assert good(key={"inline": inline}).descriptor() == Descriptor(inline=Inline(b"hi", "RSA"))


@pytest.mark.parametrize("size", [1, MAX_BYTES])
def test_an_inline_key_is_a_value_and_a_type(size: int) -> None:
    assert Inline(bytes(size), "MLDSA").read() == (bytes(size), "MLDSA")


@pytest.mark.parametrize(
    ("inline", "complaint"),
    [
        (Inline(None, "RSA"), "key.inline.value: missing"),
        (Inline(b"", "RSA"), "key.inline.value: missing"),
        (Inline(bytes(16385), "RSA"), "key.inline.value: 16385 bytes, but at most 16384 are allowed"),
        (Inline(b"k", None), "key.inline.obj_type: missing"),
        (Inline(b"k", ""), "key.inline.obj_type: missing"),
        (Inline(b"k", "R" * 33), "key.inline.obj_type: unknown"),
        (Inline(b"k", "ключ"), "key.inline.obj_type: unknown"),
    ],
)
def test_any_other_inline_key_is_a_bad_item(inline: Inline, complaint: str) -> None:
    with pytest.raises(BadItem) as caught:
        inline.read()
    assert str(caught.value) == complaint


@pytest.mark.parametrize("member", ["data", "hash"])
@pytest.mark.parametrize("payload", [b"", b"\x00\xff+/"])
def test_the_payload_is_data_or_hash(member: str, payload: bytes) -> None:
    item = good(**{"data": None, member: base64.b64encode(payload).decode()})
    assert item.payload() == payload
    assert item.params().prehashed is (member == "hash")


@pytest.mark.parametrize(
    ("members", "which"), [({"data": None}, "none"), ({"hash": "aGk="}, "both"), ({"hash": ""}, "both")]
)
def test_data_and_hash_are_exactly_one(members: dict[str, Any], which: str) -> None:
    with pytest.raises(BadItem, match=rf"^hash, data: exactly one of them, not {which}$"):
        good(**members).payload()


@pytest.mark.parametrize(
    ("mode", "read"),
    [
        (None, None),
        ({"PKCS1_V15": {}}, Mode("PKCS1_V15")),
        ({"PKCS1_V15": {}, "PSS": None}, Mode("PKCS1_V15")),
        ({"PSS": {}}, Mode("PSS")),
        ({"PSS": {"mgf": None}}, Mode("PSS")),
        ({"PSS": {"mgf": {"mgf1": {"hash": "sha256"}}}}, Mode("PSS", "sha256")),
        ({"variant": "PURE"}, Mode("PURE")),
    ],
    ids=str,
)
def test_a_mode_is_a_name_and_perhaps_an_mgf_hash(mode: dict[str, Any] | None, read: Mode | None) -> None:
    assert good(mode=mode).params().mode == read


@pytest.mark.parametrize("word", ["PSS", "PKCS1_V15"])
def test_a_variant_is_not_a_padding(word: str) -> None:
    with pytest.raises(BadItem, match=r"^mode\.variant: unknown"):
        good(mode={"variant": word}).params()


@pytest.mark.parametrize(
    ("mode", "complaint"),
    [
        ({}, "mode: exactly one of PSS and PKCS1_V15"),
        ({"OAEP": {}}, "mode: exactly one of PSS and PKCS1_V15"),
        ({"PSS": {}, "PKCS1_V15": {}}, "mode: exactly one of PSS and PKCS1_V15"),
        ({"PSS": {"mgf": {}}}, "mode.PSS.mgf: only mgf1 is known"),
        ({"PSS": {"mgf": {"mgf1": {}}}}, "mode.PSS.mgf.mgf1.hash: missing"),
        ({"PSS": {"mgf": {"mgf1": {"hash": ""}}}}, "mode.PSS.mgf.mgf1.hash: missing"),
    ],
    ids=str,
)
def test_any_other_mode_is_a_bad_item(mode: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadItem) as caught:
        good(mode=mode).params()
    assert str(caught.value) == complaint


def test_all_that_decides_the_mechanism_is_in_the_parameters() -> None:
    item = good(deterministic_signature=True, context="Yw==", data=None, hash="aGk=")
    assert item.params() == SignParams("SHA256", prehashed=True, mode=None, deterministic=True, context=b"c")


@pytest.mark.parametrize("word", ["A" * 33, "SHA25б", "\x80", "\u212a"], ids=ascii)
@pytest.mark.parametrize(
    ("member", "members"),
    [
        ("hash_alg", lambda word: {"hash_alg": word}),
        ("mode.PSS.mgf.mgf1.hash", lambda word: {"mode": {"PSS": {"mgf": {"mgf1": {"hash": word}}}}}),
    ],
)
def test_a_word_that_cannot_be_the_contracts_is_a_bad_item(
    word: str, member: str, members: Callable[[str], dict[str, Any]]
) -> None:
    assert good(**members("A" * 32)).params()
    with pytest.raises(BadItem) as caught:
        good(**members(word)).params()
    assert str(caught.value) == f"{member}: unknown"


@pytest.mark.parametrize("size", [0, LONGEST_CONTEXT])
def test_a_context_may_be_as_long_as_fips_204_allows(size: int) -> None:
    assert good(context=base64.b64encode(bytes(size)).decode()).params().context == bytes(size)


def test_a_longer_context_is_a_bad_item() -> None:
    with pytest.raises(BadItem, match=r"^context: 256 bytes, but at most 255 are allowed$"):
        good(context=base64.b64encode(bytes(256)).decode()).params()


def test_the_item_that_is_a_body_reads_as_in_a_batch() -> None:
    assert read_item(json.dumps(GOOD).encode(), SignItem) == good()
    for body, complaint in ((b"[]", "the item is not an object"), (b'{"data": 1}', "data: it wants base64 text")):
        bad = read_item(body, SignItem)
        assert isinstance(bad, BadItem)
        assert str(bad).startswith(complaint)
    for body in (b"", b"{", b"NaN", b"\xff"):
        with pytest.raises(BadBody, match=r"^the body is "):
            read_item(body, SignItem)


@pytest.mark.parametrize(("kid", "there"), [(KID, {"kid": KID}), (None, {})])
def test_the_answer_to_one_item_is_its_body(kid: str | None, there: dict[str, str]) -> None:
    assert json.loads(write_body(kid, b"\xfb\xff")) == {**there, "signature": "+/8="}


def test_an_answer_has_a_body_or_an_error_for_each_item() -> None:
    answer = write_answer([KID, None, KID, None], [b"\xfb\xff\xfe\x00", b"s", Failure(404, "ключ"), Failure(400, "no")])
    assert json.loads(answer) == [
        {"status": 200, "body": {"kid": KID, "signature": "+//+AA=="}},
        {"status": 200, "body": {"signature": "cw=="}},
        {"status": 404, "error": "ключ"},
        {"status": 400, "error": "no"},
    ]


def test_the_answer_to_no_items_is_an_empty_array() -> None:
    assert write_answer([], []) == b"[]"
