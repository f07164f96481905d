"""Proof at start: what the token really does, shown by signatures that verify.

A mechanism list does not say whether a token's PSS takes two different hashes, or whether it heeds the parameter that
turns Ed25519 into Ed25519ph. So each is tried, with a key that was made for it in software and given to the token as a
session object. What a token will not take is generated there instead, where that helps.
"""

import hashlib
import itertools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from hsmgate.domain import capabilities as can
from hsmgate.domain import cka
from hsmgate.domain.capabilities import Capabilities
from hsmgate.domain.ckm import (
    CKM_AES_KEY_GEN,
    CKM_DSA,
    CKM_ECDSA,
    CKM_EDDSA,
    CKM_GENERIC_SECRET_KEY_GEN,
    CKM_HSS,
    CKM_ML_DSA,
    CKM_RSA_PKCS,
    CKM_SHA256_HMAC,
    CKM_SLH_DSA,
    CKM_XMSS,
    CKM_XMSSMT,
    WRAPPING_MECHANISMS,
)
from hsmgate.domain.digests import DIGESTS
from hsmgate.domain.inline import parse_inline
from hsmgate.domain.mechanisms import plan
from hsmgate.domain.model import KeyInfo, KeyType, Mode, SignParams
from hsmgate.domain.plans import Plan
from hsmgate.domain.promises import promised
from hsmgate.domain.verification import Verifier, verifies_prehash
from hsmgate.errors import ItemError
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.generation import generate_ec, generate_rsa, generate_smallest
from hsmgate.signer.inline import key_info
from hsmgate.signer.keys import describe_pair
from hsmgate.signer.objects import SESSION_PRIVATE_KEY, create_private_key
from hsmgate.signer.sessions import Session, Template
from hsmgate.signer.structs import mechanism
from hsmgate.signer.transient import WRAPPABLE, make_wrapping_key
from hsmgate.signer.trial_keys import make_trial_key

_MESSAGE = b"hsmgate tries this token"
_KINDS = {
    "RSA": CKM_RSA_PKCS,
    "NistP256": CKM_ECDSA,
    "NistP384": CKM_ECDSA,
    "Ed25519": CKM_EDDSA,
    "Ed448": CKM_EDDSA,
    "DSA": CKM_DSA,
    "MlDsa44": CKM_ML_DSA,
    "MlDsa65": CKM_ML_DSA,
    "MlDsa87": CKM_ML_DSA,
}
"""What is tried, and the mechanism that a token must list for it."""


_ON_TOKEN_ONLY = {
    KeyType.SLH_DSA: (CKM_SLH_DSA, can.SLH_DSA),
    KeyType.HSS: (CKM_HSS, KeyType.HSS.value),
    KeyType.XMSS: (CKM_XMSS, KeyType.XMSS.value),
    KeyType.XMSSMT: (CKM_XMSSMT, KeyType.XMSSMT.value),
}
"""What no library here can make or verify: the token does both, with keys of its own."""


@dataclass(frozen=True, slots=True)
class _Trial:
    """One capability: how to ask for it, given what is shown already.

    also: other capabilities that the plan needs.
    instead_of: not tried where that one is shown already.
    """

    capability: str
    params: SignParams
    payload: bytes = _MESSAGE
    also: frozenset[str] = frozenset()
    instead_of: str = ""


def prove(
    open_session: Callable[[], Session], mechanisms: frozenset[int], present: Collection[KeyType]
) -> Capabilities:
    """Try the token. Where it lets us try nothing, what its mechanism list promises. Raises CryptokiError.

    present: the types of its keys. What takes long to generate is tried only where there are such keys.
    """
    prover = _Prover(open_session, mechanisms)
    for kind, needed in _KINDS.items():
        if needed in mechanisms:
            prover.try_kind(kind)
    for key_type, (needed, capability) in _ON_TOKEN_ONLY.items():
        if needed in mechanisms and key_type in present:
            prover.try_on_token(key_type, capability)
    for number in WRAPPING_MECHANISMS:
        if {number, CKM_AES_KEY_GEN, CKM_GENERIC_SECRET_KEY_GEN, CKM_SHA256_HMAC} <= mechanisms:
            prover.try_wrapping(number)
    prover.close()
    if not prover.tried:
        return promised(mechanisms)
    return Capabilities.of(mechanisms, prover.shown, prover.inline)


