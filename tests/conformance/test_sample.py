"""A sample of the matrix: each hash, mode and descriptor on both tokens, with one key of each type."""

import pytest

from tests.conformance.digests import HASHES
from tests.conformance.keys import DESCRIPTORS
from tests.conformance.matrix import ABSENT, CONTEXT, DETERMINISTIC, HASH_NAMES, MODES, PAYLOADS
from tests.conformance.page import write_page
from tests.conformance.results import Results
from tests.conformance.run import report

# The sample is run by whichever of these comes first.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(params=["on_softhsm", "on_nss"])
def results(request: pytest.FixtureRequest) -> Results:
    run: Results = request.getfixturevalue(request.param)
    return run


def test_every_combination_is_a_signature_that_verifies_or_an_error_that_says_why(results: Results) -> None:
    assert not results.bad(), report(results)


def test_nothing_is_left_out(results: Results) -> None:
    asked = [result.cell for result in results.answered]
    for type_ in {cell.key.type for cell in asked}:
        of_type = [cell for cell in asked if cell.key.type == type_]
        assert {cell.mode for cell in of_type} == {*MODES[type_]}
        assert {(cell.hash_alg, cell.payload) for cell in of_type} == {(h, p) for h in HASH_NAMES for p in PAYLOADS}
        assert {cell.deterministic for cell in of_type} == {*DETERMINISTIC}
        assert {cell.context for cell in of_type} == {*CONTEXT}
    made = {cell.key.how for cell in asked} | {"transient" for _ in results.refused}
    assert made == {*DESCRIPTORS}


SIGNED_BY_ALL = {
    "RSA": {(name, payload, mode) for name in HASHES for payload in PAYLOADS for mode in (ABSENT, "PKCS1_V15", "PSS")},
    "EC": {(name, payload, ABSENT) for name in HASHES for payload in PAYLOADS},
    "DSA": {(name, payload, ABSENT) for name in HASHES for payload in PAYLOADS},
    "Ed25519": {(name, "data", ABSENT) for name in HASH_NAMES},
}
"""What both tokens must sign, with keys of their own: no refusal will do."""


def test_what_tokens_can_do_is_done(results: Results) -> None:
    for type_, wanted in SIGNED_BY_ALL.items():
        signed = {
            (result.cell.hash_alg, result.cell.payload, result.cell.mode)
            for result in results.answered
            if result.cell.key.type == type_ and result.cell.key.how == "name" and result.outcome.kind == "verified"
        }
        assert signed >= wanted, sorted(wanted - signed)


def test_nss_signs_ml_dsa_with_a_context_and_deterministically(on_nss: Results) -> None:
    signed = [
        result.cell
        for result in on_nss.answered
        if result.cell.key.type == "ML-DSA" and result.outcome.kind == "verified"
    ]
    assert {cell.context for cell in signed} == {ABSENT, "given"}
    assert {cell.deterministic for cell in signed} == {*DETERMINISTIC}
    assert {cell.mode for cell in signed} == {ABSENT, "PURE"}


def test_the_page_has_a_table_for_each_type_and_neither_secret_nor_path(results: Results) -> None:
    page = write_page(results)
    for type_ in {result.cell.key.type for result in results.answered if result.outcome.kind == "verified"}:
        assert f"\n## {type_}\n" in page
    for never in ("/tmp", "/home", 'inline":', "0x"):
        assert never not in page
