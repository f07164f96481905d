"""Transient keys: generated in a session, wrapped by the token, and carried by the caller.

Two secret keys on the token make them, under one CKA_ID: an AES key that only wraps and unwraps, and only into private
session keys that can neither be read nor taken out (CKA_UNWRAP_TEMPLATE); and an HMAC key for the seal. They are made
when the first transient key is asked for. Should two signers do so at once there are two pairs: a blob says which one
it is of.
"""

import hmac
import os
import threading
import time
from dataclasses import dataclass

from hsmgate.domain import cka
from hsmgate.domain.capabilities import Capabilities, wrapping
from hsmgate.domain.ckm import (
    CKM_AES_KEY_GEN,
    CKM_GENERIC_SECRET_KEY_GEN,
    CKM_SHA256_HMAC,
    WRAPPING_MECHANISMS,
)
from hsmgate.domain.envelope import Blob, TransientKey, sealed, to_seal
from hsmgate.domain.model import KeyInfo, KeyType
from hsmgate.errors import BadItem, NotFound, NotPermitted, Unsupported
from hsmgate.ipc.messages import Generate
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.generation import generate_ec, generate_rsa
from hsmgate.signer.keys import describe_pair
from hsmgate.signer.objects import SESSION_PRIVATE_KEY, refused
from hsmgate.signer.sessions import Session, Template
from hsmgate.signer.structs import mechanism

WRAP_LABEL = b"hsmgate transient wrapping"
SEAL_LABEL = b"hsmgate transient sealing"
SEAL_SIZE = 32

_SECRET: Template = {
    cka.CKA_CLASS: cka.CKO_SECRET_KEY,
    cka.CKA_PRIVATE: True,
    cka.CKA_SENSITIVE: True,
    cka.CKA_EXTRACTABLE: False,
    cka.CKA_VALUE_LEN: 32,
    **dict.fromkeys((cka.CKA_ENCRYPT, cka.CKA_DECRYPT, cka.CKA_VERIFY, cka.CKA_DERIVE), False),
}
"""What both secret keys are. Some tokens allow whatever is not forbidden."""

UNWRAP_ONLY_INTO: Template = {
    cka.CKA_CLASS: cka.CKO_PRIVATE_KEY,
    cka.CKA_TOKEN: False,
    cka.CKA_PRIVATE: True,
    cka.CKA_SENSITIVE: True,
    cka.CKA_EXTRACTABLE: False,
}
WRAPPABLE: Template = {**SESSION_PRIVATE_KEY, cka.CKA_EXTRACTABLE: True}

_CKK = {KeyType.RSA: cka.CKK_RSA, KeyType.EC: cka.CKK_EC}


@dataclass(frozen=True, slots=True)
class _Pair:
    """The two secret keys of an id, as handles."""

    wrap: int
    seal: int


class TransientKeys:
    """Makes and opens the transient keys of one token. Threads may use it, each with its own session."""

    def __init__(self, capabilities: Capabilities) -> None:
        self._mechanism = next((m for m in WRAPPING_MECHANISMS if capabilities.can(wrapping(m))), None)
        self._pairs: dict[bytes, _Pair] = {}
        self._making = threading.Lock()

    def read_ids(self, session: Session) -> list[bytes]:
        """The ids of the token's pairs. Raises CryptokiError."""
        self._pairs = _find_pairs(session)
        return sorted(self._pairs)

    def make(self, session: Session, order: Generate) -> bytes:
        """The blob of a new key. Raises ItemError or CryptokiError."""
        if self._mechanism is None:
            raise Unsupported("transient: this token was not seen to wrap keys safely")
        key_id, pair = self._pair_to_make_with(session)
        try:
            public, private = _generate(session, order)
        except CryptokiError as error:
            raise refused("obj_type", error) from error
        try:
            info = describe_pair(session, public, private)
            wrapped = session.wrap(mechanism(self._mechanism), pair.wrap, private)
        except CryptokiError as error:
            raise refused("obj_type", error) from error
        finally:
            session.destroy(private)
            session.destroy(public)
        if info.public_key is None:
            raise Unsupported("obj_type: the token shows no public key of it")
        key = TransientKey(
            order.owner,
            info.type,
            info.variant,
            info.bits,
            info.public_key,
            order.operations,
            order.expires,
            self._mechanism,
            wrapped,
        )
        message = to_seal(key_id, key)
        return sealed(message, _seal(session, pair, message))

    def unwrap(self, session: Session, blob: bytes, owner: str) -> tuple[KeyInfo, int]:
        """The key in a blob and the handle of a session object for it. Raises ItemError or CryptokiError."""
        key, pair = self._unseal(session, blob, owner)
        if "SIGN" not in key.operations:
            raise NotPermitted("key.transient_key: its key_ops do not allow SIGN")
        template = {**SESSION_PRIVATE_KEY, cka.CKA_KEY_TYPE: _CKK[key.type]}
        return _info(key), session.unwrap(mechanism(key.mechanism), pair.wrap, key.wrapped, template)

    def public_part(self, session: Session, blob: bytes, owner: str) -> KeyInfo:
        """The key in a blob, to verify with. Raises ItemError or CryptokiError."""
        key, _ = self._unseal(session, blob, owner)
        if "VERIFY" not in key.operations:
            raise NotPermitted("key.transient_key: its key_ops do not allow VERIFY")
        return _info(key)

    def derive(self, session: Session, purpose: str, *, create: bool) -> bytes:
        """32 secret bytes, the same wherever the token is.

        Raises NotFound where the token has no key to derive from, or CryptokiError.
        """
        with self._making:
            sealing_keys = _find_secret_keys(session, SEAL_LABEL)
            if not sealing_keys:
                if not create:
                    raise NotFound("the token has no key to derive from")
                self._pairs = _make_pair(session)
                sealing_keys = _find_secret_keys(session, SEAL_LABEL)
        key = sealing_keys[min(sealing_keys)]
        return session.sign(key, mechanism(CKM_SHA256_HMAC), b"hsmgate secret: " + purpose.encode(), SEAL_SIZE)

    def _unseal(self, session: Session, blob: bytes, owner: str) -> tuple[TransientKey, _Pair]:
        """What is in a blob, once it was found whole, the owner's and not expired."""
        taken = Blob.read(blob)
        pair = self._pairs.get(taken.key_id) or _find_pairs(session).get(taken.key_id)
        if pair is None:
            raise NotFound("key.transient_key: it was made on another token")
        if not hmac.compare_digest(_seal(session, pair, taken.sealed), taken.seal):
            raise BadItem("key.transient_key: damaged, or not of this service")
        key = taken.open()
        if key.owner != owner:
            raise NotPermitted("key.transient_key: it belongs to another app")
        if key.expires <= time.time():
            raise NotFound("key.transient_key: it has expired")
        return key, pair

    def _pair_to_make_with(self, session: Session) -> tuple[bytes, _Pair]:
        """The token's pair, made if there is none yet."""
        with self._making:
            if not self._pairs:
                self._pairs = _find_pairs(session) or _make_pair(session)
            key_id = min(self._pairs)
            return key_id, self._pairs[key_id]


