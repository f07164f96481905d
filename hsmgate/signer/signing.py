"""Do: sign items on a session, see that the signatures verify, and recover from errors by their class.

What a failure costs: the item, its session, at most this process (TokenLost, Distrusted), never the answer of another
item.
"""

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from hsmgate.domain.ckr import FATAL, RECONNECTED, ckr_name, classify
from hsmgate.domain.ckr import Failure as Class
from hsmgate.domain.mechanisms import Plan
from hsmgate.domain.verification import verify_item
from hsmgate.errors import DeadlinePassed, ItemError, NoSigner, NotPermitted, TokenFailed, Unsupported
from hsmgate.ipc.messages import (
    Action,
    DeriveSecret,
    Distrust,
    Failure,
    Generate,
    Made,
    Manage,
    Operation,
    Signed,
    Source,
)
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.jobs import Piece
from hsmgate.signer.management import manage
from hsmgate.signer.objects import refused
from hsmgate.signer.prepared import Operations, Prepared
from hsmgate.signer.token import Token, TokenLost
from hsmgate.signer.verifying import verify_on_token
from hsmgate.signer.work import WorkSession

log = logging.getLogger(__name__)

TRIES = {Class.KEY_GONE: 2, Class.SESSION_DEAD: 2, Class.UNKNOWN: 2, Class.BUSY: 4}
"""How often an item is tried where another time may help; elsewhere once."""

BUSY_PAUSE_SECONDS = 0.02
"""Before a busy token is tried again: so long, then four times that, and again."""

_BRINGING = ("C_CreateObject", "C_UnwrapKey")

_T = TypeVar("_T")


class Distrusted(Exception):
    """The token gave a signature that does not verify: nothing it gave this process since can be relied on."""


