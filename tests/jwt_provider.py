"""An identity provider: keys, a key set over http on loopback, and JWTs, good ones and forgeries."""

import base64
import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.secrets_scan import NOTES

ISSUER = "https://idp.test/realm"
AUDIENCE = "hsmgate"
SUBJECT = "batch-job"

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def make_keys() -> dict[str, Key]:
    return {
        "rsa": rsa.generate_private_key(65537, 2048),
        "ec": ec.generate_private_key(ec.SECP256R1()),
        "ed": ed25519.Ed25519PrivateKey.generate(),
    }


def jwk(kid: str, key: Key) -> dict[str, Any]:
    """The public half."""
    if isinstance(key, rsa.RSAPrivateKey):
        made = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        made = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        made = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": kid, "use": "sig"}


def key_set(keys: dict[str, Key]) -> dict[str, Any]:
    return {"keys": [jwk(kid, key) for kid, key in keys.items()]}


def claims(**other: Any) -> dict[str, Any]:
    """What a good token says, but for the others; None leaves one out."""
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": SUBJECT, "exp": int(time.time()) + 300} | other
    return {name: value for name, value in said.items() if value is not None}


def token(kid: str | None, key: Key, algorithm: str, **other: Any) -> str:
    return jwt.encode(claims(**other), key, algorithm, {"kid": kid} if kid is not None else None)


def forged(header: dict[str, Any], secret: bytes | None = None) -> str:
    """A token that HMAC signs, or nothing does."""
    parts = [_encoded(json.dumps(part).encode()) for part in (header, claims())]
    seal = hmac.digest(secret, ".".join(parts).encode(), hashlib.sha256) if secret else b""
    return ".".join([*parts, _encoded(seal)])


def public_pem(key: Key) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@dataclass
class Provider:
    """Its key set as it stands, and how often it was asked for."""

    keys: dict[str, Key] = field(default_factory=make_keys)
    asked: int = 0
    status: int = 200
    body: bytes | None = None
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        body = json.dumps(key_set(self.keys)).encode() if self.body is None else self.body
        return web.Response(status=self.status, body=body)

    def token(self, kid: str = "ec", algorithm: str = "ES256", **other: Any) -> str:
        made = token(kid, self.keys[kid], algorithm, **other)
        NOTES.jwt(made)
        return made


@contextlib.asynccontextmanager
async def serving_keys(provider: Provider) -> AsyncIterator[Provider]:
    """The provider's key set at its url."""
    app = web.Application()
    app.router.add_get("/keys", provider.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    provider.url = f"http://127.0.0.1:{runner.addresses[0][1]}/keys"
    try:
        yield provider
    finally:
        await runner.cleanup()
