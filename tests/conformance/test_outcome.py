"""What is BAD: whatever is neither a signature that verifies nor an error that says why."""

import dataclasses
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tests.conformance.keys import Key
from tests.conformance.matrix import ABSENT, CONTEXT, DETERMINISTIC, HASH_NAMES, MODES, PSS_MGF, Cell, Width, cells
from tests.conformance.outcome import VERIFIED, Outcome, judge
from tests.conformance.page import write_page
from tests.conformance.results import Refused, Result, Results
from tests.conformance.run import report
from tests.gateway_process import b64

KID = "5d1e1f52-7a1f-4f0e-8d53-0a6b8a7c9e21"
PRIVATE = ed25519.Ed25519PrivateKey.generate()
KEY = Key("Ed25519", "Ed25519", "kid", {"kid": KID}, PRIVATE.public_key(), KID)
CELL = Cell("SoftHSM", KEY, "SHA512", "data", ABSENT, "true", ABSENT)
ITEM = {"key": {"kid": KID}, "hash_alg": "SHA512", "data": b64(b"item")}
GOOD: dict[str, Any] = {"status": 200, "body": {"kid": KID, "signature": b64(PRIVATE.sign(b"item"))}}
REFUSAL: dict[str, Any] = {"status": 422, "error": "hash: this token has no Ed25519ph"}

NEITHER: list[Any] = [
    "no answer to the batch",
    None,
    {},
    [],
    {"status": 200},
    {"status": 200, "body": {"kid": KID}},
    {"status": 200, "body": None},
    {"status": "200", "body": GOOD["body"]},
    {"status": 201, "body": GOOD["body"]},
    GOOD | {"error": "data: both"},
    GOOD | {"error": None},
    {"status": 200, "body": {"signature": GOOD["body"]["signature"]}},
    {"status": 200, "body": GOOD["body"] | {"kid": KID.upper()}},
    {"status": 200, "body": GOOD["body"] | {"signature": b64(bytes(64))}},
    {"status": 200, "body": GOOD["body"] | {"signature": b64(PRIVATE.sign(b"its neighbour"))}},
    {"status": 200, "body": GOOD["body"] | {"signature": GOOD["body"]["signature"] + "\n"}},
    {"status": 500, "error": "key: the token failed"},
    {"status": 503, "error": "key: no signer"},
    {"status": 504, "error": "key: too late"},
    {"status": 200, "error": "key: but 200"},
    {"status": 400, "error": ""},
    {"status": 400, "error": "no"},
    {"status": 422, "error": "not supported"},
    {"status": 422, "error": "CKR_MECHANISM_INVALID"},
    {"status": 422, "error": "hash:"},
    {"status": 422, "error": {"hash": "wrong"}},
]


@pytest.mark.parametrize("answer", NEITHER, ids=range(len(NEITHER)))
def test_there_is_no_third_outcome(answer: Any) -> None:
    assert judge(CELL, ITEM, [answer]).kind == "BAD"
    assert judge(CELL, ITEM, [GOOD, answer]).kind == "BAD"


@pytest.mark.parametrize(
    "text",
    [
        "key: its token has no CKM_DSA",
        "key.inline: this app may not",
        "mode.PSS.mgf.mgf1.hash: unknown",
        "hash, data: exactly one is needed",
    ],
)
def test_an_error_with_a_member_and_a_reason_is_an_outcome(text: str) -> None:
    assert judge(CELL, ITEM, [{"status": 422, "error": text}]) == Outcome("error", 422, text)


def test_errors_are_counted_without_the_names_of_hashes_and_keys() -> None:
    answer = {"status": 422, "error": f"hash_alg: SHA3_256 and BLAKE2B512 do not fit {KID}"}
    assert judge(CELL, ITEM, [answer]).text == "hash_alg: HASH and HASH do not fit KID"


def test_a_signature_is_verified_and_two_deterministic_ones_must_be_equal() -> None:
    assert judge(CELL, ITEM, [GOOD, GOOD]) is VERIFIED
    assert judge(CELL, ITEM, [GOOD, REFUSAL]).kind == "BAD"
    private = ec.generate_private_key(ec.SECP256R1())
    signatures = [private.sign(b"item", ec.ECDSA(hashes.SHA512())) for _ in range(2)]
    cell = dataclasses.replace(CELL, key=dataclasses.replace(KEY, public=private.public_key()))
    answers = [{"status": 200, "body": {"kid": KID, "signature": b64(signature)}} for signature in signatures]
    assert judge(cell, ITEM, answers[:1]) is VERIFIED
    assert judge(cell, ITEM, answers).kind == "BAD"


def test_a_key_that_is_sent_along_has_no_kid() -> None:
    cell = dataclasses.replace(CELL, key=dataclasses.replace(KEY, kid=None))
    assert judge(cell, ITEM, [GOOD]).kind == "BAD"
    for body in ({}, {"kid": None}):
        answer = {"status": 200, "body": body | {"signature": GOOD["body"]["signature"]}}
        assert judge(cell, ITEM, [answer]) is VERIFIED


@pytest.mark.parametrize("type_", MODES)
def test_the_full_product_has_every_combination_once(type_: str) -> None:
    full = [*cells("SoftHSM", dataclasses.replace(KEY, type=type_), "full")]
    assert len(full) == len(HASH_NAMES) * 2 * len(MODES[type_]) * len(DETERMINISTIC) * len(CONTEXT)
    assert len({members(cell) for cell in full}) == len(full)
    assert len(PSS_MGF) == 17


@pytest.mark.parametrize("width", ["thin", "sample"])
@pytest.mark.parametrize("type_", MODES)
def test_the_smaller_ones_have_every_hash_with_every_payload_and_every_mode_with_every_other_member(
    type_: str, width: Width
) -> None:
    key = dataclasses.replace(KEY, type=type_)
    full, smaller = ([*map(members, cells("SoftHSM", key, size))] for size in ("full", width))
    assert {*smaller} < {*full}
    for choice in (lambda m: (m[0], m[1]), lambda m: (m[1], m[2]), lambda m: (m[1], m[3]), lambda m: (m[1], m[4])):
        assert {*map(choice, smaller)} == {*map(choice, full)}
    of_mode = {(mode, deterministic, context) for _, _, mode, deterministic, context in smaller if mode not in PSS_MGF}
    assert len(of_mode) == len({mode for mode, *_ in of_mode}) * 5


def members(cell: Cell) -> tuple[str, ...]:
    return cell.hash_alg, cell.payload, cell.mode, cell.deterministic, cell.context


def test_bad_cells_are_on_the_page_and_in_the_report_with_a_request() -> None:
    bad = Outcome("BAD", 500, "no reason of the item's: GENERAL_ERROR")
    plain = dataclasses.replace(CELL, deterministic=ABSENT)
    results = Results([Result(CELL, ITEM, VERIFIED), Result(plain, ITEM, bad)], [Refused("SoftHSM", "P-256", bad)])
    assert len(results.bad()) == 2
    assert "**BAD**" in write_page(results)
    assert '"hash_alg": "SHA512"' in report(results)
    assert "BAD 2 times: 500" in report(results)