class Signing:
    """Signs with one session, in one thread."""

    def __init__(self, token: Token) -> None:
        self._token = token
        self._work = WorkSession(token)
        self._operations = Operations(token)

    def wait(self) -> None:
        """Wait until there is a session to sign with, or somebody must refuse what comes. Raises TokenLost."""
        self._work.wait()

    def run(self, piece: Piece) -> Signed | Distrust | None:
        """Put every item's signature or failure in its place. The answer to the message, if that was all of it.

        Raises TokenLost.
        """
        operation, payloads, signatures = piece.part.operation, piece.part.payloads, piece.part.signatures
        results = piece.results
        deadline = piece.job.message.deadline
        verifying = operation.action is Action.VERIFY
        clock = time.monotonic
        started = clock()
        for at in range(piece.start, piece.stop):
            try:
                if clock() > deadline:
                    raise DeadlinePassed("its time was up before it came to a session")
                if verifying:
                    results[at] = self._verify(operation, payloads[at], signatures[at])
                else:
                    results[at] = self._sign(operation, payloads[at])
            except ItemError as error:
                results[at] = Failure(error.status, str(error))
            except Distrusted:
                return Distrust(piece.job.message.id, piece.number, at)
        if not self._operations.forget_brought(self._work.session):
            log.warning("a session object could not be destroyed; it goes with its session")
            self._replace_session()
        return piece.job.finish(piece, clock() - started)

    def make(self, order: Generate | DeriveSecret | Manage) -> Made:
        """A new transient key, a secret, or a change of the token's keys. Raises TokenLost."""
        try:
            return Made(order.id, self._make(order))
        except ItemError as error:
            self._replace_session()
            return Made(order.id, Failure(error.status, str(error)))
        except CryptokiError as error:
            if classify(error.ckr) in FATAL:
                raise TokenLost(str(error)) from error
            self._replace_session()
            failed = _item_error(error)
            return Made(order.id, Failure(failed.status, str(failed)))

    def _make(self, order: Generate | DeriveSecret | Manage) -> bytes:
        session = self._work.required()
        if isinstance(order, Generate):
            return self._token.transient.make(session, order)
        if isinstance(order, Manage):
            manage(session, self._token.keys, order)
            return b""
        return self._token.transient.derive(session, order.purpose, create=order.create)

    def _verify(self, operation: Operation, payload: bytes, signature: bytes) -> bool:
        """Whether the signature verifies, by the public key alone where that can be. Raises ItemError or TokenLost."""

        def attempt() -> bool:
            session = self._work.required()
            key = self._operations.public_part(session, operation)
            verified = verify_item(operation.params, key, payload, signature)
            if verified is None:
                verified = verify_on_token(session, operation.params, key, payload, signature)
            return verified

        try:
            return attempt()
        except CryptokiError as error:
            return self._persist(operation, error, attempt)

    def _sign(self, operation: Operation, payload: bytes) -> bytes:
        """The signature, as the caller gets it. Raises ItemError, TokenLost or Distrusted."""
        try:
            prepared, to_sign, signature = self._attempt(operation, payload)
        except CryptokiError as error:
            prepared, to_sign, signature = self._persist(operation, error, lambda: self._attempt(operation, payload))
        if prepared.verifier is not None and not _verifies(prepared, to_sign, signature):
            log.error("a signature of the token does not verify under its key (%s)", operation.source)
            if operation.source is not Source.INLINE:
                raise Distrusted
            # A caller may have brought a key that is wrong in itself, which says nothing against the token.
            self._replace_session()
            prepared, to_sign, signature = self._attempt_for_the_last_time(operation, payload)
            if not _verifies(prepared, to_sign, signature):
                raise TokenFailed("the token's signature does not verify under this key")
        return signature

    def _attempt(self, operation: Operation, payload: bytes) -> tuple[Prepared, bytes, bytes]:
        """How it was done, what was signed, and the signature. Raises ItemError, CryptokiError or TokenLost."""
        session = self._work.session or self._work.required()
        prepared = self._operations.prepare(session, operation)
        plan: Plan = prepared.plan
        to_sign = plan.prepare(payload)
        raw = session.sign_ready(prepared.key, prepared.mechanism, to_sign, plan.signature_size)
        return prepared, to_sign, plan.finish(raw)

    def _attempt_for_the_last_time(self, operation: Operation, payload: bytes) -> tuple[Prepared, bytes, bytes]:
        try:
            return self._attempt(operation, payload)
        except CryptokiError as error:
            self._recover(operation, error, max(TRIES.values()))
            raise TokenFailed(str(error)) from error

    def _persist(self, operation: Operation, error: CryptokiError, attempt: Callable[[], _T]) -> _T:
        """Try again after a failure for as long as that may help. Raises ItemError or TokenLost."""
        tries = 1
        while True:
            self._recover(operation, error, tries)
            try:
                return attempt()
            except CryptokiError as again:
                error = again
            tries += 1

    def _recover(self, operation: Operation, error: CryptokiError, tries: int) -> None:
        """Put right what the error says is wrong, and return where it is worth another try.

        Raises ItemError where it is not, or TokenLost where only a fresh process can help.
        """
        failure = classify(error.ckr)
        if failure in FATAL:
            raise TokenLost(str(error)) from error
        generation = self._operations.generation
        self._replace_session()
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
            raise _item_error(error) from error
        if failure is Class.BUSY:
            time.sleep(BUSY_PAUSE_SECONDS * 4 ** (tries - 1) * random.uniform(0.5, 1.5))  # noqa: S311 - no secret

    def _is_once(self, operation: Operation) -> bool:
        """Whether the key is used up by signing, so that nothing which may have been signed is signed again."""
        return self._operations.prepare(self._work.required(), operation).plan.once

    def _replace_session(self) -> None:
        self._operations.forget_brought()
        self._work.replace()


def _verifies(prepared: Prepared, to_sign: bytes, signature: bytes) -> bool:
    """Whether a signature may leave. What nobody here can verify may."""
    if prepared.verifier is None:
        return True
    verdict = prepared.verifier.verifies(prepared.plan, to_sign, signature)
    if verdict is None or (verdict and not prepared.always):
        prepared.verifier = None
    return verdict is not False


def _item_error(error: CryptokiError) -> ItemError:
    name = ckr_name(error.ckr)
    match classify(error.ckr):
        case Class.POLICY:
            return NotPermitted(f"key: the token does not allow it ({name})")
        case Class.UNSUPPORTED | Class.REFUSED:
            return Unsupported(f"the token refuses this combination ({name})")
        case Class.BUSY:
            return NoSigner(f"the token is busy ({name})")
        case _:
            return TokenFailed(f"the token failed ({name})")
