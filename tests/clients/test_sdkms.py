"""What its users do with the Python library `sdkms` 5.6.2919 works over https with a private CA."""

import base64
import uuid
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key

from tests.clients.driver_process import Driver, Library, Raised
from tests.clients.https import Https
from tests.conformance.digests import HASHES
from tests.conformance.verify import verify
from tests.gateway_process import b64

pytestmark = pytest.mark.timeout(300)  # the first test may have to install the clients

DATA = b64(b"what is signed")
PKCS1: dict[str, Any] = {"PKCS1_V15": {}}
OTHER_MGF = {"PSS": {"mgf": {"mgf1": {"hash": "SHA1"}}}}
SAME_MGF = {"PSS": {"mgf": {"mgf1": {"hash": "SHA256"}}}}
NO_MGF: dict[str, Any] = {"PSS": {}}


def with_session(driver: Driver, https: Https) -> Library:
    session = driver.call("authorize", "", https.api_key, {})
    return Library(driver, https, session["token_type"], session["access_token"])


def with_api_key(driver: Driver, https: Https) -> Library:
    return Library(driver, https, "Basic", https.api_key)


@pytest.fixture(params=[with_session, with_api_key], ids=["session", "API key"])
def sdkms(request: pytest.FixtureRequest, driver: Driver, https: Https) -> Library:
    library: Library = request.param(driver, https)
    return library


@pytest.fixture
def session(driver: Driver, https: Https) -> Library:
    return with_session(driver, https)


def item(https: Https, name: str, hash_alg: str = "SHA256", **more: Any) -> dict[str, Any]:
    made = {"key": {"kid": https.keys[name].kid}, "hash_alg": hash_alg, "data": DATA, **more}
    return {member: value for member, value in made.items() if value is not None}


def check(https: Https, name: str, item: dict[str, Any], signature: str) -> None:
    verify(https.keys[name].public, item, base64.b64decode(signature))


def hashed(hash_alg: str) -> str:
    return b64(HASHES[hash_alg.upper()].compute(base64.b64decode(DATA)))


def test_a_session_is_opened_refreshed_and_terminated(driver: Driver, https: Https) -> None:
    opened = driver.call("authorize", "", https.api_key, {})
    assert opened["token_type"] == "Bearer"
    assert opened["entity_id"] == https.app_id
    assert opened["expires_in"] > 0
    library = Library(driver, https, "Bearer", opened["access_token"])
    assert library("refresh") is None
    assert library("batch_sign", body=[item(https, "p256")])[0]["status"] == 200
    assert library("terminate") is None
    for method, arguments in (("batch_sign", {"body": [item(https, "p256")]}), ("refresh", {}), ("terminate", {})):
        with pytest.raises(Raised) as refused:
            library(method, **arguments)
        assert refused.value.status == 401


def test_terminating_one_session_leaves_the_other(driver: Driver, https: Https) -> None:
    one, other = with_session(driver, https), with_session(driver, https)
    one("terminate")
    assert other("batch_sign", body=[item(https, "p256")])[0]["status"] == 200


def test_a_wrong_api_key_is_refused(driver: Driver, https: Https) -> None:
    with pytest.raises(Raised) as refused:
        driver.call("authorize", "", b64(f"{https.app_id}:not-the-secret".encode()), {})
    assert refused.value.status == 401


def test_keys_sign_a_batch_by_kid_and_by_name(sdkms: Library) -> None:
    https = sdkms.https
    items = [
        item(https, name, key=key) for name, known in https.keys.items() for key in ({"kid": known.kid}, {"name": name})
    ]
    names = [name for name in https.keys for _ in range(2)]
    answers = sdkms("batch_sign", body=items)
    for name, asked, answer in zip(names, items, answers, strict=True):
        assert answer["status"] == 200
        assert answer["body"]["kid"] == https.keys[name].kid
        check(https, name, asked, answer["body"]["signature"])


@pytest.mark.parametrize(
    "body",
    [
        {"obj_type": "RSA", "key_size": 2048},
        {"obj_type": "EC", "elliptic_curve": "NistP256"},
    ],
    ids=["RSA", "EC"],
)
def test_a_transient_key_is_made_and_signs(sdkms: Library, body: dict[str, Any]) -> None:
    made = sdkms("generate_security_object", body={**body, "transient": True, "key_ops": ["SIGN", "VERIFY"]})
    asked = {"key": {"transient_key": made["transient_key"]}, "hash_alg": "SHA256", "data": DATA}
    (answer,) = sdkms("batch_sign", body=[asked])
    assert "kid" not in answer["body"]
    public = load_der_public_key(base64.b64decode(made["pub_key"]))
    verify(public, asked, base64.b64decode(answer["body"]["signature"]))
    (verified,) = sdkms("batch_verify", body=[{**asked, "signature": answer["body"]["signature"]}])
    assert verified == {"status": 200, "body": {"result": True}}


