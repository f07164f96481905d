"""Two tokens that a target plays: keys of every kind, good and bad, and signers that answer at once."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

from hsmgate import config
from hsmgate.domain.capabilities import Capabilities, wrapping
from hsmgate.domain.model import KeyInfo, KeyNotes, KeyType
from hsmgate.gateway.auth import App
from hsmgate.gateway.keyring import Keyring
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.signer_process import SignerProcess
from hsmgate.ipc.frames import frame
from hsmgate.ipc.messages import (
    Action,
    DeriveSecret,
    FromSigner,
    Generate,
    Keys,
    ListKeys,
    Made,
    Manage,
    Opened,
    Sign,
    Signed,
    ToSigner,
    encode,
)
from tests.fuzz.blobs import GENUINE, KEY_ID
from tests.fuzz.der import OBJ_TYPES, private_keys, public_keys
from tests.fuzz.tokens import APP_ID, SECRET_SHA256

ABLE = Capabilities.of((), {wrapping(0x210B), "ECDSA", "RSA PKCS1_V15", "Ed25519"}, {"RSA", "EC", "Ed25519"})


def _kid(number: int) -> str:
    return f"0a1b2c3d-0000-4000-8000-{number:012d}"


def _key(number: int, name: str | None, kind: KeyType, **more: Any) -> KeyInfo:
    members = {"variant": None, "bits": 0, "public_key": None} | more
    return KeyInfo(number.to_bytes(16, "big"), _kid(number), name, kind, **members)


def made_keys() -> list[KeyInfo]:
    """The keys of a token; those that have a public key have one that is right."""
    spki = dict(reversed(public_keys()))
    return [
        _key(1, "rsa", KeyType.RSA, bits=2048, public_key=spki[0]),
        _key(2, "p256", KeyType.EC, variant="NistP256", bits=256, public_key=spki[1]),
        _key(3, "ed25519", KeyType.ED25519, variant="Ed25519", bits=256),
        _key(4, "ml", KeyType.ML_DSA, variant="MlDsa44", public_key=spki[3]),
        _key(5, "dsa", KeyType.DSA, variant="160", bits=1024, public_key=spki[2]),
        _key(6, "once", KeyType.HSS),
        _key(7, "other", KeyType.OTHER),
        _key(8, "off", KeyType.EC, variant="NistP256", notes=KeyNotes(enabled=False)),
        _key(9, "verify", KeyType.EC, variant="NistP256", notes=KeyNotes(operations=["VERIFY"], metadata={"ü": "x"})),
        _key(10, "twice", KeyType.SLH_DSA),
        _key(11, "twice", KeyType.RSA, may_sign=False, always_authenticate=True),
        _key(12, None, KeyType.EC, variant=None),
    ]


class PlayedSigner(SignerProcess):
    """It answers everything in the loop's next turn, with results that nobody could verify."""

    def __init__(self, keys: list[KeyInfo]) -> None:
        self._keys = Keys(keys, [KEY_ID], 0.0, 0.0)
        self.opened = Opened("played", [], ABLE, self._keys)
        self.pid = 1
        self.killed = False
        self._hear: Callable[[FromSigner], None] = lambda message: None

    def listen(self, on_message: Callable[[FromSigner], None]) -> None:
        self._hear = on_message

    def kill(self) -> None:
        self.killed = True

    def send(self, message: ToSigner) -> None:
        frame(encode(message))
        answer = self._answer(message)
        if answer is not None:
            asyncio.get_running_loop().call_soon(self._hear, answer)

    def _answer(self, message: ToSigner) -> FromSigner | None:
        match message:
            case Sign():
                return Signed(
                    message.id,
                    [_results(part.operation.action, len(part.payloads)) for part in message.parts],
                    [1e-5 for part in message.parts],
                    ["CKM_ECDSA" for part in message.parts],
                )
            case Generate():
                return Made(message.id, GENUINE)
            case DeriveSecret():
                return Made(message.id, bytes(32))
            case Manage():
                return Made(message.id, b"")
            case ListKeys():
                self._keys.id = message.id
                return self._keys
            case _:
                return None


def _results(action: Action, count: int) -> Any:
    return [True if action is Action.VERIFY else b"signature"] * count


