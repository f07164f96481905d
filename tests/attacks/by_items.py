"""Attacks by an app that is known: for keys and mechanisms that it may not have."""

import asyncio
import base64
import hashlib
import json
import time
from typing import Any

from cryptography.exceptions import InvalidSignature

from tests.attacks.stage import Stage, attack, item
from tests.gateway_process import BATCH_SIGN, b64
from tests.verify import verify

NOWHERE = "0f2c8a44-5a57-4c0e-9d4b-6a2f6c1d3b10"


@attack("JSON members twice: one `hash_alg` or `key` for the policy, the other for the signature")
async def duplicates(stage: Stage) -> str:
    public = {name: key for name, _, key in stage.demo.public_keys()}
    start, end = '{"key":{"name":"p256"},"data":"eA==",', "}"
    for neighbour in ("", ",1"):  # with a bad one beside it another parser reads it
        two = f'"hash_alg":"SHA256","hash_alg":"SHA1"{end}', f'"hash_alg":"SHA1","hash_alg":"SHA256"{end}'
        body = f"[{start}{two[0]},{start}{two[1]}{neighbour}]".encode()
        one, other = (await stage.items("strict", body))[:2]
        assert one["status"] == 403
        verify(public["p256"], item("p256"), base64.b64decode(other["body"]["signature"]))
        rest = '"hash_alg":"SHA256","data":"eA=="}'
        mine, others = '"key":{"name":"p256"}', '"key":{"name":"rsa2048"}'
        inner = '"key":{"name":"rsa2048","name":"p256"}'
        body = f"[{{{mine},{others},{rest},{{{others},{mine},{rest},{{{inner},{rest}{neighbour}]".encode()
        first, second, third = (await stage.items("mine", body))[:3]
        assert first["status"] == 404
        for answer in (second, third):
            assert answer["body"]["kid"] == stage.kids["p256"]
            verify(public["p256"], item("p256"), base64.b64decode(answer["body"]["signature"]))
    return "the last one counts, for policy, signature and log alike"


WORDS = (
    "sHa1",
    "SHA-1",
    "SHA1 ",
    " SHA1",
    "ſha1",
    "ＳＨＡ１",
    "SHA1\0",
    "SHA1\u200b",
    "",
    None,
    "SSL3",
    "SHA224",
    "MD5",
    "none",
)


@attack("A hash that the policy forbids, under other spellings, left out, and as MGF1's")
async def hash_words(stage: Stage) -> str:
    pss: dict[str, Any] = {"mode": {"PSS": {}}}
    none: dict[str, Any] = {}
    asked = [item(name, word, **more) for word in WORDS for name, more in (("p256", none), ("rsa2048", pss))]
    mgf = [item("rsa2048", mode={"PSS": {"mgf": {"mgf1": {"hash": word}}}}) for word in WORDS if word]
    modes: list[Any] = [{"PKCS1_V15": {}}, None, {"PSS": None}, {"pss": {}}]
    paddings = [item("rsa2048", mode=mode) for mode in modes]
    both = item("rsa2048", mode={"PSS": {}, "PKCS1_V15": {}})
    answers = await stage.items("strict", [*asked, *mgf, *paddings, both])
    assert {answer["status"] for answer in answers} <= {400, 403}, answers
    return f"400 or 403 for all {len(answers)}"