@pytest.mark.parametrize("mode", [None, PKCS1, SAME_MGF, OTHER_MGF, NO_MGF], ids=str)
def test_both_modes_of_rsa_sign_and_verify(session: Library, mode: dict[str, Any] | None) -> None:
    asked = item(session.https, "rsa2048", mode=mode)
    (answer,) = session("batch_sign", body=[asked])
    check(session.https, "rsa2048", asked, answer["body"]["signature"])
    (verified,) = session("batch_verify", body=[{**asked, "signature": answer["body"]["signature"]}])
    assert verified == {"status": 200, "body": {"kid": session.https.keys["rsa2048"].kid, "result": True}}


def test_every_hash_of_the_library_signs_in_its_own_spelling(session: Library) -> None:
    names = session("digest names")
    assert {"Blake2b256", "Streebog512", "Ssl3", "SHA256"} < set(names)
    assert {name.upper() for name in names} == HASHES.keys() - {"SHA224"}
    given = [
        ("rsa3072", name, {member: value})
        for name in names
        for member, value in (("data", DATA), ("hash", hashed(name)))
    ]
    items = [item(session.https, key, name, **{"data": None, **more}) for key, name, more in given]
    answers = session("batch_sign", body=items)
    for (key, _, _), asked, answer in zip(given, items, answers, strict=True):
        assert answer["status"] == 200, (asked, answer)
        check(session.https, key, asked, answer["body"]["signature"])


def test_every_hash_of_the_library_is_computed(session: Library) -> None:
    names = session("digest names")
    for name in names:
        assert session("compute_digest", body={"alg": name, "data": DATA}) == {"digest": hashed(name)}
    with pytest.raises(Raised) as refused:
        session("compute_digest", body={"alg": "MD2", "data": DATA})
    assert refused.value.status == 400


def test_what_failed_is_told_item_by_item_and_raises_nothing(session: Library) -> None:
    https = session.https
    right, unknown = item(https, "p256"), item(https, "p256", key={"kid": str(uuid.uuid4())})
    no_key, both = item(https, "p256", key=None), item(https, "p256", hash=hashed("SHA256"))
    answers = session("batch_sign", body=[right, unknown, no_key, both, right])
    assert [answer["status"] for answer in answers] == [200, 404, 400, 400, 200]
    assert all("error" not in answer for answer in (answers[0], answers[4]))
    assert all(answer["error"] and "body" not in answer for answer in answers[1:4])


@pytest.mark.parametrize("method", ["batch_sign", "batch_verify"])
def test_an_empty_batch_is_sent_as_no_body_at_all_and_raises_the_400_for_that(session: Library, method: str) -> None:
    """The library drops what is false in Python (api_client.py: `if body:`), so `[]` never reaches the gateway."""
    with pytest.raises(Raised) as refused:
        session(method, body=[])
    assert refused.value.status == 400
    assert "JSON" in refused.value.text


def test_a_batch_is_verified_and_a_wrong_signature_is_no_error(sdkms: Library) -> None:
    https = sdkms.https
    names = list(https.keys)
    items = [item(https, name) for name in names]
    signatures = [answer["body"]["signature"] for answer in sdkms("batch_sign", body=items)]
    right = [{**asked, "signature": signature} for asked, signature in zip(items, signatures, strict=True)]
    wrong = [{**asked, "data": b64(b"something else")} for asked in right]
    answers = sdkms("batch_verify", body=right + wrong)
    assert [answer["status"] for answer in answers] == [200] * len(right + wrong)
    assert [answer["body"]["result"] for answer in answers] == [True] * len(right) + [False] * len(wrong)
    assert [answer["body"]["kid"] for answer in answers] == [https.keys[name].kid for name in names] * 2


def test_what_cannot_be_verified_is_told_item_by_item(session: Library) -> None:
    asked = {**item(session.https, "p256"), "signature": b64(bytes(70))}
    unknown = {**asked, "key": {"kid": str(uuid.uuid4())}}
    answers = session("batch_verify", body=[asked, unknown])
    assert answers[0] == {"status": 200, "body": {"kid": session.https.keys["p256"].kid, "result": False}}
    assert answers[1]["status"] == 404
    assert answers[1]["error"]