class _Prover:
    """The keys live in one session, which stays; what may fail is done in another, which is replaced when it does."""

    def __init__(self, open_session: Callable[[], Session], mechanisms: frozenset[int]) -> None:
        self._open_session = open_session
        self._mechanisms = mechanisms
        self._home, self._work = open_session(), open_session()
        self.shown: set[str] = set()
        self.inline: set[str] = set()
        self.tried = False

    def close(self) -> None:
        """Close the sessions, and with them destroy the keys."""
        self._home.close()
        self._work.close()

    def try_kind(self, kind: str) -> None:
        """Try all there is to a kind of key."""
        key, handle = self._taken(kind) or self._generated(kind) or (None, 0)
        if key is None:
            return
        self.tried = True
        for trial in _trials(key):
            needless = self.shown & {trial.capability, trial.instead_of}
            if not needless and self._try(key, handle, trial):
                self.shown.add(trial.capability)

    def try_on_token(self, key_type: KeyType, capability: str) -> None:
        """Try a kind of key that only the token can make and verify: a right signature, and a wrong one."""
        variant = "MlDsa44" if key_type is KeyType.ML_DSA else None
        key = KeyInfo(b"", "", None, key_type, variant, 0, None)
        try:
            pair = generate_smallest(self._home, key_type, {cka.CKA_VERIFY: True}, SESSION_PRIVATE_KEY)
            decided = plan(SignParams(None, prehashed=False), key, Capabilities.of(self._mechanisms, {capability}))
            signed, signature = self._sign(decided, pair[1], _MESSAGE)
            made = mechanism(decided.mechanism, decided.parameter)
            right = self._work.verify(pair[0], made, signed, signature)
            wrong = self._work.verify(pair[0], made, signed + b"?", signature)
        except (CryptokiError, ItemError):
            self._work.close()
            self._work = self._open_session()
            return
        self.tried = True
        if right and not wrong:
            self.shown.add(capability)

    def _taken(self, kind: str) -> tuple[KeyInfo, int] | None:
        """A key that was made outside."""
        value, obj_type = make_trial_key(kind)
        key = parse_inline(value, obj_type)
        try:
            handle = create_private_key(self._home, key.attributes)
        except CryptokiError:
            return None
        self.inline.add(kind if obj_type == "MLDSA" else key.kind)
        return key_info(key), handle

    def _generated(self, kind: str) -> tuple[KeyInfo, int] | None:
        """A key that the token makes itself."""
        if kind not in ("RSA", "NistP256", "NistP384", "Ed25519", "Ed448"):
            return None
        try:
            pair = (
                generate_rsa(self._home, 2048, {}, SESSION_PRIVATE_KEY)
                if kind == "RSA"
                else generate_ec(self._home, kind, {}, SESSION_PRIVATE_KEY)
            )
            return describe_pair(self._home, *pair), pair[1]
        except CryptokiError:
            return None

    def _try(self, key: KeyInfo, handle: int, trial: _Trial) -> bool:
        try:
            decided = plan(trial.params, key, Capabilities.of(self._mechanisms, {trial.capability, *trial.also}))
            signed, signature = self._sign(decided, handle, trial.payload)
            if trial.params.deterministic and self._sign(decided, handle, trial.payload)[1] != signature:
                return False
        except ItemError:
            return False
        except CryptokiError:
            self._work.close()
            self._work = self._open_session()
            return False
        if trial.capability == can.edwards_prehash(key.type):
            return verifies_prehash(key.public_key or b"", _MESSAGE, signature)
        verifier = Verifier.of(key.public_key)
        return verifier is not None and verifier.verifies(decided, signed, signature) is True

    def _sign(self, decided: Plan, handle: int, payload: bytes) -> tuple[bytes, bytes]:
        """What C_Sign got, and the signature."""
        signed = decided.prepare(payload)
        made = mechanism(decided.mechanism, decided.parameter)
        return signed, decided.finish(self._work.sign(handle, made, signed, decided.signature_size))

    def try_wrapping(self, number: int) -> None:
        """Try to wrap signing keys of each kind that may be transient, so that nothing else can come of it."""
        for kind in ("RSA", "NistP256"):
            try:
                if not self._wraps(number, kind):
                    return
            except (CryptokiError, ItemError):
                return
        self.shown.add(can.wrapping(number))

    def _wraps(self, number: int, kind: str) -> bool:
        """Whether a key comes back able to sign, and in no other shape. Raises CryptokiError or ItemError."""
        wrapping_key = make_wrapping_key(self._home, token=False)
        key = parse_inline(*make_trial_key(kind))
        handle = self._home.create({**WRAPPABLE, **key.attributes})
        wrapped = self._home.wrap(mechanism(number), wrapping_key, handle)
        self._home.destroy(handle)
        key_type = {cka.CKA_KEY_TYPE: key.attributes[cka.CKA_KEY_TYPE]}
        for unsafe in (
            *_UNSAFE,
            {**WRAPPABLE, **key_type},
            {**SESSION_PRIVATE_KEY, cka.CKA_SENSITIVE: False, **key_type},
        ):
            try:
                self._home.unwrap(mechanism(number), wrapping_key, wrapped, unsafe)
            except CryptokiError:
                continue
            return False
        back = self._home.unwrap(mechanism(number), wrapping_key, wrapped, {**SESSION_PRIVATE_KEY, **key_type})
        capability = can.RSA_PKCS1 if kind == "RSA" else can.ECDSA
        return self._try(key_info(key), back, _Trial(capability, SignParams("SHA256", prehashed=False)))


