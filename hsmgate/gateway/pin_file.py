"""What the signers of a token know together of their PIN."""

import hashlib
import os

from hsmgate.secret import Secret


class PinFile:
    """A file in memory that the signers of a token share: whether their PIN was refused where a key wants it.

    Those with another PIN get another file.
    """

    def __init__(self) -> None:
        self._salt = os.urandom(16)
        self._digest = b""
        self._file = -1

    def of(self, pin: Secret) -> int:
        """The file of the signers with that PIN, as a descriptor."""
        digest = hashlib.blake2b(pin.reveal().encode(), key=self._salt).digest()
        if digest != self._digest:
            self.close()
            self._digest, self._file = digest, os.memfd_create("hsmgate-pin")
        return self._file

    def close(self) -> None:
        """Nobody will be started any more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
