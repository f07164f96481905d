"""What signers know together of their PIN: which tokens have refused it.

It is kept for as long as the gateway runs, so that a token which is configured anew, or again, is not asked again.
"""

import hashlib
import os
from dataclasses import dataclass

from hsmgate.secret import Secret

KEPT_AT_MOST = 1000
"""PINs that were refused and are in no use; the oldest goes first."""


@dataclass(slots=True)
class _Shared:
    """A file in memory, as a descriptor, and how many have it."""

    file: int
    users: int = 0


class Pins:
    """A file in memory for each PIN in use, and what was in those that are in no use any more."""

    def __init__(self) -> None:
        self._salt = os.urandom(16)
        self._shared: dict[bytes, _Shared] = {}
        self._kept: dict[bytes, bytes] = {}

    def digest(self, pin: Secret) -> bytes:
        """What stands for the PIN."""
        return hashlib.blake2b(pin.reveal().encode(), key=self._salt).digest()

    def open(self, digest: bytes) -> int:
        """The file of that PIN, as a descriptor; `close` it."""
        shared = self._shared.get(digest)
        if shared is None:
            shared = self._shared[digest] = _Shared(self._make(digest))
        shared.users += 1
        return shared.file

    def close(self, digest: bytes) -> None:
        """One user less."""
        shared = self._shared[digest]
        shared.users -= 1
        if shared.users:
            return
        del self._shared[digest]
        refusals = os.pread(shared.file, os.fstat(shared.file).st_size, 0)
        os.close(shared.file)
        if refusals:
            self._keep(digest, refusals)

    def _make(self, digest: bytes) -> int:
        file = os.memfd_create("hsmgate-pin")
        os.write(file, self._kept.pop(digest, b""))
        return file

    def _keep(self, digest: bytes, refusals: bytes) -> None:
        self._kept[digest] = refusals
        if len(self._kept) > KEPT_AT_MOST:
            del self._kept[next(iter(self._kept))]


class PinFile:
    """The file of the signers of a token; those with another PIN have another."""

    def __init__(self, pins: Pins | None = None) -> None:
        """pins: those of the gateway; by default its own."""
        self._pins = pins or Pins()
        self._digest = b""

    def of(self, pin: Secret) -> int:
        """The file of the signers with that PIN, as a descriptor."""
        digest = self._pins.digest(pin)
        file = self._pins.open(digest)
        self.close()
        self._digest = digest
        return file

    def close(self) -> None:
        """Nobody will be started any more."""
        if self._digest:
            self._pins.close(self._digest)
            self._digest = b""