@attack(
    "A digest made to order: SHA-1's, a whole DigestInfo, or what is too long or short, as the `hash` of an allowed one"
)
async def crafted_digests(stage: Stage) -> str:
    sha1 = hashlib.sha1(b"x").digest()
    info = bytes.fromhex("3021300906052b0e03021a05000414") + sha1
    crafted = (b"", sha1, info, sha1 + bytes(13), bytes(31), bytes(33), bytes(64))
    asked = [
        item(name, data=None, hash=b64(value), mode=mode)
        for value in crafted
        for name, mode in (("p256", None), ("rsa2048", {"PSS": {}}))
    ]
    answers = await stage.items("strict", asked)
    assert {answer["status"] for answer in answers} == {400}
    public = {name: key for name, _, key in stage.demo.public_keys()}
    (good,) = await stage.items("all", [item("rsa2048", data=None, hash=b64(sha1 + bytes(12)))])
    signature = base64.b64decode(good["body"]["signature"])
    verify(public["rsa2048"], item("rsa2048", data=None, hash=b64(sha1 + bytes(12))), signature)
    try:
        verify(public["rsa2048"], item("rsa2048", "SHA1", data=b64(b"x")), signature)
    except InvalidSignature:
        return "400 for a wrong length; 32 bytes are signed under SHA-256's DigestInfo and verify under no other hash"
    raise AssertionError("a signature under SHA-256 passes for one under SHA-1")


@attack(
    "Names as patterns and look-alikes: `*`, `p25?`, other cases, blanks, Cyrillic and full-width letters, zero width"
)
async def names(stage: Stage) -> str:
    tried = ("*", "p25?", "p*", "web-*", "P256", " p256", "p256 ", "р256", "ｐ256", "p256\u200b", "p256\0", ".*", "%")
    answers = await stage.items("mine", [item(name) for name in tried])
    assert {answer["status"] for answer in answers} <= {400, 404}, answers
    made = {"obj_type": "EC", "elliptic_curve": "NistP256"}
    for name in ("p256", "web", "Web-1", "x\nweb-1", "ｗeb-1"):
        assert (await stage.call("web", "POST", "/crypto/v1/keys", made | {"name": name}))[0] in (400, 403)
    return "404 or 400 for signing, 403 or 400 for a new key outside its own pattern"


@attack("Another app's key: kid and name at once, in path and body, in capitals, as a URN, in lists")
async def foreign(stage: Stage) -> str:
    kid, own = stage.kids["rsa2048"], stage.kids["p256"]
    keys: list[Any] = [{"kid": kid}, {"kid": kid.upper()}, {"kid": f"urn:uuid:{kid}"}, {"kid": kid.replace("-", "")}]
    keys += [{"kid": own, "name": "rsa2048"}, {"kid": kid, "name": "p256"}, {"kid": [own, kid]}, {"name": kid}, [own]]
    keys += [{"KID": kid}, {"name": {"name": "rsa2048"}}]
    answers = await stage.items("mine", [item("", key=key) for key in keys])
    assert {answer["status"] for answer in answers} <= {400, 404}, answers
    rest = {"hash_alg": "SHA256", "data": "eA=="}
    status, _, _ = await stage.call("mine", "POST", f"/crypto/v1/keys/{own}/sign", rest | {"key": {"kid": kid}})
    assert status == 400
    seen = [await stage.call("mine", "POST", f"/crypto/v1/keys/{one}/sign", rest) for one in (kid, NOWHERE)]
    assert seen[0][:2] == seen[1][:2] == (404, "key: no such key")
    return "404 or 400, the same 404 as for a key that does not exist"


@attack("A false head of the audit log: the head key by name and kid; renamed, disabled, destroyed, made anew")
async def false_heads(stage: Stage) -> str:
    kid = stage.kids["p384"]
    text = b64(f"hsmgate audit head x 1 {'0' * 64} 2026-01-01T00:00:00Z {kid} ECDSA_SHA256".encode())
    asked = [item("p384", data=text), item("", key={"kid": kid}, data=text), item("p384", "SHA384", data=text)]
    assert [answer["status"] for answer in await stage.items("all", asked)] == [403] * 3
    path = f"/crypto/v1/keys/{kid}"
    for method, body in (("PATCH", {"name": "mine"}), ("PATCH", {"enabled": False}), ("DELETE", None)):
        assert (await stage.call("all", method, path, body))[0] == 403
    same = {"name": "p384", "obj_type": "EC", "elliptic_curve": "NistP384"}
    assert (await stage.call("all", "POST", "/crypto/v1/keys", same))[0] == 409
    return "403 for all of it, 409 for a second key of that name"


