"""The canary: tells a token that has failed from one that dislikes a request, where the return value says neither.

CKR_GENERAL_ERROR is what SoftHSM answers to a bad request and what other tokens answer when they are broken. If it led
to a restart, any caller could cause one; if it did not, a broken token would go on failing.
"""

import threading
import time

from hsmgate.domain.capabilities import Capabilities
from hsmgate.domain.ckr import Failure, classify
from hsmgate.domain.inline import parse_inline
from hsmgate.domain.mechanisms import plan
from hsmgate.domain.model import SignParams
from hsmgate.domain.plans import Plan
from hsmgate.domain.verification import Verifier
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.inline import key_info
from hsmgate.signer.objects import create_private_key
from hsmgate.signer.sessions import Session
from hsmgate.signer.structs import mechanism
from hsmgate.signer.trial_keys import make_trial_key

ASKED_AGAIN_AFTER_SECONDS = 1.0
"""A token that could sign is believed for so long: a flood of failing items must not become one of canaries."""

_MESSAGE = b"hsmgate asks whether this token can sign"


class Canary:
    """A key of no worth, brought to the token for one signature. Threads may ask at the same time."""

    def __init__(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities
        self._asking = threading.Lock()
        self._well_at = -ASKED_AGAIN_AFTER_SECONDS
        self._key: tuple[bytes, str] | None = None
        kinds = [kind for kind, inline in (("NistP256", "EC"), ("RSA", "RSA")) if inline in capabilities.inline]
        self._kind = kinds[0] if kinds else None

    def sings(self, session: Session) -> bool:
        """Whether the token can sign; where it takes no key from outside, whether it gives random bytes."""
        with self._asking:
            if time.monotonic() - self._well_at < ASKED_AGAIN_AFTER_SECONDS:
                return True
            try:
                well = self._signs(session) if self._kind else bool(session.random(16))
            except CryptokiError as error:
                well = classify(error.ckr) is Failure.BUSY
            if well:
                self._well_at = time.monotonic()
            return well

    def tries(self, session: Session) -> bool:
        """The same, asked now. Raises CryptokiError."""
        with self._asking:
            return self._signs(session) if self._kind else bool(session.random(16))

    def _signs(self, session: Session) -> bool:
        """Whether a signature with a key of ours verifies. Raises CryptokiError."""
        self._key = self._key or make_trial_key(self._kind or "")
        parsed = parse_inline(*self._key)
        key = key_info(parsed)
        planned: Plan = plan(SignParams("SHA256", prehashed=False), key, self._capabilities)
        to_sign = planned.prepare(_MESSAGE)
        handle = create_private_key(session, parsed.attributes)
        try:
            raw = session.sign(handle, mechanism(planned.mechanism), to_sign, planned.signature_size)
        finally:
            session.destroy(handle)
        verifier = Verifier.of(key.public_key)
        return verifier is not None and verifier.verifies(planned, to_sign, planned.finish(raw)) is True
