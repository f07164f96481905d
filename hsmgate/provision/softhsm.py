"""A SoftHSM token in a folder of its own, and keys in it."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hsmgate.domain import cka
from hsmgate.errors import ProvisionError
from hsmgate.signer.cryptoki import CryptokiError, Module, ModuleError
from hsmgate.signer.generation import generate_ec, generate_rsa
from hsmgate.signer.sessions import Session, Template

MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)


def find_module() -> str:
    """SoftHSM's module, where distributions put it. Raises ProvisionError."""
    found = next((path for path in MODULES if Path(path).exists()), None)
    if found is None:
        raise ProvisionError(f"SoftHSM is not installed (softhsm2 in Debian): looked for {', '.join(MODULES)}")
    return found


def write_conf(conf: Path, tokens: Path) -> None:
    """SoftHSM's own config, over a folder for its tokens."""
    tokens.mkdir(mode=0o700, exist_ok=True)
    conf.write_text(
        f"directories.tokendir = {tokens.absolute()}\n"
        "objectstore.backend = file\n"
        "log.level = ERROR\n"
        "slots.removable = false\n"
    )


@dataclass(frozen=True, slots=True)
class SoftToken:
    """A SoftHSM token that this process is logged in to."""

    session: Session

    @classmethod
    def open(cls, conf: Path, label: str, pin: str) -> Self:
        """Open the token of that label, made if it is not there. Raises ProvisionError."""
        os.environ["SOFTHSM2_CONF"] = str(conf.absolute())
        try:
            module = Module(find_module())
            if not any(token.label == label for token in module.tokens()):
                _initialise(module, label, pin)
            slot_id = next(token.slot_id for token in module.tokens() if token.label == label)
            session = Session(module, slot_id)
            session.login(pin)
        except (ModuleError, CryptokiError) as error:
            raise ProvisionError(f"SoftHSM token '{label}': {error}") from error
        return cls(session)

    def labels(self) -> set[str]:
        """The labels of its private keys."""
        private_keys = self.session.find({cka.CKA_CLASS: cka.CKO_PRIVATE_KEY, cka.CKA_TOKEN: True})
        read = (self.session.read(handle, (cka.CKA_LABEL,)) for handle in private_keys)
        return {attributes.get(cka.CKA_LABEL, b"").decode("utf-8", "replace") for attributes in read}

    def make_rsa(self, label: str, ckaid: bytes, bits: int) -> None:
        """A new RSA key pair. Raises CryptokiError."""
        generate_rsa(self.session, bits, *_templates(label, ckaid))

    def make_ec(self, label: str, ckaid: bytes, curve: str) -> None:
        """A new key pair on a curve of `hsmgate.domain.curves`. Raises CryptokiError."""
        generate_ec(self.session, curve, *_templates(label, ckaid))


def _templates(label: str, ckaid: bytes) -> tuple[Template, Template]:
    """A public key that verifies and a private one that signs, and neither does anything else."""
    both: Template = {cka.CKA_TOKEN: True, cka.CKA_LABEL: label.encode(), cka.CKA_ID: ckaid}
    public = dict.fromkeys((cka.CKA_ENCRYPT, cka.CKA_WRAP), False)
    private = dict.fromkeys((cka.CKA_EXTRACTABLE, cka.CKA_DECRYPT, cka.CKA_UNWRAP, cka.CKA_DERIVE), False)
    may = dict.fromkeys((cka.CKA_PRIVATE, cka.CKA_SENSITIVE, cka.CKA_SIGN), True)
    return {**both, cka.CKA_VERIFY: True, **public}, {**both, **may, **private}


def _initialise(module: Module, label: str, pin: str) -> None:
    """A new token in the first free slot. Nobody will need its security officer again, so that PIN is thrown away."""
    so_pin = secrets.token_hex(16)
    free = module.free_slots()
    if not free:
        raise ProvisionError("SoftHSM has no free slot")
    module.check("C_InitToken", free[0].slot_id, so_pin.encode(), len(so_pin), label.encode().ljust(32))
    slot_id = next(token.slot_id for token in module.tokens() if token.label == label)
    session = Session(module, slot_id)
    session.initialise_pin(so_pin, pin)
    session.close()
