"""The PIN: a token that has refused it is not asked again, by whichever signer.

Each wrong PIN brings a token nearer to locking itself. All signers that have the same PIN share a file in memory: in
it is which tokens have refused that PIN, at the login, or for a key that wants it at every signature
(CKA_ALWAYS_AUTHENTICATE). Such a key can come to the token at any time, so the PIN is kept. A PIN that such a key
refused may still do for the login.
"""

import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hsmgate.domain.ckr import Failure, ckr_name, classify
from hsmgate.domain.uri import TokenInfo
from hsmgate.errors import PinRefused
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.sessions import Session

_TOKEN = 32
_RECORD = _TOKEN + 4
"""Bytes: which token it is and what for, and the return value that it refused the PIN with."""


class Refusals:
    """Whether the token has refused the PIN for that purpose, as all signers know that have both."""

    def __init__(self, shared: int, token: TokenInfo, purpose: str) -> None:
        """shared: the file of the signers with this PIN."""
        self._shared = shared
        words = (purpose, token.manufacturer, token.model, token.serial, token.label)
        self._token = hashlib.sha256("\0".join(words).encode("utf-8", "replace")).digest()

    def ckr(self) -> int | None:
        """What it was refused with, None as long as it was not."""
        records = os.pread(self._shared, os.fstat(self._shared).st_size, 0)
        for at in range(0, len(records), _RECORD):
            if records[at : at + _TOKEN] == self._token:
                return int.from_bytes(records[at + _TOKEN : at + _RECORD], "big")
        return None

    def note(self, ckr: int) -> None:
        """It was refused with this."""
        os.write(self._shared, self._token + ckr.to_bytes(_RECORD - _TOKEN, "big"))  # all share the place to write at

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other signer of the token is at this meanwhile; such a lock ends with the process that has it."""
        place = int.from_bytes(self._token[:7], "big")
        fcntl.lockf(self._shared, fcntl.LOCK_EX, 1, place)
        try:
            yield
        finally:
            fcntl.lockf(self._shared, fcntl.LOCK_UN, 1, place)


def login(session: Session, pin: str, shared: int, token: TokenInfo) -> None:
    """Log in, unless the token has refused the PIN before. Raises PinRefused or CryptokiError."""
    refusals = Refusals(shared, token, "login")
    with refusals.alone():
        before = refusals.ckr()
        if before is not None:
            raise PinRefused(f"the token has refused this PIN before ({ckr_name(before)}); it is not tried again")
        try:
            session.login(pin)
        except CryptokiError as error:
            if classify(error.ckr) is not Failure.PIN:
                raise
            refusals.note(error.ckr)
            raise PinRefused(f"the token refused the PIN ({ckr_name(error.ckr)}); it was tried once") from error


class SigningPin:
    """The PIN, for keys that want it at every signature. Threads may use it together."""

    def __init__(self, pin: str, shared: int, token: TokenInfo) -> None:
        self._pin = bytearray(pin.encode())
        self._refusals = Refusals(shared, token, "signature")
        self._trying = threading.Lock()

    def allow(self, session: Session) -> None:
        """Allow the signature that a session has begun.

        Raises CryptokiError: of C_Login, once the PIN was refused to anybody.
        """
        with self._trying, self._refusals.alone():
            refused = self._refusals.ckr()
            if refused is not None:
                raise CryptokiError("C_Login", refused)
            try:
                session.login_to_sign(self._pin)
            except CryptokiError as error:
                if classify(error.ckr) is Failure.PIN:
                    self._refusals.note(error.ckr)
                raise
