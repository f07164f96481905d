"""The PIN, for keys that want it at every signature (CKA_ALWAYS_AUTHENTICATE).

Such a key can come to the token at any time, so the PIN is kept. Each wrong one brings the token nearer to locking
itself, and the signers of a token all have the same: they try it one after the other, and none of them after it was
refused to one.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hsmgate.domain.ckr import Failure, classify
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.sessions import Session

_REFUSED = 4
"""Bytes: the return value that the PIN was refused with."""


class SigningPin:
    """The PIN, and whether it may still be tried. Threads may use it together, and so do the signers of a token."""

    def __init__(self, pin: str, shared: int) -> None:
        """shared: a file of the signers with this PIN, empty until it is refused."""
        self._pin = bytearray(pin.encode())
        self._shared = shared
        self._trying = threading.Lock()

    def allow(self, session: Session) -> None:
        """Allow the signature that a session has begun.

        Raises CryptokiError: of C_Login, once the PIN was refused to anybody.
        """
        with self._alone():
            refused = os.pread(self._shared, _REFUSED, 0)
            if refused:
                raise CryptokiError("C_Login", int.from_bytes(refused, "big"))
            try:
                session.login_to_sign(self._pin)
            except CryptokiError as error:
                if classify(error.ckr) is Failure.PIN:
                    os.pwrite(self._shared, error.ckr.to_bytes(_REFUSED, "big"), 0)
                raise

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other thread meanwhile, nor another signer: such a lock ends with the process that has it."""
        with self._trying:
            fcntl.lockf(self._shared, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._shared, fcntl.LOCK_UN)