def played_tokens() -> tuple[Keyring, list[TokenPool]]:
    """A keyring over two tokens, which have some keys in common; one of them has two keys under one kid."""
    keyring = Keyring()
    keys = made_keys()
    pools = [TokenPool(name, 2, keyring.update) for name in ("one", "two")]
    contested = _key(7, "contested", KeyType.EC, variant="NistP256", public_key=b"another")
    for pool, told in zip(pools, (keys, [*keys[:3], contested]), strict=True):
        pool.join(PlayedSigner(told))
    return keyring, pools


OPERATIONS: list[config.Operation] = ["sign", "verify", "inline", "transient", "manage"]
CONFIG_APP = config.App(id=APP_ID, name="fuzz", secret_sha256=(SECRET_SHA256,), operations=OPERATIONS)
APP = App.of(CONFIG_APP)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def items() -> list[dict[str, Any]]:
    """Items of every kind, right and wrong in one thing."""
    ec_key, rsa_key = b64(_private("EC")), b64(_private("RSA"))
    data, digest = {"data": b64(b"attack at dawn")}, {"hash": b64(bytes(32))}
    pss = {"mode": {"PSS": {"mgf": {"mgf1": {"hash": "SHA256"}}}}}
    return [
        {"key": {"kid": _kid(1)}, "hash_alg": "SHA256", **data},
        {"key": {"name": "rsa"}, "hash_alg": "SHA512", **data, **pss},
        {"key": {"name": "p256"}, "hash_alg": "sha256", **digest, "deterministic_signature": False},
        {"key": {"kid": _kid(3)}, **data, "signature": b64(bytes(64))},
        {"key": {"name": "ml"}, "context": b64(b"c"), "mode": {"variant": "PRE_HASH"}, "hash_alg": "SHA256", **digest},
        {"key": {"name": "dsa"}, "hash_alg": "SHA224", **data, "signature": b64(b"0\6\2\1\1\2\1\1")},
        {"key": {"inline": {"value": ec_key, "obj_type": "EC"}}, "hash_alg": "SHA384", **data},
        {
            "key": {"inline": {"value": rsa_key, "obj_type": "rsa"}},
            "hash_alg": "SHA1",
            **data,
            "mode": {"PKCS1_V15": {}},
        },
        {"key": {"transient_key": b64(GENUINE)}, "hash_alg": "SHA256", **data},
        *({"key": {"name": name}, "hash_alg": "SHA256", **data} for name in ("once", "off", "verify", "twice", "")),
        {"key": {"kid": _kid(7), "name": "contested"}, "hash_alg": "SHA257", **data, **digest},
        {"key": {"kid": _kid(7)}, "hash_alg": None, "data": "aGk", "unknown": [[{}]]},
        {"key": {"name": "k" * 60}, "context": b64(bytes(256)), **data, "mode": {"PSS": {}, "PKCS1_V15": {}}},
    ]


def _private(obj_type: str) -> bytes:
    return min((der for place, der in private_keys() if OBJ_TYPES[place] == obj_type), key=len)


def bodies() -> list[bytes]:
    """Each item alone, all of them, and what is no batch."""
    alone = [json.dumps([item]).encode() for item in items()]
    pieces = [json.dumps(items()[start : start + 3]).encode() for start in range(0, len(items()), 3)]
    bare = [json.dumps(item).encode() for item in items()[:4]]
    odd = [
        b"",
        b"[]",
        b"[null, 1, {}]",
        b"[" * 500,
        b'[{"data": "\\ud800"}]',
        b'[{"x": ' + b"9" * 600 + b"}]",
        b"[NaN]",
    ]
    return alone + pieces + bare + odd


WORDS = (
    *(b'"key"', b'"kid"', b'"name"', b'"inline"', b'"value"', b'"obj_type"', b'"transient_key"', b'"hash_alg"'),
    *(b'"hash"', b'"data"', b'"mode"', b'"PSS"', b'"mgf"', b'"mgf1"', b'"PKCS1_V15"', b'"variant"', b'"context"'),
    *(b'"deterministic_signature"', b'"signature"', b'"SHA256"', b'"RSA"', b'"EC"', b'"MLDSA"', b'"PURE"', b'""'),
    *(b"null", b"true", b"false", b"{}", b"[]", b"[{", b"}]", b"1e999", b'"\\ud800"', b'"aGk="', b"\xff"),
    *(_kid(number).encode() for number in (1, 2, 7, 8, 11)),
)
"""What bodies are made of."""
