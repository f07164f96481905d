"""What the load asks for: items of many kinds, each with a message of its own, so no answer fits another's item."""

import itertools
import os
import random
import uuid
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.faults.judge import Asked
from tests.gateway_process import b64
from tests.token_tool import Demo

INLINE_EC = "inline EC"
INLINE_RSA = "inline RSA"

SIZES = (1, 1, 1, 10, 10, 50)
"""How many items a batch has: one of these."""

WEIGHTS = {"rsa2048": 30, "p256": 30, "ed25519": 15, "p384": 10, INLINE_EC: 10, INLINE_RSA: 5}
HASH_BYTES = {"SHA256": 32, "SHA384": 48, "SHA512": 64}
MODES: tuple[dict[str, Any] | None, ...] = (
    None,
    {"PKCS1_V15": {}},
    {"PSS": {}},
    {"PSS": {"mgf": {"mgf1": {"hash": "SHA256"}}}},
)


class Mixer:
    """Makes items at random. `public_keys` and `kids` say what their signatures must verify under, and the kids."""

    def __init__(self, demo: Demo) -> None:
        self.public_keys: dict[str, PublicKeyTypes] = {}
        self.kids: dict[str, str] = {}
        for label, ckaid, key in demo.public_keys():
            if label in WEIGHTS:
                self.public_keys[label] = key
                self.kids[label] = str(uuid.UUID(ckaid))
        brought_ec = ec.generate_private_key(ec.SECP256R1())
        brought_rsa = rsa.generate_private_key(65537, 2048)
        self.public_keys[INLINE_EC] = brought_ec.public_key()
        self.public_keys[INLINE_RSA] = brought_rsa.public_key()
        self._inline = {
            INLINE_EC: {"inline": {"value": _der(brought_ec), "obj_type": "EC"}},
            INLINE_RSA: {"inline": {"value": _der(brought_rsa), "obj_type": "RSA"}},
        }
        self._numbers = itertools.count()
        self._session = os.urandom(16)

    def batch(self, size: int | None = None) -> list[Asked]:
        """Items of any kind; without a size, one of SIZES."""
        names = random.choices([*WEIGHTS], [*WEIGHTS.values()], k=size or random.choice(SIZES))
        return [self.item(name) for name in names]

    def batch_of(self, name: str, size: int) -> list[Asked]:
        """Items of one key."""
        return [self.item(name) for _ in range(size)]

    def item(self, name: str) -> Asked:
        """An item of that key, by its kid or its name; whatever else there is to choose is left to chance."""
        hash_alg = random.choice([*HASH_BYTES])
        message = self._session + next(self._numbers).to_bytes(8)
        item: dict[str, Any] = {"key": self._descriptor(name)}
        if name == "ed25519":
            return name, item | {"data": b64(message)}
        if "rsa" in name.lower() and (mode := random.choice(MODES)) is not None:
            item["mode"] = mode
        if random.random() < 0.5:
            return name, item | {"hash_alg": hash_alg, "data": b64(message)}
        return name, item | {"hash_alg": hash_alg, "hash": b64(os.urandom(HASH_BYTES[hash_alg]))}

    def _descriptor(self, name: str) -> dict[str, Any]:
        if name in self._inline:
            return self._inline[name]
        return random.choice(({"name": name}, {"kid": self.kids[name]}))


def _der(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    form = PrivateFormat.PKCS8 if isinstance(key, ec.EllipticCurvePrivateKey) else PrivateFormat.TraditionalOpenSSL
    return b64(key.private_bytes(Encoding.DER, form, NoEncryption()))
