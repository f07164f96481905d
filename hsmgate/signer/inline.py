"""Inline keys: from what a caller sent to a key that can sign, for as long as a message takes."""

from hsmgate.domain import cka
from hsmgate.domain.inline import InlineKey, parse_inline
from hsmgate.domain.model import KeyInfo, KeyType
from hsmgate.domain.public_keys import read_public_key
from hsmgate.signer.objects import create_private_key
from hsmgate.signer.sessions import Session


def create_inline(session: Session, value: bytes, obj_type: str) -> tuple[KeyInfo, int]:
    """The key and the handle of a session object for it. Raises ItemError or CryptokiError."""
    key = parse_inline(value, obj_type)
    return key_info(key), create_private_key(session, key.attributes)


def public_part(value: bytes, obj_type: str) -> KeyInfo:
    """The key to verify with: what was sent is its public key, a DER SubjectPublicKeyInfo, or the private one.

    Raises ItemError.
    """
    return read_public_key(value, obj_type) or key_info(parse_inline(value, obj_type))


def key_info(key: InlineKey) -> KeyInfo:
    """The key as the planner sees it. It has no name and no kid."""
    subprime = key.attributes.get(cka.CKA_SUBPRIME)
    q_bits = str(int.from_bytes(subprime, "big").bit_length()) if isinstance(subprime, bytes) else None
    return KeyInfo(b"", "", None, KeyType(key.kind), key.variant or q_bits, key.bits, key.public_key)
