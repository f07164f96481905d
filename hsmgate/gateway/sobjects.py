"""Sobjects in JSON (contract: dsm-wire, sections 3.2 to 3.5)."""

import time
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from hsmgate.domain.curves import CURVES
from hsmgate.domain.envelope import TRANSIENT_TYPES, Blob
from hsmgate.domain.mechanisms import ML_DSA_SIGNATURE_SIZES
from hsmgate.domain.model import KeyInfo, KeyType
from hsmgate.errors import BadItem, Unsupported
from hsmgate.gateway.wire import BadBody, Sent, explain
from hsmgate.ipc.messages import Generate

TRANSIENT_SECONDS = 24 * 3600
"""How long a transient key lives."""

_NAMESPACE = uuid.UUID("6a0a8a3e-5f0f-5c5b-9c62-3f3c4b6f2a77")
ACCOUNT_ID, GROUP_ID, CREATOR_ID = (str(uuid.uuid5(_NAMESPACE, word)) for word in ("account", "group", "creator"))
"""There is one account, one group, and nobody knows who made a key: but clients want ids for them."""

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


class MlDsaOptions(msgspec.Struct):
    """The `mldsa` member."""

    param_set: str


class SobjectRequest(Sent, frozen=True):
    """What a caller may say of a key that is to be made; other members are passed over."""

    obj_type: str | None = None
    transient: bool | None = None
    name: Annotated[str, msgspec.Meta(max_length=4096)] | None = None
    description: str | None = None
    key_size: int | None = None
    elliptic_curve: str | None = None
    key_ops: list[KeyOperation] | None = None
    value: bytes | None = None
    enabled: bool | None = None
    custom_metadata: dict[str, str] | None = None
    mldsa: MlDsaOptions | None = None


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
    """The transient key that a signer is to make. Raises BadItem or Unsupported."""
    if (request.obj_type or "RSA").upper() not in ("RSA", "EC"):
        raise Unsupported("obj_type: transient keys are RSA or EC")
    key_type, variant, bits = key_to_make(request)
    if key_type not in TRANSIENT_TYPES:
        raise Unsupported("elliptic_curve: transient keys on Edwards curves are not served")
    operations: list[str] = [*request.key_ops] if request.key_ops is not None else ["SIGN", "VERIFY"]
    expires = int(time.time()) + TRANSIENT_SECONDS
    return Generate(0, owner, key_type, variant, bits, operations, expires)


def key_to_make(request: SobjectRequest) -> tuple[KeyType, str, int]:
    """Type, variant and bits of the key that is asked for. Raises BadItem or Unsupported."""
    match (request.obj_type or "").upper():
        case "RSA":
            if request.key_size not in RSA_BITS:
                raise BadItem(f"key_size: an RSA key has one of {', '.join(map(str, RSA_BITS))}")
            return KeyType.RSA, "", request.key_size
        case "EC":
            curve = CURVES.get(request.elliptic_curve or "")
            if curve is None:
                raise BadItem(f"elliptic_curve: one of {', '.join(CURVES)}")
            edwards = {"Ed25519": KeyType.ED25519, "Ed448": KeyType.ED448}
            return edwards.get(curve.name, KeyType.EC), curve.name, curve.bits
        case "MLDSA":
            wanted = request.mldsa.param_set if request.mldsa else ""
            if wanted not in ML_DSA_SIGNATURE_SIZES:
                raise BadItem(f"mldsa.param_set: one of {', '.join(ML_DSA_SIGNATURE_SIZES)}")
            return KeyType.ML_DSA, wanted, 0
        case "":
            raise BadItem("obj_type: missing")
        case _:
            raise Unsupported("obj_type: RSA, EC and MLDSA keys are made here")


class _RsaOptions(msgspec.Struct):
    key_size: int
    encryption_policy: list[dict[str, str]]
    signature_policy: list[dict[str, str]]


