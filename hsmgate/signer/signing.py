"""Do: sign items on a session, see that the signatures verify, and recover from errors by their class.

What a failure costs: the item, its session, at most this process (TokenLost, Distrusted), never the answer of another
item.
"""

import logging
import random
import time
from collections.abc import Callable
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
    Urgency,
)
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.items import Alone, Bell, Leave
from hsmgate.signer.jobs import Task
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

    def __init__(self, token: Token, bell: Bell) -> None:
        """bell: calls away to tasks that are more urgent."""
        self._token = token
        self._bell = bell
        self._work = WorkSession(token)
        self._operations = Operations(token)
        self._verified_under: KeyInfo | None = None
        self.make = Maker(token, self._work, self._replace_session).make

    def wait(self) -> None:
        """Wait until there is a session to sign with, or somebody must refuse what comes. Raises TokenLost."""
        self._work.wait()

    def run(self, task: Task, patience: int) -> Signed | Distrust | None:
        """Work on a task until nothing of it is left, or something urgent comes. The message's answer, if that was all.

        patience: for how many times as long as usual not to look for that. Raises TokenLost.
        """
        if not task.join():
            return None
        self._verified_under = None
        started = time.monotonic()
        try:
            self._work_on(task, patience)
            left = time.monotonic()
            last = task.leave(left - started, self._mechanism(task.part.operation))
            if last:
                self._finish(task)
                task.seconds += time.monotonic() - left
        except Distrusted as distrusted:
            return Distrust(task.job.message.id, task.number, distrusted.at)
        if not self._operations.forget_brought(self._work.session):
            log.warning("a session object could not be destroyed; it goes with its session")
            self._replace_session()
        return task.job.finish() if last else None

    def _work_on(self, task: Task, patience: int) -> None:
        """Sign or verify items. Raises TokenLost or Distrusted."""
        # The object of a key that a caller brought is made once, so there is no going away before the end.
        urgency = task.job.message.urgency
        stays = urgency is Urgency.EXPRESS or task.part.operation.source is not Source.TOKEN
        leave = None if stays else Leave(self._bell, urgency, task.part.at_once * patience)
        done_alone = 0
        while (alone := self._sign_together(task, leave)) is not None:
            task.results[alone.at] = self._alone(task, alone)
            done_alone += 1
            if leave is not None and done_alone >= leave.at_least and leave.now():
                return

    def _mechanism(self, operation: Operation) -> str:
        """The name of the mechanism that items were signed with, or that would have signed what was verified."""
        if operation.action is Action.SIGN:
            return self._operations.mechanism(operation)
        if self._verified_under is None:
            return ""
        return ckm_name(plan_to_verify(operation.params, self._verified_under).mechanism)

    def _sign_together(self, task: Task, leave: Leave | None) -> Alone | None:
        """Sign for as long as nothing special happens. An item that is to be done alone.

        Raises TokenLost.
        """
        operation, items = task.part.operation, task.items
        if operation.action is Action.VERIFY:
            return items.take()
        try:
            session = self._work.session or self._work.required()
            prepared = self._operations.prepare(session, operation)
        except ItemError:
            return items.take()
        except CryptokiError as error:
            alone = items.take()
            if alone is None:
                self._replace_session()  # as after every error, though others have all the items
                return None
            return Alone(alone.at, error)
        if prepared.allow is not None or not self._is_planned(task, prepared):
            return items.take()
        return items.sign(session, prepared.handle, prepared.mechanism, leave)

    def _is_planned(self, task: Task, prepared: Prepared) -> bool:
        """Whether the task's items are ready to be signed as prepared; the first to ask makes them so.

        With other handles, the key may have become another, of which others took no notice yet.
        """
        generation = self._operations.generation
        if task.plan is None:
            with task.planning:
                if task.plan is None:
                    plan: Plan = prepared.plan
                    to_sign = [_to_sign(plan, payload) for payload in task.part.payloads]
                    task.items.prepare(to_sign, plan.signature_size)
                    task.plan = prepared, generation
        return task.plan[1] == generation

    def _finish(self, task: Task) -> None:
        """Put the signatures of items that were signed together in their places. Raises TokenLost or Distrusted."""
        if task.plan is None:
            return
        prepared, results = task.plan[0], task.results
        finish = prepared.plan.finish
        for at, to_sign, raw in task.items.signed():
            try:
                signature = finish(raw)
                if prepared.verifier is not None and not _verifies(prepared, to_sign, signature):
                    signature = self._second_opinion(task.part.operation, task.part.payloads[at], at)
                results[at] = signature
            except ItemError as error:
                results[at] = Failure(error.status, str(error))

    def _alone(self, task: Task, alone: Alone) -> bytes | bool | Failure:
        """What becomes of an item by itself. Raises TokenLost or Distrusted."""
        operation, payload, at = task.part.operation, task.part.payloads[alone.at], alone.at
        try:
            if alone.error is None and time.monotonic() > task.job.message.deadline:
                raise DeadlinePassed("its time was up before it came to a session")
            if operation.action is Action.VERIFY:
                return self._verify(operation, payload, task.part.signatures[at])
            return self._sign(operation, payload, at, alone.error)
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
        raw = session.sign(prepared.handle, prepared.mechanism, to_sign, plan.signature_size, prepared.allow)
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


def _to_sign(plan: Plan, payload: bytes) -> bytes | None:
    """What C_Sign gets for it, None where it cannot be right."""
    try:
        return plan.prepare(payload)
    except BadItem:
        return None
