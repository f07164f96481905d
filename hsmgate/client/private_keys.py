"""A private key in a file, to be imported: PEM or DER, also under a password, to the DER that the API takes."""

from collections.abc import Callable
from pathlib import Path

from asn1crypto import pem
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)

from hsmgate.domain.inline import MAX_BYTES, type_of
from hsmgate.errors import BadItem, CommandError
from hsmgate.secret import Secret

LONGEST = 2 * MAX_BYTES
"""Bytes of a file: PEM takes a third more than DER."""


class _Unreadable(Exception):
    """The text goes on from the file's name."""


def read_private_key(file: Path, passphrase: Callable[[], Secret]) -> tuple[str, bytes]:
    """Its `obj_type`, and the key as DER. passphrase: asked only where the key is under one. Raises CommandError."""
    try:
        with file.open("rb") as stream:
            data = stream.read(LONGEST + 1)
        if len(data) > LONGEST:
            raise _Unreadable(f"more than {LONGEST} bytes are no private key")
        der = _from_pem(data, passphrase) if pem.detect(data) else _from_der(data, passphrase)
        return type_of(der), der
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
    except (_Unreadable, BadItem) as error:
        raise CommandError(f"{file}: {error}") from None


def _from_pem(data: bytes, passphrase: Callable[[], Secret]) -> bytes:
    try:
        blocks = [*pem.unarmor(data, multiple=True)]
    except ValueError:
        raise _Unreadable("it is damaged PEM") from None
    keys = [(name, headers, der) for name, headers, der in blocks if name.endswith("PRIVATE KEY")]
    if len(keys) != 1:
        raise _Unreadable(f"it holds {len(keys) or 'no'} private keys; it must be one")
    name, headers, der = keys[0]
    # RFC 7468, section 11, and the older way of RFC 1421 that OpenSSL writes.
    if name == "ENCRYPTED PRIVATE KEY" or "Proc-Type" in headers:
        return _open(load_pem_private_key, data, passphrase())
    return bytes(der)


_ENCRYPTED = "is encrypted"


def _from_der(data: bytes, passphrase: Callable[[], Secret]) -> bytes:
    try:
        type_of(data)
    except BadItem as error:
        if _ENCRYPTED in str(error):
            return _open(load_der_private_key, data, passphrase())
    return data


def _open(load: Callable[..., object], data: bytes, passphrase: Secret) -> bytes:
    """PKCS#8 in the clear, of a key under a password."""
    try:
        key = load(data, passphrase.reveal().encode())
        clear: bytes = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())  # type: ignore[attr-defined]
    except ValueError:
        raise _Unreadable("it cannot be opened: the password is wrong, or it is damaged") from None
    except (TypeError, UnsupportedAlgorithm):
        raise _Unreadable("it cannot be opened: its encryption or its algorithm is not known here") from None
    return clear
