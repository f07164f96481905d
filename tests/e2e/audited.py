"""Gateways with an audit log, and what is in it."""

import base64
import contextlib
import hashlib
import io
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsmgate.gateway.audit.verify import verify
from tests.gateway_process import HSMGATE, Gateway, b64, serving
from tests.token_tool import Demo

SECRET = b"attack at dawn, but quietly"
ITEM = {"key": {"name": "p256"}, "hash_alg": "SHA256", "data": b64(SECRET)}
DIGEST = hashlib.sha256(SECRET).hexdigest()


@contextlib.asynccontextmanager
async def audited(demo: Demo, folder: Path, *words: str, name: str = "audited") -> AsyncIterator[Gateway]:
    """A gateway whose log is in that folder. One signer is enough, and sooner there."""
    config = demo.folder / f"{name}.toml"
    section = [f"folder = {json.dumps(str(folder))}", *words]
    config.write_text(
        "\n".join([demo.config.read_text().replace("signers = 2", "signers = 1"), "[audit]", *section, ""])
    )
    async with serving(config, demo.api_key, demo.folder / f"{name}.log") as gateway:
        yield gateway


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def records(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [record for record in _lines(files(folder)) if record["type"] == kind]


def run(*arguments: str | Path) -> tuple[int, str]:
    done = subprocess.run([*HSMGATE, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


def judge(these: list[Path], *keys: Path) -> tuple[bool, str]:
    """What `hsmgate audit verify` says, without the seconds that a process takes."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        good = verify(these, keys)
    return good, printed.getvalue()


def head_key(demo: Demo, label: str) -> tuple[EllipticCurvePublicKey, Path]:
    key = next(key for name, _, key in demo.public_keys() if name == label)
    assert isinstance(key, EllipticCurvePublicKey)
    file = demo.folder / "head.pem"
    file.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return key, file


async def call(gateway: Gateway, method: str, path: str, body: Any, status: int, **headers: str) -> Any:
    sent = {"Authorization": f"Basic {gateway.api_key}", "X-Request-Id": "mine"} | headers
    async with gateway.client.request(method, gateway.url + path, json=body, headers=sent) as response:
        assert response.status == status, await response.text()
        return await response.json() if "json" in response.content_type else None


def records_of(these: list[Path]) -> list[dict[str, Any]]:
    return [record for record in _lines(these) if record["type"] == "batch"]


def _lines(these: list[Path]) -> list[dict[str, Any]]:
    """All whole lines; the last may just be written."""
    return [json.loads(line) for file in these for line in file.read_bytes().split(b"\n")[:-1]]


def good_signature(demo: Demo, signature: str) -> None:
    """It is ITEM's."""
    key = next(key for name, _, key in demo.public_keys() if name == "p256")
    assert isinstance(key, EllipticCurvePublicKey)
    key.verify(base64.b64decode(signature), SECRET, ECDSA(SHA256()))
