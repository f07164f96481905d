"""Reads answers as the strictest clients do, those in Rust (`sdkms` 0.5.0) and Go (v0.4.2).

The rules are those of the contract (dsm-wire.md, sections 1.8, 2.2, 3.4 and 5). What such a client could not read, or
would read as something else, is Undecodable.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from cryptography.hazmat.primitives.serialization import load_der_public_key

T = TypeVar("T")
Json = dict[str, Any]
Read = Callable[[Any], T]

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{8}T\d{6}Z")
SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
APPROVAL = "This operation requires approval"
"""A client that reads this goes and asks for an approval."""

OBJ_TYPES = ("AES", "DES", "DES3", "RSA", "EC", "OPAQUE", "HMAC", "SECRET", "CERTIFICATE")
CURVES = ("NistP192", "NistP224", "NistP256", "NistP384", "NistP521", "SecP192K1", "SecP224K1", "SecP256K1")
OTHER_CURVES = ("X25519", "Ed25519", "X448", "Gost256A")
KEY_OPS = (
    *("SIGN", "VERIFY", "ENCRYPT", "DECRYPT", "WRAPKEY", "UNWRAPKEY", "DERIVEKEY", "MACGENERATE", "MACVERIFY"),
    *("EXPORT", "APPMANAGEABLE", "HIGHVOLUME", "AGREEKEY"),
)
STATES = ("PreActive", "Active", "Deactivated", "Compromised")
ORIGINS = ("FortanixHSM", "Transient", "External")


class Undecodable(Exception):
    """A strict client cannot read this."""


@dataclass(frozen=True)
class Failed:
    """A batch item's error."""

    status: int
    text: str


@dataclass(frozen=True)
class Answer:
    """An HTTP answer. The names of its headers are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


# Calls


def body(answer: Answer, read: Read[T]) -> T:
    """What a call returned that succeeded."""
    _demand(200 <= answer.status < 300, f"status {answer.status}: {answer.body[:200]!r}")
    return read(_json(answer.body))


def empty(answer: Answer) -> None:
    """204 with nothing in it: Rust reads `()`, and `{}` is something else."""
    _demand(answer.status == 204 and not answer.body, f"not an empty 204: {answer.status} {answer.body!r}")


def error(answer: Answer) -> Failed:
    """A call's error: its body is the message, as it is."""
    _demand(answer.status >= 400, f"status {answer.status} is no error")
    _demand(answer.headers.get("content-type", "").startswith("text/plain"), "an error that is not plain text")
    return Failed(answer.status, _message(answer.body.decode()))


# Members


def text(value: Any) -> str:
    _demand(isinstance(value, str), f"not a string: {value!r}")
    return str(value)


def truth(value: Any) -> bool:
    _demand(isinstance(value, bool), f"not true or false: {value!r}")
    return bool(value)


def unsigned(bits: int) -> Read[int]:
    def read(value: Any) -> int:
        _demand(type(value) is int and 0 <= value < 1 << bits, f"not an unsigned number of {bits} bits: {value!r}")
        return int(value)

    return read


def uuid(value: Any) -> str:
    _demand(isinstance(value, str) and UUID.fullmatch(value), f"not a UUID: {value!r}")
    return str(value)


def time(value: Any) -> datetime:
    _demand(isinstance(value, str) and TIME.fullmatch(value), f"not YYYYMMDDTHHMMSSZ: {value!r}")
    try:
        return datetime.strptime(value, "%Y%m%dT%H%M%S%z")
    except ValueError as wrong:
        raise Undecodable(str(wrong)) from None


def octets(value: Any) -> bytes:
    """The standard alphabet with padding, without line breaks, and canonical: Go and Rust encode it anew."""
    try:
        decoded = base64.b64decode(text(value), validate=True)
    except (binascii.Error, ValueError) as wrong:
        raise Undecodable(f"base64: {wrong}") from None
    _demand(base64.b64encode(decoded).decode() == value, f"base64 that is not canonical: {value!r}")
    return decoded


def one_of(*names: str) -> Read[str]:
    def read(value: Any) -> str:
        _demand(value in names, f"not one of {', '.join(names)}: {value!r}")
        return str(value)

    return read


def array(read: Read[T]) -> Read[list[T]]:
    def read_array(value: Any) -> list[T]:
        _demand(isinstance(value, list), f"not an array: {value!r}")
        return [read(element) for element in value]

    return read_array


def record(required: Mapping[str, Read[Any]], optional: Mapping[str, Read[Any]]) -> Read[Json]:
    """An object. Optional members may be null; others than these are passed over."""

    def read(value: Any) -> Json:
        _demand(isinstance(value, dict), f"not an object: {value!r}")
        for name, member in required.items():
            _demand(name in value, f"{name} is missing")
            _in(name, member, value[name])
        for name, member in optional.items():
            if value.get(name) is not None:
                _in(name, member, value[name])
        return dict(value)

    return read


json_object = record({}, {})

# Bodies


