"""Where the clients find the gateway, and the keys that they find there."""

import base64
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes


@dataclass(frozen=True)
class Key:
    """A key of the demo, as the token itself shows it."""

    kid: str
    public: PublicKeyTypes


@dataclass(frozen=True)
class Https:
    """A gateway over https."""

    url: str
    api_key: str = field(repr=False)
    ca: Path
    keys: dict[str, Key]

    @classmethod
    def of(cls, url: str, api_key: str, ca: Path, keys: Iterable[tuple[str, str, PublicKeyTypes]]) -> Self:
        # The demo's CKA_IDs have 16 bytes, so they are the kids (docs/api.md).
        by_name = {label: Key(str(uuid.UUID(hex=ckaid)), public) for label, ckaid, public in keys}
        return cls(url, api_key, ca, by_name)

    @property
    def app_id(self) -> str:
        return base64.b64decode(self.api_key).decode().partition(":")[0]
