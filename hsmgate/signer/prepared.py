"""Operations with all that can be decided before the first item: plan, handle, packed mechanism, and how to verify."""

from collections.abc import Callable
from dataclasses import dataclass

from hsmgate.domain.ckm import ckm_name
from hsmgate.domain.mechanisms import plan
from hsmgate.domain.model import KeyInfo, KeyType
from hsmgate.domain.plans import Plan
from hsmgate.domain.verification import Verifier
from hsmgate.errors import ItemError
from hsmgate.ipc.messages import Operation, Source
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.inline import create_inline, public_part
from hsmgate.signer.sessions import Session
from hsmgate.signer.structs import Mechanism, mechanism
from hsmgate.signer.token import Token

PREPARED_AT_MOST = 4096
"""Operations remembered per thread. A caller chooses them (`context` is one's own), so there must be an end."""


@dataclass(slots=True)
class Prepared:
    """An operation, ready to sign any item.

    name: of the mechanism, which is as C takes it. handle: of the key.
    verifier: what the next signature is verified by before it leaves; None where that is not needed, or nobody can.
    always: whether each signature is verified, not only the first.
    allow: what is to be done once a signature has begun, where the key wants the PIN then.
    """

    plan: Plan
    name: str
    handle: int
    mechanism: Mechanism
    verifier: Verifier | None
    always: bool
    allow: Callable[[Session], None] | None

    def lets_out(self, to_sign: bytes, signature: bytes) -> bool:
        """Whether a signature may leave. What nobody here can verify may."""
        if self.verifier is None:
            return True
        verdict = self.verifier.verifies(self.plan, to_sign, signature)
        if verdict is None or (verdict and not self.always):
            self.verifier = None
        return verdict is not False


class Operations:
    """The operations that one thread has prepared.

    Those with the token's own keys last as long as a generation of handles; keys that callers bring, and their objects,
    last for a message.
    """

    def __init__(self, token: Token) -> None:
        self._token = token
        self._prepared: dict[Operation, Prepared] = {}
        self._last: tuple[Operation, Prepared] | None = None
        self._brought: dict[Operation, Prepared | ItemError] = {}
        self.generation = token.generation

    def prepare(self, session: Session, operation: Operation) -> Prepared:
        """The operation, ready. Raises ItemError, CryptokiError or TokenLost."""
        if self.generation != self._token.generation or len(self._prepared) >= PREPARED_AT_MOST:
            self._prepared.clear()
            self._last = None
            self.generation = self._token.generation
        if self._last is not None and self._last[0] is operation:
            return self._last[1]
        if operation.source is not Source.TOKEN:
            return self._prepare_brought(session, operation)
        prepared = self._prepared.get(operation)
        if prepared is None:
            key, handle = self._token.find_key(operation.key)
            prepared = self._prepared[operation] = self._decide(operation, key, handle)
        self._last = operation, prepared
        return prepared

    def mechanism(self, operation: Operation) -> str:
        """The name of the mechanism that the operation is prepared to sign with, empty where it is not prepared."""
        if self._last is not None and self._last[0] is operation:
            return self._last[1].name
        prepared = self._prepared.get(operation) or self._brought.get(operation)
        return prepared.name if isinstance(prepared, Prepared) else ""

    def public_part(self, session: Session, operation: Operation) -> KeyInfo:
        """The operation's key, to verify with. Raises ItemError, CryptokiError or TokenLost."""
        match operation.source:
            case Source.TOKEN:
                return self._token.find_key(operation.key)[0]
            case Source.INLINE:
                return public_part(operation.key, operation.obj_type)
            case Source.TRANSIENT:
                return self._token.transient.public_part(session, operation.key, operation.owner)

    def forget_brought(self, session: Session | None = None) -> bool:
        """Destroy the objects of keys that callers brought, in the session that has them, unless it is gone.

        False where one would not be destroyed: it will go with its session.
        """
        brought = [prepared.handle for prepared in self._brought.values() if isinstance(prepared, Prepared)]
        self._brought.clear()
        return session is None or all(_destroy(session, handle) for handle in brought)

    def _prepare_brought(self, session: Session, operation: Operation) -> Prepared:
        """Make the caller's key an object, once in a message. Raises ItemError or CryptokiError."""
        prepared = self._brought.get(operation)
        if prepared is None:
            try:
                prepared = self._bring(session, operation)
            except ItemError as error:
                prepared = error
            self._brought[operation] = prepared
        if isinstance(prepared, ItemError):
            raise prepared
        return prepared

    def _bring(self, session: Session, operation: Operation) -> Prepared:
        if operation.source is Source.TRANSIENT:
            key, handle = self._token.transient.unwrap(session, operation.key, operation.owner)
        else:
            key, handle = create_inline(session, operation.key, operation.obj_type)
        try:
            return self._decide(operation, key, handle)
        except ItemError:
            session.destroy(handle)
            raise

    def _decide(self, operation: Operation, key: KeyInfo, handle: int) -> Prepared:
        decided = plan(operation.params, key, self._token.capabilities)
        packed = mechanism(decided.mechanism, decided.parameter)
        always = self._token.verify_always or key.type is KeyType.RSA  # to verify RSA costs next to nothing
        allow = self._token.pin.allow if key.always_authenticate else None
        name, verifier = ckm_name(decided.mechanism), Verifier.of(key.public_key)
        return Prepared(decided, name, handle, packed, verifier, always, allow)


def _destroy(session: Session, handle: int) -> bool:
    try:
        session.destroy(handle)
    except CryptokiError:
        return False
    return True
