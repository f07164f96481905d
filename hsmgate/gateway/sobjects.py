"""Sobjects in JSON (contract: dsm-wire, sections 3.3 to 3.5), as far as transient keys have them."""

import time
import uuid
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from hsmgate.domain.curves import CURVES
from hsmgate.domain.envelope import Blob, TransientKey
from hsmgate.domain.model import KeyType
from hsmgate.errors import BadItem, Unsupported
from hsmgate.gateway.wire import BadBody, explain
from hsmgate.ipc.messages import Generate

TRANSIENT_SECONDS = 24 * 3600
"""How long a transient key lives."""

ACCOUNT_ID = str(uuid.uuid5(uuid.UUID("6a0a8a3e-5f0f-5c5b-9c62-3f3c4b6f2a77"), "account"))
"""There is one account, and clients want its id."""

RSA_BITS = (1024, 2048, 3072, 4096, 6144, 8192)

KeyOperation = Literal[
    "SIGN",
    "VERIFY",
    "ENCRYPT",
    "DECRYPT",
    "WRAPKEY",
    "UNWRAPKEY",
    "DERIVEKEY",
    "TRANSFORM",
    "MACGENERATE",
    "MACVERIFY",
    "EXPORT",
    "APPMANAGEABLE",
    "HIGHVOLUME",
    "AGREEKEY",
    "ENCAPSULATE",
    "DECAPSULATE",
]


class SobjectRequest(msgspec.Struct):
    """What a caller may say of a key that is to be made; other members are passed over."""

    obj_type: str | None = None
    transient: bool | None = None
    name: Annotated[str, msgspec.Meta(max_length=4096)] | None = None
    description: str | None = None
    key_size: int | None = None
    elliptic_curve: str | None = None
    key_ops: list[KeyOperation] | None = None


_decoder = msgspec.json.Decoder(SobjectRequest)


def read_request(body: bytes) -> SobjectRequest:
    """Raises BadBody."""
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise BadBody(explain(str(error))) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadBody("the body is not JSON") from None


def order(request: SobjectRequest, owner: str) -> Generate:
    """What a signer is to make. Raises BadItem or Unsupported."""
    operations: list[str] = [*request.key_ops] if request.key_ops is not None else ["SIGN", "VERIFY"]
    expires = int(time.time()) + TRANSIENT_SECONDS
    match (request.obj_type or "").upper():
        case "RSA":
            if request.key_size not in RSA_BITS:
                raise BadItem(f"key_size: an RSA key has one of {', '.join(map(str, RSA_BITS))}")
            return Generate(0, owner, KeyType.RSA, "", request.key_size, operations, expires)
        case "EC":
            curve = CURVES.get(request.elliptic_curve or "")
            if curve is None:
                raise BadItem(f"elliptic_curve: one of {', '.join(CURVES)}")
            if curve.name in (KeyType.ED25519, KeyType.ED448):
                raise Unsupported("elliptic_curve: transient keys on Edwards curves are not served")
            return Generate(0, owner, KeyType.EC, curve.name, curve.bits, operations, expires)
        case "":
            raise BadItem("obj_type: missing")
        case _:
            raise Unsupported("obj_type: transient keys are RSA or EC")


class _RsaOptions(msgspec.Struct):
    key_size: int
    encryption_policy: list[dict[str, str]]
    signature_policy: list[dict[str, str]]


class Sobject(msgspec.Struct, omit_defaults=True):
    """A key as clients read it. Some insist on members that say little here."""

    acct_id: str
    created_at: str
    creator: dict[str, str]
    custom_metadata: dict[str, str]
    description: str
    enabled: bool
    key_ops: list[str]
    key_size: int
    lastused_at: str
    never_exportable: bool
    obj_type: str
    origin: str
    pub_key: bytes
    public_only: bool
    state: str
    transient_key: bytes
    deactivation_date: str
    elliptic_curve: str | None = None
    name: str | None = None
    rsa: _RsaOptions | None = None


def describe(blob: bytes, request: SobjectRequest) -> Sobject:
    """The new transient key."""
    key: TransientKey = Blob.read(blob).open()
    is_rsa = key.type is KeyType.RSA
    return Sobject(
        acct_id=ACCOUNT_ID,
        created_at=_time(key.expires - TRANSIENT_SECONDS),
        creator={"app": key.owner},
        custom_metadata={},
        deactivation_date=_time(key.expires),
        description=request.description or "",
        elliptic_curve=key.variant,
        enabled=True,
        key_ops=key.operations,
        key_size=key.bits,
        lastused_at=_time(0),
        name=request.name,
        never_exportable=True,
        obj_type=key.type.value,
        origin="Transient",
        pub_key=key.public_key,
        public_only=False,
        rsa=_RsaOptions(key.bits, [], [{}]) if is_rsa else None,
        state="Active",
        transient_key=blob,
    )


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")
