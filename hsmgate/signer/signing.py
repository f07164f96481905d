"""Do: sign items on a session, and replace the session when it saw an error.

What a failure costs: the item, its session, at most this process (TokenLost), never the answer of another item.
"""

import logging
import time
from dataclasses import dataclass

from hsmgate.domain.ckr import Failure as Class
from hsmgate.domain.ckr import ckr_name, classify
from hsmgate.domain.mechanisms import Plan, plan
from hsmgate.domain.model import KeyInfo
from hsmgate.domain.verification import Verifier, verify_item
from hsmgate.errors import ItemError, NoSigner, NoSuchKey, NotPermitted, TokenFailed, Unsupported
from hsmgate.ipc.messages import (
    Action,
    DeriveSecret,
    Failure,
    Generate,
    Made,
    Manage,
    Operation,
    Sign,
    Signed,
    Source,
)
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.inline import create_inline, public_part
from hsmgate.signer.management import manage
from hsmgate.signer.objects import refused
from hsmgate.signer.structs import Mechanism, mechanism
from hsmgate.signer.token import Token, TokenLost
from hsmgate.signer.verifying import verify_on_token

log = logging.getLogger(__name__)

PREPARED_AT_MOST = 4096
"""Operations remembered per thread. A caller chooses them (`context` is one's own), so there must be an end."""


@dataclass(slots=True)
class Prepared:
    """An operation with all that could be decided beforehand.

    verifier: for a key that a caller brought, until its first signature was found right.
    """

    plan: Plan
    handle: int
    mechanism: Mechanism
    verifier: Verifier | None = None


