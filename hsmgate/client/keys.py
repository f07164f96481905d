"""Keys on a gateway: listed, shown, made, imported, deleted (docs/api.md)."""

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hsmgate.client.client import Client
from hsmgate.domain.curves import CURVES
from hsmgate.errors import ClientError

KEYS = "/crypto/v1/keys"
PAGE = 1000
"""Keys that a gateway lists at a time."""

_KID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class _MlDsa(msgspec.Struct, frozen=True):
    param_set: str


class _Members(msgspec.Struct, frozen=True):
    """What of a sobject is needed here."""

    kid: str
    obj_type: str
    name: str | None = None
    key_size: int = 0
    elliptic_curve: str | None = None
    mldsa: _MlDsa | None = None
    enabled: bool = True
    pub_key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A key on a gateway.

    kind: as people write it, like `RSA 2048`, `NistP256`, `Ed25519` or `MlDsa65`.
    hashed: whether it signs digests, so that what is signed may stay where it is; the others sign whole messages.
    public_key: DER SubjectPublicKeyInfo, None where the token shows none.
    sobject: all that the gateway says of it, as its JSON.
    """

    kid: str
    name: str | None
    kind: str
    hashed: bool
    enabled: bool
    public_key: bytes | None = field(repr=False)
    sobject: dict[str, Any] = field(repr=False)


NEW_KEYS: dict[str, dict[str, Any]] = {
    **{f"rsa{bits}": {"obj_type": "RSA", "key_size": bits} for bits in (2048, 3072, 4096, 6144, 8192)},
    **{name.lower(): {"obj_type": "EC", "elliptic_curve": name} for name in CURVES},
    **{f"p{bits}": {"obj_type": "EC", "elliptic_curve": f"NistP{bits}"} for bits in (224, 256, 384, 521)},
    **{f"mldsa{n}": {"obj_type": "MLDSA", "mldsa": {"param_set": f"MlDsa{n}"}} for n in (44, 65, 87)},
}
"""What can be made, by its name on the command line."""


async def list_keys(client: Client) -> list[Key]:
    """All keys that the caller may use, by kid. Raises ClientError."""
    found: list[Key] = []
    start = ""
    while True:
        params = {"sort": "kid:asc", "limit": str(PAGE)} | ({"start": start} if start else {})
        page = [_key(client, one) for one in await client.ask(list[dict[str, Any]], "GET", KEYS, params=params)]
        found += page
        if len(page) < PAGE or page[-1].kid <= start:
            return found
        start = page[-1].kid


async def find_key(client: Client, name_or_kid: str) -> Key:
    """The key of that kid or, of what is no UUID, that name. Raises ClientError."""
    if _KID.fullmatch(name_or_kid):
        return _key(client, await client.ask(dict[str, Any], "GET", f"{KEYS}/{name_or_kid.lower()}"))
    return _key(client, await client.ask(dict[str, Any], "POST", f"{KEYS}/info", {"name": name_or_kid}))


async def generate_key(client: Client, name: str, kind: str) -> Key:
    """A new key of a kind of NEW_KEYS. Raises ClientError."""
    return _key(client, await client.ask(dict[str, Any], "POST", KEYS, {"name": name, **NEW_KEYS[kind]}))


async def import_key(client: Client, name: str, obj_type: str, value: bytes) -> Key:
    """A key that was made elsewhere, on the token. value: the private key, DER. Raises ClientError."""
    wanted = {"name": name, "obj_type": obj_type, "value": value}
    return _key(client, await client.ask(dict[str, Any], "PUT", KEYS, wanted))


async def delete_key(client: Client, kid: str) -> None:
    """The key is gone. Raises ClientError."""
    await client.call("DELETE", f"{KEYS}/{kid}")


_EDWARDS = ("Ed25519", "Ed448")


def _key(client: Client, sobject: dict[str, Any]) -> Key:
    try:
        said = msgspec.convert(sobject, _Members)
    except msgspec.ValidationError:
        raise ClientError(f"{client.address}: what it says of a key makes no sense") from None
    variant = said.elliptic_curve or (said.mldsa.param_set if said.mldsa else None)
    return Key(
        kid=said.kid,
        name=said.name,
        kind=variant or f"{said.obj_type} {said.key_size or ''}".rstrip(),
        hashed=said.obj_type in ("RSA", "EC", "DSA") and said.elliptic_curve not in _EDWARDS,
        enabled=said.enabled,
        public_key=said.pub_key,
        sobject=sobject,
    )