class Sobject(msgspec.Struct, omit_defaults=True):
    """A key as clients read it. Some insist on members that say little here (dsm-wire, section 3.4).

    Times are YYYYMMDDTHHMMSSZ. PKCS#11 keeps no time of creation, and one that moves would change OpenPGP fingerprints.
    """

    acct_id: str
    group_id: str
    creator: dict[str, str]
    created_at: str
    lastused_at: str
    enabled: bool
    key_ops: list[str]
    key_size: int
    never_exportable: bool
    obj_type: str
    origin: str
    public_only: bool
    state: str
    description: str
    custom_metadata: dict[str, str]
    deterministic_signatures: bool
    kid: str | None = None
    name: str | None = None
    pub_key: bytes | None = None
    elliptic_curve: str | None = None
    rsa: _RsaOptions | None = None
    mldsa: MlDsaOptions | None = None
    deactivation_date: str | None = None
    transient_key: bytes | None = None


_TYPES = {
    KeyType.RSA: "RSA",
    KeyType.EC: "EC",
    KeyType.ED25519: "EC",
    KeyType.ED448: "EC",
    KeyType.DSA: "DSA",
    KeyType.ML_DSA: "MLDSA",
    KeyType.HSS: "LMS",
    KeyType.XMSS: "XMSS",
    KeyType.XMSSMT: "XMSS",
}
"""By our key types, the contract's. What is not here has no name there, and is not listed."""

_ED25519_SIZE = 253
"""Bits, as DSM counts them."""


def type_of(key: KeyInfo) -> str | None:
    """The contract's type of the key, None where it has none."""
    return _TYPES.get(key.type)


def describe(key: KeyInfo, **more: Any) -> Sobject:
    """The key's sobject; `more` are members that it has besides, or instead. The contract must have its type."""
    obj_type = _TYPES[key.type]
    members: dict[str, Any] = {
        "acct_id": ACCOUNT_ID,
        "group_id": GROUP_ID,
        "creator": {"app": CREATOR_ID},
        "created_at": time_text(key.notes.created_at),
        "lastused_at": time_text(0),
        "enabled": key.notes.enabled,
        "key_ops": _operations(key),
        "key_size": _ED25519_SIZE if key.type is KeyType.ED25519 else key.bits,
        "never_exportable": True,
        "obj_type": obj_type,
        "origin": "FortanixHSM",
        "public_only": False,
        "state": "Active",
        "description": key.notes.description,
        "custom_metadata": key.notes.metadata,
        "deterministic_signatures": False,
        "kid": key.kid or None,
        "name": key.name,
        "pub_key": key.public_key,
        "elliptic_curve": key.variant if obj_type == "EC" else None,
        "rsa": _RsaOptions(key.bits, [], [{}]) if key.type is KeyType.RSA else None,
        "mldsa": MlDsaOptions(key.variant) if key.type is KeyType.ML_DSA and key.variant else None,
    }
    return Sobject(**(members | more))


def _operations(key: KeyInfo) -> list[str]:
    if key.notes.operations is not None:
        return key.notes.operations
    return ["SIGN", "VERIFY", "APPMANAGEABLE"] if key.may_sign else ["VERIFY", "APPMANAGEABLE"]


def describe_transient(blob: bytes, *, name: str | None = None, description: str | None = None) -> Sobject:
    """A transient key's sobject, from the blob alone. Raises BadItem for what is none."""
    key = Blob.read(blob).open()
    return describe(
        KeyInfo(b"", "", name, key.type, key.variant, key.bits, key.public_key),
        creator={"app": key.owner},
        created_at=time_text(key.expires - TRANSIENT_SECONDS),
        deactivation_date=time_text(key.expires),
        description=description or "",
        key_ops=key.operations,
        origin="Transient",
        transient_key=blob,
    )


def time_text(seconds: int) -> str:
    """A time as the contract writes it, from seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")
