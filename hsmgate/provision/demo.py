"""A ready demo in a folder: a SoftHSM token, a key of each kind, an app with its API key, and a config."""

import fcntl
import os
import secrets
import uuid
from pathlib import Path

from hsmgate.domain.api_keys import make_api_key
from hsmgate.errors import ProvisionError
from hsmgate.provision.softhsm import SoftToken, find_module, write_conf
from hsmgate.signer.cryptoki import CryptokiError

LABEL = "hsmgate-demo"

RSA_KEYS = {"rsa2048": 2048, "rsa3072": 3072, "rsa4096": 4096}
EC_KEYS = {
    "p256": "NistP256",
    "p384": "NistP384",
    "p521": "NistP521",
    "secp256k1": "SecP256K1",
    "ed25519": "Ed25519",
}

_CONFIG = """\
# hsmgate's demo. Every word is explained in docs/configuration.md.

[server]
listen = "127.0.0.1:8080"

[[token]]
name = "demo"
module = "{module}"
uri = "pkcs11:token={label}"
pin_source = "file:pin"
signers = 2
sessions = 1
env = {{ SOFTHSM2_CONF = "softhsm2.conf" }}

[[app]]
id = "{app_id}"
name = "demo"
secret_sha256 = "{secret_sha256}"
keys = ["*"]
operations = ["sign", "verify", "inline", "transient", "manage"]
"""


def make_demo(folder: Path) -> None:
    """Make the demo, or what is missing of it; what exists is kept. Raises ProvisionError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would make everything twice
            _make(folder)
        finally:
            os.close(lock)
    except OSError as error:
        raise ProvisionError(f"{error.filename or folder}: {error.strerror}") from error


def _make(folder: Path) -> None:
    pin_file = folder / "pin"
    if not pin_file.exists():
        _write_secret(pin_file, "".join(secrets.choice("0123456789") for _ in range(12)))
    write_conf(folder / "softhsm2.conf", folder / "tokens")
    token = SoftToken.open(folder / "softhsm2.conf", LABEL, pin_file.read_text().strip())
    there = token.labels()
    try:
        for label, bits in RSA_KEYS.items():
            if label not in there:
                token.make_rsa(label, uuid.uuid4().bytes, bits)
        for label, curve in EC_KEYS.items():
            if label not in there:
                token.make_ec(label, uuid.uuid4().bytes, curve)
    except CryptokiError as error:
        raise ProvisionError(f"making the demo keys: {error}") from error
    if not (folder / "hsmgate.toml").exists():
        _make_app(folder)


def _make_app(folder: Path) -> None:
    """The API key first, so that a config is never there without it."""
    app_id = str(uuid.uuid4())
    api_key, secret_sha256 = make_api_key(app_id)
    _write_secret(folder / "api-key", api_key)
    _write(
        folder / "hsmgate.toml",
        _CONFIG.format(
            module=find_module(),
            label=LABEL,
            app_id=app_id,
            secret_sha256=secret_sha256,
        ),
        0o644,
    )


def _write_secret(file: Path, line: str) -> None:
    _write(file, line + "\n", 0o600)


def _write(file: Path, text: str, mode: int) -> None:
    """Write it whole or not at all."""
    part = file.with_name(file.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as out:
        out.write(text)
    part.replace(file)
