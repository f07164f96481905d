"""Do: sign the items of tasks on a session, together as far as that goes, and alone where something is the matter."""

import logging
import time
from collections.abc import Iterator

from hsmgate.domain.ckm import ckm_name
from hsmgate.domain.plans import Plan
from hsmgate.domain.verification import plan_to_verify
from hsmgate.errors import BadItem, DeadlinePassed, ItemError
from hsmgate.ipc.messages import (
    Action,
    Distrust,
    Failure,
    Operation,
    Signed,
    Source,
    Urgency,
)
from hsmgate.signer.attempts import Attempts, Distrusted
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.items import Alone, Bell, Leave, SignedTogether
from hsmgate.signer.jobs import Task
from hsmgate.signer.making import Maker
from hsmgate.signer.prepared import Operations, Prepared
from hsmgate.signer.recovery import Recovery
from hsmgate.signer.token import Token
from hsmgate.signer.work import WorkSession

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.0005
"""How often a thread that finishes signatures looks for something more urgent. To verify one of RSA takes 0.03 ms."""


class Signing:
    """Signs with one session, in one thread."""

    def __init__(self, token: Token, bell: Bell) -> None:
        """bell: calls away to tasks that are more urgent."""
        self._bell = bell
        self._work = WorkSession(token)
        self._operations = Operations(token)
        self._recovery = Recovery(token, self._work, self._operations)
        self._attempts = Attempts(self._work, self._operations, self._recovery)
        self.make = Maker(token, self._work, self._recovery.replace_session).make

    def wait(self) -> None:
        """Wait until there is a session to sign with, or somebody must refuse what comes. Raises TokenLost."""
        self._work.wait()

    def run(self, task: Task, patience: int) -> Signed | Distrust | None:
        """Work on a task until nothing of it is left, or something urgent comes. The message's answer, if that was all.

        patience: for how many times as long as usual not to look for that. Raises TokenLost.
        """
        leave = self._leave(task, patience)
        unfinished = task.take_unfinished()
        if unfinished is None and not task.join():
            return None
        try:
            if unfinished is None:
                unfinished = self._work_on(task, leave)
            done = unfinished is not None and self._finish(task, unfinished, leave)
        except Distrusted as distrusted:
            return Distrust(task.job.message.id, task.number, distrusted.at)
        if not self._operations.forget_brought(self._work.session):
            log.warning("a session object could not be destroyed; it goes with its session")
            self._recovery.replace_session()
        return task.job.finish() if done else None

    def _leave(self, task: Task, patience: int) -> Leave | None:
        """When to leave a task before it is done, None for never.

        The object of a key that a caller brought is made once, so there is no going away from it.
        """
        message, part = task.job.message, task.part
        if message.urgency is Urgency.EXPRESS or part.operation.source is not Source.TOKEN:
            return None
        return Leave(self._bell, message.urgency, part.at_once * patience, gives_way=message.gives_way)

    def _work_on(self, task: Task, leave: Leave | None) -> Iterator[SignedTogether] | None:
        """Sign or verify items. Whoever is the last to leave, when all are done, gets what there is to finish.

        Raises TokenLost or Distrusted.
        """
        self._attempts.verified_under = None
        started = time.monotonic()
        done_alone = 0
        while (alone := self._sign_together(task, leave)) is not None:
            task.results[alone.at] = self._alone(task, alone)
            done_alone += 1
            if leave is not None and done_alone >= leave.at_least and leave.now():
                break
        last = task.leave(time.monotonic() - started, self._mechanism(task.part.operation))
        return iter(task.items.signed()) if last else None

    def _mechanism(self, operation: Operation) -> str:
        """The name of the mechanism that items were signed with, or that would have signed what was verified."""
        if operation.action is Action.SIGN:
            return self._operations.mechanism(operation)
        verified_under = self._attempts.verified_under
        if verified_under is None:
            return ""
        return ckm_name(plan_to_verify(operation.params, verified_under).mechanism)

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
                self._recovery.replace_session()  # as after every error, though others have all the items
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

    def _finish(self, task: Task, unfinished: Iterator[SignedTogether], leave: Leave | None) -> bool:
        """Put signatures of items that were signed together in their places; False if it had to leave before the end.

        Raises TokenLost or Distrusted.
        """
        if task.plan is None:  # then nothing was signed together
            return True
        prepared, results = task.plan[0], task.results
        finish = prepared.plan.finish
        started = time.monotonic()
        look_at = started + LOOK_SECONDS
        for at, to_sign, raw in unfinished:
            try:
                signature = finish(raw)
                if prepared.verifier is not None and not prepared.lets_out(to_sign, signature):
                    signature = self._attempts.second_opinion(task.part.operation, task.part.payloads[at], at)
                results[at] = signature
            except ItemError as error:
                results[at] = Failure(error.status, str(error))
            if leave is not None and (now := time.monotonic()) > look_at:
                if leave.now():
                    task.put_off(unfinished, now - started)
                    return False
                look_at = now + LOOK_SECONDS
        task.seconds += time.monotonic() - started
        return True

    def _alone(self, task: Task, alone: Alone) -> bytes | bool | Failure:
        """What becomes of an item by itself. Raises TokenLost or Distrusted."""
        operation, payload, at = task.part.operation, task.part.payloads[alone.at], alone.at
        try:
            if alone.error is None and time.monotonic() > task.job.message.deadline:
                raise DeadlinePassed("its time was up before it came to a session")
            if operation.action is Action.VERIFY:
                return self._attempts.verify(operation, payload, task.part.signatures[at])
            return self._attempts.sign(operation, payload, at, alone.error)
        except ItemError as failed:
            return Failure(failed.status, str(failed))


def _to_sign(plan: Plan, payload: bytes) -> bytes | None:
    """What C_Sign gets for it, None where it cannot be right."""
    try:
        return plan.prepare(payload)
    except BadItem:
        return None