_UNSAFE: tuple[Template, ...] = (
    {cka.CKA_CLASS: cka.CKO_SECRET_KEY, cka.CKA_KEY_TYPE: cka.CKK_GENERIC_SECRET, cka.CKA_TOKEN: False},
    {
        cka.CKA_CLASS: cka.CKO_SECRET_KEY,
        cka.CKA_KEY_TYPE: cka.CKK_GENERIC_SECRET,
        cka.CKA_TOKEN: False,
        cka.CKA_SENSITIVE: False,
        cka.CKA_EXTRACTABLE: True,
    },
)
"""Templates under which a wrapped key could be read."""


def _trials(key: KeyInfo) -> Iterator[_Trial]:
    by_sha256 = SignParams("SHA256", prehashed=False)
    match key.type:
        case KeyType.RSA:
            yield _Trial(can.RSA_PKCS1, by_sha256)
            yield _Trial(can.RSA_RAW, SignParams("SHA256", prehashed=False, mode=Mode("PSS")))
            known = [digest.name for digest in DIGESTS.values() if digest.ckm is not None]
            for digest, mgf in itertools.product(known, repeat=2):
                params = SignParams(digest, prehashed=False, mode=Mode("PSS", mgf))
                yield _Trial(can.rsa_pss(digest, mgf), params)
        case KeyType.EC:
            yield _Trial(can.ECDSA, by_sha256)
        case KeyType.DSA:
            yield _Trial(can.DSA, by_sha256)
        case KeyType.ED25519 | KeyType.ED448:
            curve = key.type.value
            message = SignParams(None, prehashed=False)
            yield _Trial(can.edwards(curve), message)
            yield _Trial(can.edwards_with_parameter(curve), message, instead_of=can.edwards(curve))
            hashed = hashlib.sha512(_MESSAGE) if key.type is KeyType.ED25519 else hashlib.shake_256(_MESSAGE)
            prehash = hashed.digest() if hashed.name == "sha512" else hashed.digest(64)  # type: ignore[call-arg]
            yield _Trial(can.edwards_prehash(curve), SignParams(None, prehashed=True), prehash)
        case KeyType.ML_DSA if key.variant:
            also = frozenset({key.variant})
            yield _Trial(key.variant, SignParams(None, prehashed=False))
            yield _Trial(can.ML_DSA_CONTEXT, SignParams(None, prehashed=False, context=b"context"), also=also)
            yield _Trial(can.ML_DSA_DETERMINISTIC, SignParams(None, False, deterministic=True), also=also)
            hashed_data = DIGESTS["SHA256"].compute(_MESSAGE)
            yield _Trial(can.ML_DSA_PREHASH, SignParams("SHA256", prehashed=True), hashed_data, also)
