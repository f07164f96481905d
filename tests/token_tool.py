"""A demo's token, handled as an operator would: with pkcs11-tool, from outside."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_public_key

MODULE = "/usr/lib/softhsm/libsofthsm2.so"


@dataclass(frozen=True)
class Demo:
    """What `hsmgate init` left in a folder."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "hsmgate.toml"

    @property
    def api_key(self) -> str:
        return (self.folder / "api-key").read_text().strip()

    @property
    def pin(self) -> str:
        return (self.folder / "pin").read_text().strip()

    def tool(self, *arguments: str) -> str:
        """Run pkcs11-tool on the token."""
        done = subprocess.run(
            ["pkcs11-tool", "--module", MODULE, "--token-label", "hsmgate-demo", "--pin", self.pin, *arguments],
            env=self._environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def make_key(self, label: str, key_type: str, ckaid: str | None = None) -> None:
        """A new key pair; `ckaid` in hex."""
        self.tool("-l", "--keypairgen", "--key-type", key_type, "--label", label, *(["--id", ckaid] if ckaid else []))

    def delete_key(self, label: str) -> None:
        for half in ("privkey", "pubkey"):
            self.tool("-l", "--delete-object", "--type", half, "--label", label)

    def public_keys(self) -> list[tuple[str, str, PublicKeyTypes]]:
        """Label, CKA_ID in hex and value of every public key on the token."""
        printed = subprocess.run(
            [sys.executable, "-m", "tests.read_public_keys", MODULE, "hsmgate-demo"],
            env=self._environment,
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        return [(label, ckaid, load_pem_public_key(pem.encode())) for label, ckaid, pem in json.loads(printed)]

    @property
    def _environment(self) -> dict[str, str]:
        return os.environ | {"SOFTHSM2_CONF": str(self.folder / "softhsm2.conf")}