class Signing:
    """Signs with one session, in one thread."""

    def __init__(self, token: Token) -> None:
        """Open the session. Raises TokenLost."""
        self._token = token
        self._session = token.work_session()
        self._generation = token.generation
        self._prepared: dict[Operation, Prepared] = {}
        # Keys that callers brought, and their objects: they last for a message.
        self._brought: dict[Operation, Prepared | ItemError] = {}

    def run(self, message: Sign) -> Signed:
        """Every item's signature or failure, in order. Raises TokenLost."""
        operations = message.operations
        seconds = [0.0] * len(operations)
        results: list[bytes | bool | Failure] = []
        clock = time.perf_counter
        started = clock()
        for index, payload, signature in message.items:
            try:
                operation = operations[index]
                if operation.action is Action.VERIFY:
                    results.append(self._verify(operation, payload, signature))
                else:
                    results.append(self._sign(operation, payload))
            except ItemError as error:
                results.append(Failure(error.status, str(error)))
            ended = clock()
            seconds[index] += ended - started
            started = ended
        self._forget_brought()
        return Signed(message.id, results, seconds)

    def make(self, order: Generate | DeriveSecret | Manage) -> Made:
        """A new transient key, a secret, or a change of the token's keys. Raises TokenLost."""
        transient = self._token.transient
        try:
            if isinstance(order, Generate):
                return Made(order.id, transient.make(self._session, order))
            if isinstance(order, Manage):
                manage(self._session, self._token.keys, order)
                return Made(order.id, b"")
            return Made(order.id, transient.derive(self._session, order.purpose, create=order.create))
        except ItemError as error:
            self._replace_session()
            return Made(order.id, Failure(error.status, str(error)))
        except CryptokiError as error:
            self._replace_session()
            failed = _item_error(classify(error.ckr), error)
            return Made(order.id, Failure(failed.status, str(failed)))

    def _verify(self, operation: Operation, payload: bytes, signature: bytes) -> bool:
        """Whether the signature verifies, by the public key alone where that can be. Raises ItemError."""
        try:
            key = self._public_part(operation)
            verified = verify_item(operation.params, key, payload, signature)
            if verified is None:
                verified = verify_on_token(self._session, operation.params, key, payload, signature)
        except CryptokiError as error:
            self._replace_session()
            raise _item_error(classify(error.ckr), error) from error
        return verified

    def _public_part(self, operation: Operation) -> KeyInfo:
        match operation.source:
            case Source.TOKEN:
                return self._find(operation.key)[0]
            case Source.INLINE:
                return public_part(operation.key, operation.obj_type)
            case Source.TRANSIENT:
                return self._token.transient.public_part(self._session, operation.key, operation.owner)

    def _sign(self, operation: Operation, payload: bytes) -> bytes:
        prepared = self._prepare(operation)
        to_sign = prepared.plan.prepare(payload)
        try:
            raw = self._call(prepared, to_sign)
        except CryptokiError as error:
            raw = self._recover(operation, to_sign, error)
        signature = prepared.plan.finish(raw)
        if prepared.verifier is not None:
            if prepared.verifier.verifies(prepared.plan, to_sign, signature) is False:
                raise TokenFailed("the token's signature does not verify under this key")
            prepared.verifier = None
        return signature

    def _call(self, prepared: Prepared, to_sign: bytes) -> bytes:
        return self._session.sign(prepared.handle, prepared.mechanism, to_sign, prepared.plan.signature_size)

    def _prepare(self, operation: Operation) -> Prepared:
        """The operation's plan and handle. Raises ItemError."""
        if operation.source is not Source.TOKEN:
            return self._prepare_brought(operation)
        if self._generation != self._token.generation or len(self._prepared) >= PREPARED_AT_MOST:
            self._prepared.clear()
            self._generation = self._token.generation
        prepared = self._prepared.get(operation)
        if prepared is None:
            key, handle = self._find(operation.key)
            prepared = self._prepared[operation] = self._decide(operation, key, handle)
        return prepared

    def _prepare_brought(self, operation: Operation) -> Prepared:
        """Make the caller's key an object, once in a message. Raises ItemError."""
        prepared = self._brought.get(operation)
        if prepared is None:
            try:
                prepared = self._bring(operation)
            except ItemError as error:
                prepared = error
            self._brought[operation] = prepared
        if isinstance(prepared, ItemError):
            raise prepared
        return prepared

    def _bring(self, operation: Operation) -> Prepared:
        try:
            if operation.source is Source.TRANSIENT:
                key, handle = self._token.transient.unwrap(self._session, operation.key, operation.owner)
            else:
                key, handle = create_inline(self._session, operation.key, operation.obj_type)
        except CryptokiError as error:
            self._replace_session()
            raise refused(f"key.{operation.source}", error) from error
        try:
            prepared = self._decide(operation, key, handle)
        except ItemError:
            self._destroy(handle)
            raise
        prepared.verifier = Verifier.of(key.public_key)
        return prepared

    def _decide(self, operation: Operation, key: KeyInfo, handle: int) -> Prepared:
        decided = plan(operation.params, key, self._token.capabilities)
        return Prepared(decided, handle, mechanism(decided.mechanism, decided.parameter))

    def _find(self, ref: bytes) -> tuple[KeyInfo, int]:
        """A key on the token and its handle. Raises NoSuchKey."""
        if ref not in self._token.keys.handles:
            self._read_keys()
        table = self._token.keys
        handle = table.handles.get(ref)
        if handle is None:
            raise NoSuchKey
        return next(key for key in table.keys if key.ref == ref), handle

    def _recover(self, operation: Operation, to_sign: bytes, error: CryptokiError) -> bytes:
        """Sign after a failure where that may help, on a fresh session in any case. Raises ItemError or TokenLost."""
        self._replace_session()
        match classify(error.ckr):
            case Class.KEY_GONE if operation.source is Source.TOKEN:
                self._read_keys()
            case Class.KEY_GONE | Class.SESSION_DEAD:
                pass
            case Class.LOGIN_LOST | Class.TOKEN_GONE | Class.LIBRARY_DEAD | Class.PIN:
                raise TokenLost(str(error))
            case other:
                raise _item_error(other, error)
        prepared = self._prepare(operation)
        if prepared.plan.once:
            raise TokenFailed(f"the token failed ({ckr_name(error.ckr)}); a one-time key is not tried again")
        try:
            return self._call(prepared, to_sign)
        except CryptokiError as again:
            self._replace_session()
            raise _item_error(classify(again.ckr), again) from again

    def _replace_session(self) -> None:
        """Take a fresh session: one that saw an error may be in the middle of an operation for ever. Raises TokenLost.

        With the old one go the objects that were made in it; opening the new one finds out whether the login is gone.
        """
        self._session.close()
        self._brought.clear()
        self._session = self._token.work_session()

    def _forget_brought(self) -> None:
        """Destroy the objects of keys that callers brought."""
        brought = [prepared.handle for prepared in self._brought.values() if isinstance(prepared, Prepared)]
        self._brought.clear()
        if not all(map(self._destroy, brought)):
            log.warning("a session object could not be destroyed; it went with its session")

    def _destroy(self, handle: int) -> bool:
        """Destroy a session object, if need be with its session. Raises TokenLost."""
        try:
            self._session.destroy(handle)
        except CryptokiError:
            self._replace_session()
            return False
        return True

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
