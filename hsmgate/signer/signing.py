"""Do: sign items on a session, and replace the session when it saw an error.

What a failure costs: the item, its session, at most this process (TokenLost), never the answer of another item.
"""

import time
from dataclasses import dataclass

from hsmgate.domain.ckr import Failure as Class
from hsmgate.domain.ckr import ckr_name, classify
from hsmgate.domain.mechanisms import Plan, plan
from hsmgate.errors import ItemError, NoSigner, NoSuchKey, NotPermitted, TokenFailed, Unsupported
from hsmgate.ipc.messages import Failure, Operation, Sign, Signed
from hsmgate.signer.cryptoki import CryptokiError, Mechanism, mechanism
from hsmgate.signer.token import Token, TokenLost

PREPARED_AT_MOST = 4096
"""Operations remembered per thread. A caller chooses them (`context` is one's own), so there must be an end."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An operation with all that could be decided beforehand."""

    plan: Plan
    handle: int
    mechanism: Mechanism


class Signing:
    """Signs with one session, in one thread."""

    def __init__(self, token: Token) -> None:
        """Open the session. Raises TokenLost."""
        self._token = token
        self._session = token.work_session()
        self._prepared: dict[Operation, Prepared] = {}
        self._generation = token.generation

    def run(self, message: Sign) -> Signed:
        """Every item's signature or failure, in order. Raises TokenLost."""
        operations = message.operations
        seconds = [0.0] * len(operations)
        results: list[bytes | Failure] = []
        clock = time.perf_counter
        started = clock()
        for index, payload in message.items:
            try:
                results.append(self._sign(operations[index], payload))
            except ItemError as error:
                results.append(Failure(error.status, str(error)))
            ended = clock()
            seconds[index] += ended - started
            started = ended
        return Signed(message.id, results, seconds)

    def _sign(self, operation: Operation, payload: bytes) -> bytes:
        prepared = self._prepare(operation)
        to_sign = prepared.plan.prepare(payload)
        try:
            signature = self._call(prepared, to_sign)
        except CryptokiError as error:
            signature = self._recover(operation, to_sign, error)
        return prepared.plan.finish(signature)

    def _call(self, prepared: Prepared, to_sign: bytes) -> bytes:
        return self._session.sign(prepared.handle, prepared.mechanism, to_sign, prepared.plan.signature_size)

    def _prepare(self, operation: Operation) -> Prepared:
        """The operation's plan and handle. Raises ItemError."""
        if self._generation != self._token.generation or len(self._prepared) >= PREPARED_AT_MOST:
            self._prepared.clear()
            self._generation = self._token.generation
        prepared = self._prepared.get(operation)
        if prepared is None:
            prepared = self._prepared[operation] = self._decide(operation)
        return prepared

    def _decide(self, operation: Operation) -> Prepared:
        handle = self._token.keys.handles.get(operation.key)
        if handle is None:
            self._read_keys()
            handle = self._token.keys.handles.get(operation.key)
            if handle is None:
                raise NoSuchKey
        key = next(key for key in self._token.keys.keys if key.ref == operation.key)
        decided = plan(operation.params, key, self._token.capabilities)
        return Prepared(decided, handle, mechanism(decided.mechanism, decided.parameter))

    def _recover(self, operation: Operation, to_sign: bytes, error: CryptokiError) -> bytes:
        """Sign after a failure where that may help, on a fresh session in any case. Raises ItemError or TokenLost.

        A session that saw an error may be in the middle of an operation for ever, so it is not used again.
        """
        self._session.close()
        self._session = self._token.work_session()  # which finds out whether the login is gone
        match classify(error.ckr):
            case Class.KEY_GONE:
                self._read_keys()
            case Class.SESSION_DEAD:
                pass
            case Class.LOGIN_LOST | Class.TOKEN_GONE | Class.LIBRARY_DEAD | Class.PIN:
                raise TokenLost(str(error))
            case other:
                raise _item_error(other, error)
        try:
            return self._call(self._prepare(operation), to_sign)
        except CryptokiError as again:
            self._session.close()
            self._session = self._token.work_session()
            raise _item_error(classify(again.ckr), again) from again

    def _read_keys(self) -> None:
        try:
            self._token.read_keys_if_old()
        except CryptokiError as error:
            raise TokenLost(f"the keys cannot be read: {error}") from error


def _item_error(failure: Class, error: CryptokiError) -> ItemError:
    name = ckr_name(error.ckr)
    match failure:
        case Class.KEY_GONE:
            return NoSuchKey()
        case Class.POLICY:
            return NotPermitted(f"key: the token does not allow it ({name})")
        case Class.UNSUPPORTED | Class.REFUSED:
            return Unsupported(f"the token refuses this combination ({name})")
        case Class.BUSY:
            return NoSigner(f"the token is busy ({name})")
        case _:
            return TokenFailed(f"the token failed ({name})")