signature = record({"signature": octets}, {"kid": uuid})
verdict = record({"result": truth}, {"kid": uuid})
digest = record({"digest": octets}, {})


def batch(read: Read[T], size: int) -> Read[list[T | Failed]]:
    """As many items as were asked for, each with a body or an error.

    Rust takes what has a body for a success, Go what has no error, and sdkms-cli what has the status 200.
    """

    def read_item(value: Any) -> T | Failed:
        item = record({"status": unsigned(16)}, {})(value)
        success, failure = item.get("body") is not None, item.get("error") is not None
        _demand(success != failure, f"both or none of body and error: {item!r}")
        _demand(success == (item["status"] == 200), f"a status that says otherwise than the body: {item!r}")
        return read(item["body"]) if success else Failed(item["status"], _message(text(item["error"])))

    def read_batch(value: Any) -> list[T | Failed]:
        items = array(read_item)(value)
        _demand(len(items) == size, f"{len(items)} items for {size}")
        return items

    return read_batch


def session(value: Any) -> Json:
    return record(
        {
            "token_type": one_of("Bearer"),
            "expires_in": unsigned(31),  # u32 in Rust, int32 in Go
            "access_token": lambda token: _demand(re.fullmatch(r"[\w.~+/-]+=*", text(token)), "no header value"),
            "entity_id": uuid,
        },
        {"allowed_mfa_methods": array(text)},
    )(value)


def version(value: Any) -> Json:
    """sq-dsm wants three numbers, 4.2.0 or more."""
    read = record(
        {"version": text, "api_version": text, "server_mode": one_of("Software", "Sgx")}, {"fips_level": unsigned(8)}
    )(value)
    numbers = SEMVER.fullmatch(read["version"])
    _demand(numbers and tuple(map(int, numbers.groups())) >= (4, 2, 0), f"not a version from 4.2.0 on: {read!r}")
    return read


def creator(value: Any) -> str:
    _demand(isinstance(value, dict) and len(value) == 1 and value.keys() <= {"app", "user", "plugin"}, f"{value!r}")
    return uuid(*value.values())


_sobject = record(
    {
        "acct_id": uuid,
        "created_at": time,
        "creator": creator,
        "enabled": truth,
        "key_ops": array(one_of(*KEY_OPS)),
        "key_size": unsigned(32),  # dsm-perf-tool panics without
        "lastused_at": time,
        "obj_type": one_of(*OBJ_TYPES),
        "origin": one_of(*ORIGINS),
        "public_only": truth,
    },
    {
        "activation_date": time,
        "custom_metadata": lambda members: [text(value) for value in json_object(members).values()],
        "deactivation_date": time,
        "description": text,
        "deterministic_signatures": truth,
        "elliptic_curve": one_of(*CURVES, *OTHER_CURVES),
        "group_id": uuid,
        "kid": uuid,
        "name": text,
        "never_exportable": truth,
        "pub_key": lambda der: _public_key(octets(der)),
        "rsa": record(
            {"encryption_policy": array(json_object), "signature_policy": array(json_object)},
            {"key_size": unsigned(32)},
        ),
        "state": one_of(*STATES),
        "transient_key": octets,
    },
)


def sobject(value: Any) -> Json:
    read = _sobject(value)
    _demand("links" not in read, "links: sq-dsm fails on its null members")
    _demand(read["obj_type"] != "EC" or read.get("elliptic_curve"), "elliptic_curve: tmkms wants it")
    _demand((read.get("kid") is None) != (read.get("transient_key") is None), "both or none of kid and transient_key")
    return read


sobjects = array(sobject)


def page(value: Any) -> list[Json]:
    """What a list is with `with_metadata=true`; Go alone asks for it."""
    metadata = record({"total_count": unsigned(63), "filtered_count": unsigned(63)}, {})
    read = record({"metadata": metadata, "items": sobjects}, {})(value)
    return list(read["items"])


def _json(content: bytes) -> Any:
    def unique(members: Sequence[tuple[str, Any]]) -> Json:
        made = dict(members)
        _demand(len(made) == len(members), f"a member twice: {members!r}")  # Rust refuses it
        return made

    def no_constant(name: str) -> None:
        raise Undecodable(f"{name} is not JSON")

    try:
        return json.loads(content.decode(), object_pairs_hook=unique, parse_constant=no_constant)
    except ValueError as wrong:
        raise Undecodable(f"not JSON: {wrong}: {content[:200]!r}") from None


def _message(message: str) -> str:
    _demand(message.strip() and message != APPROVAL and not message.startswith("{"), f"not a message: {message!r}")
    return message


def _public_key(der: bytes) -> object:
    try:
        return load_der_public_key(der)
    except ValueError as wrong:
        raise Undecodable(f"not a SubjectPublicKeyInfo: {wrong}") from None


def _in(name: str, read: Read[Any], value: Any) -> None:
    try:
        read(value)
    except Undecodable as wrong:
        raise Undecodable(f"{name}: {wrong}") from None


def _demand(holds: object, message: str) -> None:
    if not holds:
        raise Undecodable(message)