@attack(
    "Verifying and hashing as oracles: with another app's key, by an app that may only verify, with 64 wrong signatures"
)
async def oracles(stage: Stage) -> str:
    wrong = [item("p256", signature=b64(bytes([number]) * 70)) for number in range(8)]
    answers = await stage.items("verifies", wrong, "/crypto/v1/keys/batch/verify")
    assert all(answer["body"] == {"kid": stage.kids["p256"], "result": False} for answer in answers)
    both = [item("rsa2048", signature="AAAA"), item("no such key", signature="AAAA")]
    one, other = await stage.items("mine", both, "/crypto/v1/keys/batch/verify")
    assert one == other
    assert (await stage.items("verifies", [item("p256")]))[0]["status"] == 403
    return "false, each time in the same words; 404 for what is another's; a digest has no key in it"


@attack("More than `items_per_second`: over 20 connections, by singles, batches, verifying and items that are refused")
async def rate(stage: Stage) -> str:
    started = time.monotonic()
    wanted = [[item("p256")] * 10, [item("no such key")] * 5 + [item("p256")] * 5]
    calls = [stage.items("five", wanted[number % 2]) for number in range(20)]
    answers = [answer for batch in await asyncio.gather(*calls) for answer in batch]
    answers += await stage.items("five", [item("p256", signature="AAAA")] * 10, "/crypto/v1/keys/batch/verify")
    seconds = time.monotonic() - started
    done = sum(answer["status"] != 429 for answer in answers)
    assert done <= 5 + 5 * seconds
    return f"{done} of {len(answers)} items in {seconds:.1f} s, at a limit of 5; the rest 429"


LAST = {"Connection": "close"}
"""A connection whose body was too large is not kept."""

BODIES = {
    "5 million `{}`": b"[" + b"{}," * 5_000_000 + b"{}]",
    "8 million numbers": b"[" + b"0," * 8_000_000 + b"0]",
    "16 MiB of `[`": b"[" * 16_000_000,
    "a number of 16 million digits": b"[{},1" + b"0" * 16_000_000 + b"]",
}


@attack(
    "Bodies that grow: 5 million empty items, 8 million numbers, brackets, 16 million digits, a deflate bomb of 128 MiB"
)
async def body_bombs(stage: Stage) -> str:
    worst, most = 0.0, 0
    for body in BODIES.values():
        (status, _, _), longest, grown = await stage.beside(stage.call("all", "POST", BATCH_SIGN, body, **LAST))
        assert status in (200, 400, 413), status
        worst, most = max(worst, longest), max(most, grown)
    (status, _, _), longest, grown = await stage.beside(
        stage.call("all", "POST", BATCH_SIGN, deflate_bomb(), **LAST, **{"Content-Encoding": "deflate"})
    )
    assert status in (400, 413)
    worst, most = max(worst, longest), max(most, grown)
    assert most < 250
    return f"413, or 400 for items or the call; at most {most} MiB more, {worst:.1f} s at most for a neighbour's item"


def deflate_bomb() -> bytes:
    """What becomes 128 MiB."""
    from zlib import compressobj

    packed = compressobj(1)
    block = b" " * (1 << 24)
    return b"".join(packed.compress(block) for _ in range(64)) + packed.flush()


@attack("Filling the token: descriptions and metadata of megabytes, which every signer reads at every look")
async def notes(stage: Stage) -> str:
    made = {"obj_type": "EC", "elliptic_curve": "NistP256", "name": "web-1"}
    bombs: list[dict[str, Any]] = [
        {"description": "x" * 1_000_000},
        {"custom_metadata": {str(n): "x" for n in range(5000)}},
    ]
    for bomb in bombs:
        status, text, _ = await stage.call("web", "POST", "/crypto/v1/keys", made | bomb)
        assert (status, "16384" in text) == (400, True), text
    assert json.loads((await stage.call("web", "GET", "/crypto/v1/keys"))[1]) == []
    return "400 beyond 16 KiB for a key; no key is made"
