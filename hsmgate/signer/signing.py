"""Do: sign items on a session, see that the signatures verify, and recover from errors by their class.

What a failure costs: the item, its session, at most this process (TokenLost, Distrusted), never the answer of another
item.
"""

import contextlib
import logging
import random
import time
from collections.abc import Callable, Sized
from typing import TypeVar

from hsmgate.domain.ckm import ckm_name
from hsmgate.domain.ckr import FATAL, RECONNECTED, ckr_name, classify
from hsmgate.domain.ckr import Failure as Class
from hsmgate.domain.model import KeyInfo
from hsmgate.domain.plans import Plan
from hsmgate.domain.verification import plan_to_verify, verify_item
from hsmgate.errors import BadItem, DeadlinePassed, ItemError, NoSigner, TokenFailed
from hsmgate.ipc.messages import (
    Action,
    Distrust,
    Failure,
    Operation,
    Signed,
    Source,
)
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.jobs import Piece
from hsmgate.signer.making import Maker
from hsmgate.signer.objects import item_error, refused
from hsmgate.signer.prepared import Operations, Prepared
from hsmgate.signer.token import Token, TokenLost
from hsmgate.signer.verifying import verify_on_token
from hsmgate.signer.work import WorkSession

log = logging.getLogger(__name__)

TRIES = {Class.KEY_GONE: 2, Class.SESSION_DEAD: 2, Class.UNKNOWN: 2, Class.BUSY: 4}
"""How often an item is tried where another time may help; elsewhere once."""

BUSY_PAUSE_SECONDS = 0.02
"""Before a busy token is tried again: so long, then four times that, and again."""

ROW = 4
"""Items are prepared together: so many times those that are done before a look at what is urgent."""

_BRINGING = ("C_CreateObject", "C_UnwrapKey")

_T = TypeVar("_T")


