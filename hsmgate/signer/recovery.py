"""What helps against what the token says of an operation, by the class of its error, and how often it is tried.

What a failure costs: the item, its session, at most this process (TokenLost), never the answer of another item.
"""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from hsmgate.domain.ckr import FATAL, RECONNECTED, ckr_name, classify
from hsmgate.domain.ckr import Failure as Class
from hsmgate.errors import NoSigner
from hsmgate.ipc.messages import Operation
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.objects import item_error, refused
from hsmgate.signer.prepared import Operations
from hsmgate.signer.token import Token, TokenLost
from hsmgate.signer.work import WorkSession

TRIES = {Class.KEY_GONE: 2, Class.SESSION_DEAD: 2, Class.UNKNOWN: 2, Class.BUSY: 4}
"""How often an item is tried where another time may help; elsewhere once."""

BUSY_PAUSE_SECONDS = 0.02
"""Before a busy token is tried again: so long, then four times that, and again."""

_BRINGING = ("C_CreateObject", "C_UnwrapKey")

_T = TypeVar("_T")


class Recovery:
    """Tries again, with one thread's session and operations."""

    def __init__(self, token: Token, work: WorkSession, operations: Operations) -> None:
        self._token = token
        self._work = work
        self._operations = operations

    def persist(self, operation: Operation, attempt: Callable[[], _T], error: CryptokiError | None) -> _T:
        """Try, and try again after a failure, `error` among them, for as long as that may help.

        Raises ItemError or TokenLost.
        """
        tries = 0
        while True:
            if error is not None:
                tries += 1
                self.recover(operation, error, tries)
            try:
                return attempt()
            except CryptokiError as failed:
                error = failed

    def recover(self, operation: Operation, error: CryptokiError, tries: int) -> None:
        """Put right what the error says is wrong, and return where it is worth another try.

        Raises ItemError where it is not, or TokenLost where only a fresh process can help.
        """
        failure = classify(error.ckr)
        if failure is Class.PIN and error.function == "C_Login":
            # It was refused for this signature. The process is logged in all the same, and other keys sign.
            self.replace_session()
            text = f"key: it wants the PIN, which was refused ({ckr_name(error.ckr)}) and is not tried again"
            raise NoSigner(text) from error
        if failure in FATAL:
            raise TokenLost(str(error)) from error
        generation = self._operations.generation
        self.replace_session()
        if failure is Class.UNKNOWN and not self._token.canary.sings(self._work.required()):
            raise TokenLost(f"{error}, and the token cannot sign at all") from error
        if error.ckr in RECONNECTED:
            self._token.distrust_handles(generation)
        elif failure is not Class.BUSY:
            self._token.read_keys_if_old()
        # The handle may have come to mean another key, which a refusal is then about.
        worth = 2 if generation != self._token.generation else TRIES.get(failure, 1)
        if tries >= worth or (error.function == "C_Sign" and self._is_once(operation)):
            if error.function in _BRINGING:
                raise refused(f"key.{operation.source}", error) from error
            raise item_error(error) from error
        if failure is Class.BUSY:
            time.sleep(BUSY_PAUSE_SECONDS * 4 ** (tries - 1) * random.uniform(0.5, 1.5))  # noqa: S311 - no secret

    def replace_session(self) -> None:
        """Take a fresh session, as after every error. Raises TokenLost."""
        self._operations.forget_brought()
        self._work.replace()

    def _is_once(self, operation: Operation) -> bool:
        """Whether the key is used up by signing, so that nothing which may have been signed is signed again."""
        return self._operations.prepare(self._work.required(), operation).plan.once
