"""What the clients in Rust and Go send, byte by byte, is answered with what they can read."""

import base64
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
)

from tests.clients import strict
from tests.clients.https import Https
from tests.clients.strict import Failed
from tests.clients.wire import Connection, Go, Rust
from tests.conformance.verify import verify
from tests.gateway_process import b64

SIGN, VERIFY = "/crypto/v1/keys/batch/sign", "/crypto/v1/keys/batch/verify"
HASH = b64(bytes(range(32)))
NULLS: dict[str, Any] = dict.fromkeys(("data", "deterministic_signature", "hash", "mode"))


@pytest.fixture
def connection(https: Https) -> Iterator[Connection]:
    """Both clients keep theirs for all they do."""
    with Connection(https) as connected:
        yield connected


@pytest.fixture
def rust(https: Https, connection: Connection) -> Rust:
    return Rust(connection, f"Basic {https.api_key}")


@pytest.fixture
def go(https: Https, connection: Connection) -> Go:
    return Go(connection, f"Basic {https.api_key}")


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def rust_item(key: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Every member, those not set as null, in the alphabet's order."""
    return dict(sorted({**NULLS, "key": key, "hash_alg": "SHA256", **more}.items()))


def check(https: Https, name: str, item: dict[str, Any], body: Any) -> None:
    """A batch item's body, or a call's, is the signature of that key."""
    assert body["kid"] == https.keys[name].kid
    verify(https.keys[name].public, item, base64.b64decode(body["signature"]))


def test_rust_signs_a_batch(https: Https, rust: Rust) -> None:
    kid = https.keys["rsa2048"].kid
    pss = {"PSS": {"mgf": {"mgf1": {"hash": "SHA256"}}}}
    items = [
        rust_item({"kid": kid}, data="aGk="),
        rust_item({"name": "p256"}, hash=HASH),
        rust_item({"kid": kid}, data="aGk=", mode=pss),
        rust_item({"kid": kid}, data="aGk=", mode={"PKCS1_V15": {}}),
        rust_item({"transient_key": "AQI="}, data="aGk="),
    ]
    sent = compact(items)
    # dsm-wire.md, section 1.1.
    first = f'[{{"data":"aGk=","deterministic_signature":null,"hash":null,"hash_alg":"SHA256","key":{{"kid":"{kid}"}}'
    assert sent.startswith(first.encode() + b',"mode":null},{"data":null,"deterministic_signature":null,"hash":"')
    answers = strict.body(rust("POST", SIGN, sent), strict.batch(strict.signature, len(items)))
    for name, item, body in zip(("rsa2048", "p256", "rsa2048", "rsa2048"), items, answers, strict=False):
        check(https, name, item, body)
    assert isinstance(answers[4], Failed)


def test_rust_sends_an_empty_batch_as_an_empty_array(rust: Rust) -> None:
    assert strict.body(rust("POST", SIGN, b"[]"), strict.batch(strict.signature, 0)) == []
    assert strict.body(rust("POST", VERIFY, b"[]"), strict.batch(strict.verdict, 0)) == []


def test_go_signs_a_batch(https: Https, go: Go) -> None:
    kid = https.keys["rsa2048"].kid
    private = generate_private_key(65537, 2048)
    inline = private.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    items: list[dict[str, Any]] = [
        {"key": {"kid": kid}, "hash_alg": "SHA256", "data": "aGk=", "mode": {"PKCS1_V15": {}}},
        {"key": {"inline": {"value": b64(inline), "obj_type": "RSA"}}, "hash_alg": "SHA256", "data": "aGk="},
        {"key": {"name": "p256"}, "hash_alg": "SHA384", "data": "aGk="},
    ]
    items[0]["deterministic_signature"] = True
    answers = strict.body(go("POST", SIGN, compact(items)), strict.batch(strict.signature, len(items)))
    check(https, "rsa2048", items[0], answers[0])
    assert not isinstance(answers[1], Failed)
    assert "kid" not in answers[1]
    verify(private.public_key(), items[1], base64.b64decode(answers[1]["signature"]))
    check(https, "p256", items[2], answers[2])


def test_go_sends_a_hash_alg_that_it_does_not_set(https: Https, go: Go) -> None:
    items = [{"key": {"name": name}, "hash_alg": "", "data": "aGk="} for name in ("ed25519", "p256")]
    pure, hashed = strict.body(go("POST", SIGN, compact(items)), strict.batch(strict.signature, 2))
    check(https, "ed25519", items[0], pure)
    assert isinstance(hashed, Failed)
    assert hashed.status == 400


def test_go_sends_an_empty_batch_as_null_and_can_read_the_answer(go: Go) -> None:
    assert strict.error(go("POST", SIGN, b"null")).status == 400


@pytest.mark.parametrize("client", ["rust", "go"])
@pytest.mark.parametrize("name", ["rsa2048", "p256", "ed25519"])
def test_a_batch_is_verified(https: Https, request: pytest.FixtureRequest, client: str, name: str) -> None:
    send, asked = verifier(request, client, https.keys[name].kid)
    sign = {member: value for member, value in asked.items() if member != "signature"}
    (signed,) = strict.body(send("POST", SIGN, compact([sign])), strict.batch(strict.signature, 1))
    assert not isinstance(signed, Failed)
    right = {**asked, "signature": signed["signature"]}
    no_key = {**right, "key": {"kid": str(uuid.uuid4())}}
    answers = strict.body(
        send("POST", VERIFY, compact([right, {**right, "data": "aG8="}, {**right, "signature": ""}, no_key])),
        strict.batch(strict.verdict, 4),
    )
    kid = https.keys[name].kid
    assert answers[:3] == [{"kid": kid, "result": result} for result in (True, False, False)]
    assert isinstance(answers[3], Failed)
    assert answers[3].status == 404


def verifier(request: pytest.FixtureRequest, client: str, kid: str) -> tuple[Rust | Go, dict[str, Any]]:
    send: Rust | Go = request.getfixturevalue(client)
    members: dict[str, Any] = {"data": "aGk=", "hash_alg": "SHA512", "key": {"kid": kid}, "signature": ""}
    if client == "rust":
        members |= {"hash": None, "mode": None}
    return send, dict(sorted(members.items()))


@pytest.mark.parametrize("client", ["rust", "go"])
@pytest.mark.parametrize("path", ["/crypto/v1/{}", "/crypto/v1/keys/{kid}/{}"])
def test_one_item_is_signed_and_verified(https: Https, request: pytest.FixtureRequest, client: str, path: str) -> None:
    kid = https.keys["p521"].kid
    send, asked = verifier(request, client, kid)
    del asked["signature"]
    if "{kid}" in path:
        del asked["key"]
        if client == "rust":
            asked["key"] = None
    signed = strict.body(send("POST", path.format("sign", kid=kid), compact(asked)), strict.signature)
    check(https, "p521", asked, signed)
    for data, result in (("aGk=", True), ("aG8=", False)):
        asked |= {"data": data, "signature": signed["signature"]}
        verdict = strict.body(send("POST", path.format("verify", kid=kid), compact(asked)), strict.verdict)
        assert verdict == {"kid": kid, "result": result}


@pytest.mark.parametrize("client", ["rust", "go"])
def test_a_session_is_opened_used_refreshed_and_ended(
    https: Https, connection: Connection, request: pytest.FixtureRequest, client: str
) -> None:
    opened = strict.body(request.getfixturevalue(client)("POST", "/sys/v1/session/auth"), strict.session)
    assert opened["entity_id"] == https.app_id
    send = (Rust if client == "rust" else Go)(connection, f"Bearer {opened['access_token']}")
    item = compact([{"key": {"name": "p256"}, "hash_alg": "SHA256", "data": "aGk="}])
    strict.empty(send("POST", "/sys/v1/session/refresh"))
    (signed,) = strict.body(send("POST", SIGN, item), strict.batch(strict.signature, 1))
    assert not isinstance(signed, Failed)
    strict.empty(send("POST", "/sys/v1/session/terminate"))
    for path, body in ((SIGN, item), ("/sys/v1/session/refresh", None)):
        assert strict.error(send("POST", path, body)).status == 401


@pytest.mark.parametrize("client", [Rust, Go])
@pytest.mark.parametrize("path", [SIGN, VERIFY, "/crypto/v1/sign", "/sys/v1/session/auth", "/crypto/v1/keys/info?"])
def test_a_stranger_is_told_so_in_plain_text(connection: Connection, client: type[Rust | Go], path: str) -> None:
    for credentials in (None, "Basic bm9ib2R5Om5vdGhpbmc=", "Bearer nothing"):
        assert strict.error(client(connection, credentials)("POST", path, b"{}")).status == 401


@pytest.mark.parametrize("client", [Rust, Go])
def test_version_and_health_want_no_credentials(connection: Connection, client: type[Rust | Go]) -> None:
    send = client(connection, None)
    assert strict.body(send("GET", "/sys/v1/version"), strict.version)["server_mode"] == "Software"
    strict.empty(send("GET", "/sys/v1/health"))


# Without parameters Rust still ends the address with a question mark.
INFO = {"rust": "/crypto/v1/keys/info?", "go": "/crypto/v1/keys/info"}


@pytest.mark.parametrize("client", ["rust", "go"])
def test_a_key_is_described(https: Https, request: pytest.FixtureRequest, client: str) -> None:
    send: Rust | Go = request.getfixturevalue(client)
    for name, key in https.keys.items():
        by_kid = strict.body(send("POST", INFO[client], compact({"kid": key.kid})), strict.sobject)
        assert by_kid["kid"] == key.kid
        assert by_kid["name"] == name
        assert load_der_public_key(base64.b64decode(by_kid["pub_key"])) == key.public
        assert strict.body(send("POST", INFO[client], compact({"name": name})), strict.sobject) == by_kid
        assert strict.body(send("GET", f"/crypto/v1/keys/{key.kid}"), strict.sobject) == by_kid


@pytest.mark.parametrize("client", ["rust", "go"])
def test_an_unknown_key_is_told_in_plain_text(request: pytest.FixtureRequest, client: str) -> None:
    send: Rust | Go = request.getfixturevalue(client)
    unknown = str(uuid.uuid4())
    answers = [
        send("POST", INFO[client], compact({"kid": unknown})),
        send("POST", INFO[client], compact({"name": "nothing"})),
        send("GET", f"/crypto/v1/keys/{unknown}"),
    ]
    (failed,) = {strict.error(answer) for answer in answers}
    assert failed.status == 404
    assert failed.text != "404: Not Found"  # which is what a path says that is not there


@pytest.mark.parametrize("client", ["rust", "go"])
def test_a_transient_key_is_made_described_and_signs(request: pytest.FixtureRequest, client: str) -> None:
    send: Rust | Go = request.getfixturevalue(client)
    wanted = {"elliptic_curve": "NistP256", "key_ops": ["SIGN"], "obj_type": "EC", "transient": True}
    if client == "rust":
        wanted = dict(
            sorted({**wanted, "name": None, "key_size": None, "value": None, "custom_metadata": None}.items())
        )
    made = strict.body(send("POST", "/crypto/v1/keys", compact(wanted)), strict.sobject)
    assert made["origin"] == "Transient"
    key = {"transient_key": made["transient_key"]}
    assert strict.body(send("POST", INFO[client], compact(key)), strict.sobject)["pub_key"] == made["pub_key"]
    item = {"data": "aGk=", "hash_alg": "SHA256", "key": key}
    (signed,) = strict.body(send("POST", SIGN, compact([item])), strict.batch(strict.signature, 1))
    assert not isinstance(signed, Failed)
    assert "kid" not in signed
    verify(load_der_public_key(base64.b64decode(made["pub_key"])), item, base64.b64decode(signed["signature"]))


def test_rust_lists_keys(https: Https, rust: Rust) -> None:
    listed = strict.body(rust("GET", "/crypto/v1/keys?"), strict.sobjects)
    kids = [sobject["kid"] for sobject in listed]
    assert kids == sorted(key.kid for key in https.keys.values())
    assert strict.body(rust("GET", "/crypto/v1/keys?sort=kid:asc"), strict.sobjects) == listed
    assert strict.body(rust("GET", "/crypto/v1/keys?sort=kid:desc&limit=3"), strict.sobjects) == listed[:-4:-1]
    assert strict.body(rust("GET", "/crypto/v1/keys?sort=name:asc&name=p256"), strict.sobjects)[0]["name"] == "p256"


@pytest.mark.parametrize("sort", ["kid:asc", "kid:desc", "name:asc", "name:desc"])
def test_rust_goes_on_listing_after_the_last_key_it_saw(rust: Rust, sort: str) -> None:
    """`start` is a value of what is sorted by (SobjectSort in keys_generated.rs)."""
    listed = strict.body(rust("GET", f"/crypto/v1/keys?sort={sort}"), strict.sobjects)
    seen: list[Any] = []
    start = ""
    while page := strict.body(rust("GET", f"/crypto/v1/keys?limit=3&sort={sort}{start}"), strict.sobjects):
        assert len(seen) < len(listed)
        seen += page
        start = f"&start={page[-1][sort.partition(':')[0]]}"
    assert seen == listed


def test_go_lists_keys(https: Https, go: Go) -> None:
    target = "/crypto/v1/keys?limit=1000&offset=0&sort=kid%3Aasc"
    listed = strict.body(go("GET", target), strict.sobjects)
    assert [sobject["kid"] for sobject in listed] == sorted(key.kid for key in https.keys.values())
    page = go("GET", target + "&with_metadata=true")
    assert strict.body(page, strict.page) == listed
    assert json.loads(page.body)["metadata"] == {"total_count": len(listed), "filtered_count": len(listed)}
    assert strict.body(go("GET", target + "&with_metadata=false"), strict.sobjects) == listed
    rsa = strict.body(go("GET", target + "&obj_type=RSA"), strict.sobjects)
    assert rsa == [sobject for sobject in listed if sobject["obj_type"] == "RSA"]
    assert rsa


def test_the_fork_in_sq_dsm_asks_twice_for_what_it_does_not_want(https: Https, rust: Rust) -> None:
    unwanted = "&".join(f"{name}=false" for name in ("show_destroyed", "show_deleted", "show_value", "show_pub_key"))
    listed = strict.body(rust("GET", f"/crypto/v1/keys?{unwanted}&{unwanted}"), strict.sobjects)
    assert len(listed) == len(https.keys)


@pytest.mark.parametrize("client", ["rust", "go"])
def test_a_digest_is_computed(request: pytest.FixtureRequest, client: str) -> None:
    send: Rust | Go = request.getfixturevalue(client)
    made = strict.body(send("POST", "/crypto/v1/digest", compact({"alg": "SHA256", "data": "aGk="})), strict.digest)
    assert made == {"digest": "j0NDRmSPa5bfid2pAcUXaxCm2Dlh3TwayItZstwyeqQ="}  # SHA-256 of "hi"