class Distrusted(Exception):
    """The token gave a signature that does not verify: nothing it gave this process since can be relied on.

    at: the item's place among the payloads of its part.
    """

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class Signing:
    """Signs with one session, in one thread."""

    def __init__(self, token: Token, urgent: Sized) -> None:
        """urgent: where what is more urgent than an ordinary piece waits."""
        self._token = token
        self._urgent = urgent
        self._work = WorkSession(token)
        self._operations = Operations(token)
        self._verified_under: KeyInfo | None = None
        self.make = Maker(token, self._work, self._replace_session).make

    def wait(self) -> None:
        """Wait until there is a session to sign with, or somebody must refuse what comes. Raises TokenLost."""
        self._work.wait()

    def run(self, piece: Piece) -> Signed | Distrust | None:
        """Put every item's signature or failure in its place. The answer to the message, if that was all of it.

        Where something urgent waits, some of the piece may be left to be done later. Raises TokenLost.
        """
        self._verified_under = None
        started = time.monotonic()
        # The object of a key that a caller brought is made once, so the piece is done in one go.
        patient = piece.job.message.express or piece.part.operation.source is not Source.TOKEN
        urgent: Sized = () if patient else self._urgent
        enough = piece.start + piece.part.at_once
        try:
            while not (piece.done or (urgent and piece.start >= enough)):
                row = min(piece.stop, piece.start + ROW * piece.part.at_once)
                piece.start, error = self._sign_in_a_row(piece, row, urgent)
                if piece.start < row and (error is not None or not urgent or piece.start < enough):
                    piece.results[piece.start] = self._alone(piece, piece.start, error)
                    piece.start += 1
        except Distrusted as distrusted:
            return Distrust(piece.job.message.id, piece.number, distrusted.at)
        mechanism = self._mechanism(piece.part.operation)
        if not self._operations.forget_brought(self._work.session):
            log.warning("a session object could not be destroyed; it goes with its session")
            self._replace_session()
        return piece.job.note(piece, time.monotonic() - started, mechanism)

    def _mechanism(self, operation: Operation) -> str:
        """The name of the mechanism that items were signed with, or that would have signed what was verified."""
        if operation.action is Action.SIGN:
            return self._operations.mechanism(operation)
        if self._verified_under is None:
            return ""
        return ckm_name(plan_to_verify(operation.params, self._verified_under).mechanism)

    def _sign_in_a_row(self, piece: Piece, stop: int, urgent: Sized) -> tuple[int, CryptokiError | None]:
        """Sign up to the item at `stop` for as long as nothing special happens, and nothing urgent comes.

        Where it ended: the first item that is to be looked at alone, and what the token had against it, if it was that.
        Raises TokenLost or Distrusted.
        """
        operation, start = piece.part.operation, piece.start
        if operation.action is Action.VERIFY or time.monotonic() > piece.job.message.deadline:
            return start, None
        try:
            session = self._work.session or self._work.required()
            prepared = self._operations.prepare(session, operation)
        except ItemError:
            return start, None
        except CryptokiError as error:
            return start, error
        plan: Plan = prepared.plan
        to_sign = _prepared_payloads(plan, piece.part.payloads[start:stop])
        raw: list[bytes] = []
        failed: CryptokiError | None = None
        try:
            session.sign_all(
                *(prepared.key, prepared.mechanism, to_sign, plan.signature_size, raw),
                allow=prepared.allow,
                urgent=urgent,
                at_least=piece.part.at_once,
            )
        except CryptokiError as error:
            failed = error
        for at, (signed, made) in enumerate(zip(to_sign, raw, strict=False), start):
            try:
                signature = plan.finish(made)
                if prepared.verifier is not None and not _verifies(prepared, signed, signature):
                    signature = self._second_opinion(operation, piece.part.payloads[at], at)
                piece.results[at] = signature
            except ItemError as error:
                piece.results[at] = Failure(error.status, str(error))
        return start + len(raw), failed

    def _alone(self, piece: Piece, at: int, error: CryptokiError | None) -> bytes | bool | Failure:
        """What becomes of an item by itself, after `error` if it was tried before. Raises TokenLost or Distrusted."""
        operation, payload = piece.part.operation, piece.part.payloads[at]
        try:
            if error is None and time.monotonic() > piece.job.message.deadline:
                raise DeadlinePassed("its time was up before it came to a session")
            if operation.action is Action.VERIFY:
                return self._verify(operation, payload, piece.part.signatures[at])
            return self._sign(operation, payload, at, error)
        except ItemError as failed:
            return Failure(failed.status, str(failed))

    def _verify(self, operation: Operation, payload: bytes, signature: bytes) -> bool:
        """Whether the signature verifies, by the public key alone where that can be. Raises ItemError or TokenLost."""

        def attempt() -> bool:
            session = self._work.required()
            key = self._operations.public_part(session, operation)
            verified = verify_item(operation.params, key, payload, signature)
            if verified is None:
                verified = verify_on_token(session, operation.params, key, payload, signature)
            self._verified_under = key
            return verified

        return self._persist(operation, attempt, None)

    def _sign(self, operation: Operation, payload: bytes, at: int, error: CryptokiError | None) -> bytes:
        """The signature, as the caller gets it. Raises ItemError, TokenLost or Distrusted."""
        prepared, to_sign, signature = self._persist(operation, lambda: self._attempt(operation, payload), error)
        if _verifies(prepared, to_sign, signature):
            return signature
        return self._second_opinion(operation, payload, at)

    def _second_opinion(self, operation: Operation, payload: bytes, at: int) -> bytes:
        """Sign again what got a signature that does not verify. Raises ItemError, TokenLost or Distrusted."""
        log.error("a signature of the token does not verify under its key (%s)", operation.source)
        if operation.source is not Source.INLINE:
            raise Distrusted(at)
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
        raw = session.sign_ready(prepared.key, prepared.mechanism, to_sign, plan.signature_size, prepared.allow)
        return prepared, to_sign, plan.finish(raw)

    def _attempt_for_the_last_time(self, operation: Operation, payload: bytes) -> tuple[Prepared, bytes, bytes]:
        try:
            return self._attempt(operation, payload)
        except CryptokiError as error:
            self._recover(operation, error, max(TRIES.values()))
            raise TokenFailed(str(error)) from error

    def _persist(self, operation: Operation, attempt: Callable[[], _T], error: CryptokiError | None) -> _T:
        """Try, and try again after a failure, `error` among them, for as long as that may help.

        Raises ItemError or TokenLost.
        """
        tries = 0
        while True:
            if error is not None:
                tries += 1
                self._recover(operation, error, tries)
            try:
                return attempt()
            except CryptokiError as failed:
                error = failed

    def _recover(self, operation: Operation, error: CryptokiError, tries: int) -> None:
        """Put right what the error says is wrong, and return where it is worth another try.

        Raises ItemError where it is not, or TokenLost where only a fresh process can help.
        """
        failure = classify(error.ckr)
        if failure is Class.PIN and error.function == "C_Login":
            # It was refused for this signature. The process is logged in all the same, and other keys sign.
            self._replace_session()
            text = f"key: it wants the PIN, which was refused ({ckr_name(error.ckr)}) and is not tried again"
            raise NoSigner(text) from error
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
            raise item_error(error) from error
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


def _prepared_payloads(plan: Plan, payloads: list[bytes]) -> list[bytes]:
    """What C_Sign gets for them, up to the first that cannot be right."""
    ready: list[bytes] = []
    with contextlib.suppress(BadItem):
        for payload in payloads:
            ready.append(plan.prepare(payload))  # noqa: PERF401 - those before it count
    return ready