def _info(key: TransientKey) -> KeyInfo:
    return KeyInfo(b"", "", None, key.type, key.variant, key.bits, key.public_key)


def _find_secret_keys(session: Session, label: bytes) -> dict[bytes, int]:
    """The handles of the token's secret keys of that label, by CKA_ID."""
    ours: Template = {cka.CKA_CLASS: cka.CKO_SECRET_KEY, cka.CKA_TOKEN: True, cka.CKA_LABEL: label}
    return {its.get(cka.CKA_ID, b""): handle for handle, its in session.read_all(ours, (cka.CKA_ID,))}


def _find_pairs(session: Session) -> dict[bytes, _Pair]:
    wrapping_keys, sealing_keys = (_find_secret_keys(session, label) for label in (WRAP_LABEL, SEAL_LABEL))
    return {i: _Pair(handle, sealing_keys[i]) for i, handle in wrapping_keys.items() if i in sealing_keys}


def _make_pair(session: Session) -> dict[bytes, _Pair]:
    key_id = os.urandom(16)
    sealing: Template = {
        **_SECRET,
        cka.CKA_TOKEN: True,
        cka.CKA_SIGN: True,
        cka.CKA_WRAP: False,
        cka.CKA_UNWRAP: False,
        cka.CKA_LABEL: SEAL_LABEL,
        cka.CKA_ID: key_id,
    }
    seal = session.generate_key(mechanism(CKM_GENERIC_SECRET_KEY_GEN), sealing)
    return {key_id: _Pair(make_wrapping_key(session, token=True, key_id=key_id), seal)}


def _generate(session: Session, order: Generate) -> tuple[int, int]:
    """The handles of a new session key pair that can be wrapped."""
    public: Template = {cka.CKA_TOKEN: False, cka.CKA_VERIFY: True}
    if order.key_type is KeyType.RSA:
        return generate_rsa(session, order.bits, public, WRAPPABLE)
    return generate_ec(session, order.variant, public, WRAPPABLE)


def _seal(session: Session, pair: _Pair, message: bytes) -> bytes:
    return session.sign(pair.seal, mechanism(CKM_SHA256_HMAC), message, SEAL_SIZE)


def make_wrapping_key(session: Session, *, token: bool, key_id: bytes = b"") -> int:
    """The handle of a new AES key that wraps, and unwraps into session signing keys alone. Raises CryptokiError."""
    template: Template = {
        **_SECRET,
        cka.CKA_TOKEN: token,
        cka.CKA_SIGN: False,
        cka.CKA_WRAP: True,
        cka.CKA_UNWRAP: True,
        cka.CKA_LABEL: WRAP_LABEL,
        cka.CKA_ID: key_id,
        cka.CKA_UNWRAP_TEMPLATE: UNWRAP_ONLY_INTO,
    }
    return session.generate_key(mechanism(CKM_AES_KEY_GEN), template)