@pytest.mark.parametrize("name", ["rsa2048", "p256", "ed25519"])
def test_one_item_is_signed_and_verified_with_the_key_in_the_path(sdkms: Library, name: str) -> None:
    kid = sdkms.https.keys[name].kid
    asked = {"hash_alg": "SHA512", "data": DATA}
    signed = sdkms("sign", key_id=kid, body={**asked, "deterministic_signature": False})
    assert signed["kid"] == kid
    check(sdkms.https, name, asked, signed["signature"])
    verifying = {**asked, "signature": signed["signature"]}
    assert sdkms("verify", key_id=kid, body=verifying) == {"kid": kid, "result": True}
    verifying["data"] = b64(b"something else")
    assert sdkms("verify", key_id=kid, body=verifying) == {"kid": kid, "result": False}


def test_one_item_is_signed_and_verified_with_the_key_in_the_item(session: Library) -> None:
    kid = session.https.keys["p384"].kid
    asked = item(session.https, "p384", data=None, hash=hashed("SHA256"), key={"name": "p384"})
    signed = session("sign_ex", body=asked)
    check(session.https, "p384", asked, signed["signature"])
    assert session("verify_ex", body={**asked, "signature": signed["signature"]}) == {"kid": kid, "result": True}


def test_an_unknown_key_in_the_path_raises(session: Library) -> None:
    for method, more in (("sign", {}), ("verify", {"signature": DATA})):
        with pytest.raises(Raised) as refused:
            session(method, key_id=str(uuid.uuid4()), body={"hash_alg": "SHA256", "data": DATA, **more})
        assert refused.value.status == 404


def test_keys_are_listed_sorted_and_in_pages(sdkms: Library) -> None:
    keys = sdkms.https.keys
    listed = sdkms("get_security_objects")
    assert [sobject["kid"] for sobject in listed] == sorted(key.kid for key in keys.values())
    by_name = sdkms("get_security_objects", sort="name:desc")
    assert [sobject["name"] for sobject in by_name] == sorted(keys, reverse=True)
    assert sdkms("get_security_objects", sort="name:desc", limit=2, offset=1) == by_name[1:3]
    assert sdkms("get_security_objects", name="nothing") == []


def test_a_key_is_the_same_wherever_it_is_shown(sdkms: Library) -> None:
    for name, key in sdkms.https.keys.items():
        (listed,) = sdkms("get_security_objects", name=name)
        assert listed["kid"] == key.kid
        assert load_der_public_key(base64.b64decode(listed["pub_key"])) == key.public
        assert sdkms("get_security_object", key_id=key.kid) == listed
        assert sdkms("get_security_object_ex", body={"kid": key.kid}) == listed
        assert sdkms("get_security_object_ex", body={"name": name}) == listed


def test_an_unknown_key_is_not_shown(session: Library) -> None:
    for method, arguments in (
        ("get_security_object", {"key_id": str(uuid.uuid4())}),
        ("get_security_object_ex", {"body": {"name": "nothing"}}),
    ):
        with pytest.raises(Raised) as refused:
            session(method, **arguments)
        assert refused.value.status == 404


def test_the_version_is_told(session: Library) -> None:
    version = session("get_server_version")
    assert version["server_mode"] == "Software"
    assert {"version", "api_version"} <= version.keys()


@pytest.mark.parametrize(
    "kind",
    [{"obj_type": "RSA", "key_size": 2048}, {"obj_type": "EC", "elliptic_curve": "NistP256"}],
    ids=["RSA", "EC"],
)
def test_a_key_is_generated_changed_and_deleted(sdkms: Library, kind: dict[str, Any]) -> None:
    wanted = {"name": "by the library", "key_ops": ["SIGN", "VERIFY", "APPMANAGEABLE"], **kind}
    made = sdkms("generate_security_object", body=wanted)
    kid = made["kid"]
    signed = sdkms("sign_ex", body={"key": {"kid": kid}, "hash_alg": "SHA256", "data": DATA})
    public = load_der_public_key(base64.b64decode(made["pub_key"]))
    verify(public, {"hash_alg": "SHA256", "data": DATA}, base64.b64decode(signed["signature"]))
    changed = sdkms("update_security_object", key_id=kid, body={"name": "renamed", "custom_metadata": {"a": "b"}})
    assert (changed["name"], changed["custom_metadata"]) == ("renamed", {"a": "b"})
    assert sdkms("get_security_object", key_id=kid) == changed
    sdkms("delete_security_object", key_id=kid)
    with pytest.raises(Raised):
        sdkms("get_security_object", key_id=kid)
