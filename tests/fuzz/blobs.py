"""Transient keys: blobs that callers carry, as gateway and signer read them."""

import hmac
from typing import cast

import msgspec

from hsmgate.domain import cka
from hsmgate.domain.capabilities import Capabilities
from hsmgate.domain.envelope import Blob, TransientKey, sealed, to_seal
from hsmgate.domain.model import KeyType
from hsmgate.errors import BadItem, ItemError, NotFound
from hsmgate.gateway.sobjects import describe_transient
from hsmgate.signer.sessions import Session, Template
from hsmgate.signer.transient import SEAL_LABEL, TransientKeys
from tests.fuzz.target import Target, check_text

OWNER = "5d1e1f52-8a3b-4c6d-9e7f-001122334455"
KEY_ID = bytes(range(16))
WRAP, SEAL, UNWRAPPED = 1, 2, 3


class _Session:
    """A session as far as transient keys are opened with it: one pair of secret keys, and a real HMAC."""

    def read_all(self, template: Template, types: tuple[int, ...]) -> list[tuple[int, dict[int, bytes]]]:
        return [(SEAL if template[cka.CKA_LABEL] == SEAL_LABEL else WRAP, {cka.CKA_ID: KEY_ID})]

    def sign(self, handle: int, mechanism: object, data: bytes, size: int) -> bytes:
        return _seal(data)

    def unwrap(self, mechanism: object, key: int, wrapped: bytes, template: Template) -> int:
        return UNWRAPPED


def _seal(message: bytes) -> bytes:
    return hmac.digest(b"the token's", message, "sha256")


def blob_of(key: TransientKey) -> bytes:
    message = to_seal(KEY_ID, key)
    return sealed(message, _seal(message))


KEY = TransientKey(OWNER, KeyType.EC, "NistP256", 256, b"spki", ["SIGN", "VERIFY"], 2**32, 0x210B, b"wrapped key")
GENUINE = blob_of(KEY)
"""What alone may be opened; the fuzzer has it to start from, but not the key of the seal."""

_SESSION = cast("Session", _Session())
_KEYS = TransientKeys(Capabilities.of((), ()))


def check(data: bytes) -> None:
    """Only the genuine blob is opened. What others claim can be shown to whoever brought them."""
    try:
        Blob.read(data).open()
    except BadItem as error:
        check_text(str(error), data)
    try:
        shown = describe_transient(data)
    except BadItem as error:
        check_text(str(error), data)
    else:
        assert msgspec.json.encode(shown)
    for open_ in (_KEYS.unwrap, _KEYS.public_part):
        try:
            opened = open_(_SESSION, data, OWNER)
        except ItemError as error:
            assert isinstance(error, BadItem | NotFound), error
            check_text(str(error), data)
            assert data != GENUINE
        else:
            assert opened
            assert data == GENUINE, "a blob was opened that nobody sealed"


def seeds() -> list[bytes]:
    replace = msgspec.structs.replace
    others = [
        replace(KEY, type=KeyType.SLH_DSA, variant=None),
        replace(KEY, type=KeyType.OTHER, bits=0),
        replace(KEY, type=KeyType.ML_DSA, variant="MlDsa44"),
        replace(KEY, expires=2**62),
        replace(KEY, expires=-(2**62)),
        replace(KEY, operations=["ü"] * 20, owner="", public_key=b""),
    ]
    forged = [blob[:20] + bytes(32) + blob[52:] for blob in map(blob_of, others)]
    return [GENUINE, GENUINE[:-1], GENUINE[:52], GENUINE + b"\0", b"hgt1", *forged]


TARGET = Target(
    name="blobs",
    reads="transient keys' blobs, in the gateway and, with the token's HMAC played, in the signer",
    promise="the genuine blob opens; any other is an item's 400 or 404, and what it claims can be shown as JSON",
    check=check,
    seeds=seeds,
    words=(b"hgt1", b"SIGN", b"VERIFY", *(kind.value.encode() for kind in KeyType), b"\xcf\x7f\xff\xff\xff"),
)
