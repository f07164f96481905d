"""A demo's token, handled as an operator would: with pkcs11-tool, from outside."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
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

    def copy(self, folder: Path) -> "Demo":
        """A copy of it, to be changed."""
        shutil.copytree(self.folder, folder)
        conf = folder / "softhsm2.conf"
        conf.write_text(conf.read_text().replace(str(self.folder), str(folder)))
        return Demo(folder)

    def make_key(self, label: str, key_type: str, ckaid: str | None = None, more: Sequence[str] = ()) -> None:
        """A new key pair; `ckaid` in hex, `more` as pkcs11-tool has it."""
        ids = ["--id", ckaid] if ckaid else []
        self.tool("-l", "--keypairgen", "--key-type", key_type, "--label", label, *ids, *more)

    def forbid_signing(self, label: str) -> None:
        """Set CKA_SIGN of a private key to false."""
        command = [sys.executable, "-m", "tests.forbid_signing", MODULE, "hsmgate-demo", label]
        subprocess.run(command, env=self._environment, input=self.pin.encode(), check=True)

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
