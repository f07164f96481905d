"""Do: sign or verify one item, see that the signature verifies, and try again where that may help."""

import logging

from hsmgate.domain.model import KeyInfo
from hsmgate.domain.plans import Plan
from hsmgate.domain.verification import verify_item
from hsmgate.errors import TokenFailed
from hsmgate.ipc.messages import Operation, Source
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.prepared import Operations, Prepared
from hsmgate.signer.recovery import TRIES, Recovery
from hsmgate.signer.verifying import verify_on_token
from hsmgate.signer.work import WorkSession

log = logging.getLogger(__name__)


class Distrusted(Exception):
    """The token gave a signature that does not verify: nothing it gave this process since can be relied on.

    at: the item's place among the payloads of its part.
    """

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class Attempts:
    """Does items one by one, with one thread's session and operations.

    verified_under: the key of the last item that was verified; None where none was, or that was set back.
    """

    def __init__(self, work: WorkSession, operations: Operations, recovery: Recovery) -> None:
        self._work = work
        self._operations = operations
        self._recovery = recovery
        self.verified_under: KeyInfo | None = None

    def verify(self, operation: Operation, payload: bytes, signature: bytes) -> bool:
        """Whether the signature verifies, by the public key alone where that can be. Raises ItemError or TokenLost."""

        def attempt() -> bool:
            session = self._work.required()
            key = self._operations.public_part(session, operation)
            verified = verify_item(operation.params, key, payload, signature)
            if verified is None:
                verified = verify_on_token(session, operation.params, key, payload, signature)
            self.verified_under = key
            return verified

        return self._recovery.persist(operation, attempt, None)

    def sign(self, operation: Operation, payload: bytes, at: int, error: CryptokiError | None) -> bytes:
        """The signature, as the caller gets it. Raises ItemError, TokenLost or Distrusted."""
        prepared, to_sign, signature = self._recovery.persist(
            operation, lambda: self._attempt(operation, payload), error
        )
        if prepared.lets_out(to_sign, signature):
            return signature
        return self.second_opinion(operation, payload, at)

    def second_opinion(self, operation: Operation, payload: bytes, at: int) -> bytes:
        """Sign again what got a signature that does not verify. Raises ItemError, TokenLost or Distrusted."""
        log.error("a signature of the token does not verify under its key (%s)", operation.source)
        if operation.source is not Source.INLINE:
            raise Distrusted(at)
        # A caller may have brought a key that is wrong in itself, which says nothing against the token.
        self._recovery.replace_session()
        prepared, to_sign, signature = self._attempt_for_the_last_time(operation, payload)
        if not prepared.lets_out(to_sign, signature):
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
            self._recovery.recover(operation, error, max(TRIES.values()))
            raise TokenFailed(str(error)) from error
