"""Make what is asked of a token besides signatures: transient keys, secrets, changes of its keys, canaries."""

import contextlib
from collections.abc import Callable

from hsmgate.domain.ckr import FATAL, RECONNECTED, classify
from hsmgate.domain.ckr import Failure as Class
from hsmgate.errors import ItemError
from hsmgate.ipc.messages import Failure, Generate, Made, Manage, Order, Prove
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.management import manage, refusal, undo
from hsmgate.signer.objects import item_error
from hsmgate.signer.token import Token, TokenLost
from hsmgate.signer.work import WorkSession

TRIES = 3
"""How often a change of the keys is tried, where the token says that something failed or is gone, or dislikes it.

SoftHSM does when two processes write at the same time. A failed change is undone, so trying again is safe.
"""

_WORTH_ANOTHER_TRY = (Class.UNKNOWN, Class.KEY_GONE, Class.REFUSED)


class Maker:
    """Fulfils orders in one session.

    replace_session: called after every error; raises TokenLost.
    """

    def __init__(self, token: Token, work: WorkSession, replace_session: Callable[[], None]) -> None:
        self._token = token
        self._work = work
        self._replace_session = replace_session

    def make(self, order: Order) -> Made:
        """A new transient key, a secret, a change of the token's keys, or a canary. Raises TokenLost."""
        tries = TRIES if isinstance(order, Manage) else 1
        while True:
            tries -= 1
            try:
                return Made(order.id, self._make(order))
            except ItemError as error:
                self._replace_session()
                if isinstance(order, Manage):
                    self._undo(order)
                failed = error
            except CryptokiError as error:
                if classify(error.ckr) in FATAL:
                    raise TokenLost(str(error)) from error
                generation = self._token.generation
                self._replace_session()
                if error.ckr in RECONNECTED:
                    self._token.distrust_handles(generation)
                if isinstance(order, Manage):
                    self._undo(order)
                    if tries and classify(error.ckr) in _WORTH_ANOTHER_TRY:
                        self._token.read_keys_if_old()
                        continue
                    failed = refusal(order, error)
                else:
                    failed = item_error(error)
            return Made(order.id, Failure(failed.status, str(failed)))

    def _make(self, order: Order) -> bytes:
        if isinstance(order, Prove):
            self._prove()
            return b""
        session = self._work.required()
        if isinstance(order, Generate):
            return self._token.transient.make(session, order)
        if isinstance(order, Manage):
            manage(session, self._token.find_key, order)
            return b""
        return self._token.transient.derive(session, order.purpose, create=order.create)

    def _prove(self) -> None:
        """Sign with the canary. Raises NoSigner where the token is busy, or TokenLost."""
        generation = self._token.generation
        try:
            well = self._token.canary.tries(self._work.required())
        except CryptokiError as error:
            if classify(error.ckr) is Class.BUSY:
                raise item_error(error) from error
            if error.ckr not in RECONNECTED:
                raise TokenLost(f"{error}, from the canary") from error
            # Somebody reconnected underneath while nothing was signed.
            self._replace_session()
            self._token.distrust_handles(generation)
            well = self._token.canary.sings(self._work.required())
        if not well:
            raise TokenLost("the token cannot sign any more: its canary does not verify")

    def _undo(self, order: Manage) -> None:
        """As well as it goes: what cannot be removed now stays, under a kid that nobody was told."""
        with contextlib.suppress(CryptokiError, ItemError):
            undo(self._work.required(), order)
