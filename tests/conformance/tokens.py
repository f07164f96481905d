"""The two tokens: set up, with their keys, and a config for a gateway over each."""

import base64
import hashlib
import json
import os
import secrets
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance.keys import Key, load_public_key, type_of, width_of
from tests.gateway_process import HSMGATE
from tests.token_tool import MODULE, Demo

ROOT = Path(__file__).parents[2]

# The demo's own keys, and what else SoftHSM can make.
SOFTHSM_KEYS = {
    "RSA-2048": "rsa2048",
    "RSA-3072": "rsa3072",
    "RSA-4096": "rsa4096",
    "P-256": "p256",
    "P-384": "p384",
    "P-521": "p521",
    "secp256k1": "secp256k1",
    "Ed25519": "ed25519",
    "P-192": "p192",
    "P-224": "p224",
    "secp224k1": "secp224k1",
    "brainpoolP256r1": "brainpoolP256r1",
    "brainpoolP320r1": "brainpoolP320r1",
    "brainpoolP384r1": "brainpoolP384r1",
    "brainpoolP512r1": "brainpoolP512r1",
    "Ed448": "ed448",
    "DSA-2048-256": "dsa2048",
}
NSS_KEYS = {
    "RSA-2048": "rsa2048",
    "RSA-3072": "rsa3072",
    "P-256": "p256",
    "P-384": "p384",
    "P-521": "p521",
    "Ed25519": "ed25519",
    "DSA-2048-256": "dsa2048",
    "ML-DSA-44": "mldsa44",
    "ML-DSA-65": "mldsa65",
    "ML-DSA-87": "mldsa87",
}

_NSS_CONFIG = """\
[server]
listen = "127.0.0.1:0"

[[token]]
name = "nss"
module = "{folder}/lib/libsoftokn3.so"
uri = "pkcs11:token=NSS%20Certificate%20DB"
pin_source = "file:{folder}/pin"
signers = 2
env = {{ LD_LIBRARY_PATH = "{folder}/lib" }}
init_args = "{init_args}"

[[app]]
id = "{app_id}"
name = "conformance"
secret_sha256 = "{secret_sha256}"
keys = ["*"]
operations = ["sign", "verify", "inline", "transient", "manage"]
"""


class TokenNotMade(Exception):
    """A token could not be set up; the text says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token with its keys, and how a gateway serves it."""

    title: str
    config: Path
    api_key: str = field(repr=False)
    keys: tuple[Key, ...]

    @property
    def log(self) -> Path:
        return self.config.with_suffix(".log")


def make_softhsm(folder: Path, titles: Mapping[str, str] = SOFTHSM_KEYS) -> Token:
    """The demo that `hsmgate init` makes, with more keys. Safe to repeat."""
    done = subprocess.run([*HSMGATE, "init", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TokenNotMade(done.stderr)
    demo = Demo(folder)
    env = {"SOFTHSM2_CONF": str(folder / "softhsm2.conf")}
    keys = _token_keys((MODULE, "", "hsmgate-demo", str(folder / "pin")), env, titles)
    return Token("SoftHSM", demo.config, demo.api_key, keys)


def make_nss(folder: Path, titles: Mapping[str, str] = NSS_KEYS) -> Token:
    """An NSS token by softhsm/nss.sh, with keys. Safe to repeat."""
    script = [str(ROOT / "softhsm" / "nss.sh"), str(folder), sys.executable]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TokenNotMade(done.stderr)
    folder = folder.resolve()
    init_args = f"configdir='sql:{folder}/db' certPrefix='' keyPrefix='' secmod='secmod.db' flags="
    module = str(folder / "lib" / "libsoftokn3.so")
    env = {"LD_LIBRARY_PATH": str(folder / "lib")}
    keys = _token_keys((module, init_args, "NSS Certificate DB", str(folder / "pin")), env, titles)
    app_id, secret = str(uuid.uuid4()), secrets.token_urlsafe(32)
    secret_sha256 = hashlib.sha256(secret.encode()).hexdigest()
    config = folder / "hsmgate.toml"
    config.write_text(
        _NSS_CONFIG.format(folder=folder, init_args=init_args, app_id=app_id, secret_sha256=secret_sha256)
    )
    return Token("NSS", config, base64.b64encode(f"{app_id}:{secret}".encode()).decode(), keys)


def _token_keys(where: tuple[str, str, str, str], env: Mapping[str, str], titles: Mapping[str, str]) -> tuple[Key, ...]:
    """The token's keys of these titles, made where they are missing, each by its kid and by its name."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.conformance.token_keys", *where, json.dumps([*titles.items()])],
        cwd=ROOT,
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise TokenNotMade(done.stderr)
    found = {label: (ckaid, base64.b64decode(spki)) for label, ckaid, spki in json.loads(done.stdout)}
    keys = []
    for title, label in titles.items():
        kid = str(uuid.UUID(found[label][0]))
        public = load_public_key(found[label][1])
        for how, descriptor in (("kid", {"kid": kid}), ("name", {"name": label})):
            keys.append(Key(title, type_of(title), how, descriptor, public, kid, width_of(title)))
    return tuple(keys)
