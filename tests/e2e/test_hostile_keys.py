"""Hostile DER and blobs by the ten thousand: each costs its item, none costs a signer."""

import base64
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hsmgate.signer.trial_keys import make_trial_key
from tests.e2e.test_brought_keys import make
from tests.fuzz.spoiling import spoiled
from tests.gateway_process import Gateway, b64

pytestmark = pytest.mark.asyncio(loop_scope="session")

COUNT = 10_000
LONGEST = 10_000
KINDS = ("RSA", "NistP256", "Ed25519", "Ed448", "DSA", "MlDsa44")


def collect(strategy: st.SearchStrategy[Any]) -> list[Any]:
    """So many examples of it."""
    found: list[Any] = []

    @settings(
        max_examples=COUNT, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=[*HealthCheck]
    )
    @given(strategy)
    def run(example: Any) -> None:
        found.append(example)

    run()
    return found


async def answered_without_harm(gateway: Gateway, items: list[dict[str, Any]]) -> None:
    signers = gateway.signers()
    for start in range(0, len(items), 1000):
        for asked, answer in zip(
            items[start : start + 1000], await gateway.sign(items[start : start + 1000]), strict=False
        ):
            assert answer["status"] in (200, 400, 404, 422), (asked, answer)
            assert answer["status"] == 200 or "key." in answer["error"], (asked, answer)
    assert gateway.signers() == signers


def item(key: dict[str, Any]) -> dict[str, Any]:
    return {"key": key, "hash_alg": "SHA256", "data": b64(b"x")}


@pytest.mark.timeout(300)
async def test_hostile_der_costs_its_item_and_nothing_else(gateway: Gateway) -> None:
    good = [make_trial_key(kind) for kind in KINDS]
    hostile = st.one_of(
        st.tuples(
            st.binary(min_size=1, max_size=200), st.sampled_from(["RSA", "EC", "DSA", "MLDSA", "AES", "LMS", "?"])
        ),
        *(st.tuples(spoiled(LONGEST, (), (der,)), st.just(obj_type)) for der, obj_type in good),
    )
    await answered_without_harm(
        gateway,
        [item({"inline": {"value": b64(value), "obj_type": obj_type}}) for value, obj_type in collect(hostile)],
    )


@pytest.mark.timeout(300)
async def test_hostile_blobs_cost_their_item_and_nothing_else(gateway: Gateway) -> None:
    _, sobject = await make(gateway, {"transient": True, "obj_type": "EC", "elliptic_curve": "NistP256"})
    blob = base64.b64decode(sobject["transient_key"])
    hostile = st.one_of(
        st.binary(min_size=1, max_size=300),
        spoiled(LONGEST, (), (blob,)),
        st.binary(max_size=200).map(blob[:20].__add__),
    )
    values: list[bytes] = collect(hostile)
    await answered_without_harm(gateway, [item({"transient_key": b64(value)}) for value in values if value != blob])
