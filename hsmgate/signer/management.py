"""Changing the keys on a token: made, imported, renamed, noted upon, destroyed.

What PKCS#11 has no attribute for is kept in a data object beside the key, so that every replica sees it: CKO_DATA, with
CKA_APPLICATION "hsmgate" and the kid for a label.
"""

import msgspec

from hsmgate.domain import cka
from hsmgate.domain.ckr import ckr_name
from hsmgate.domain.inline import parse_inline, public_attributes
from hsmgate.domain.model import KeyNotes, KeyType
from hsmgate.errors import BadItem, NoSuchKey, Unsupported
from hsmgate.ipc.messages import Change, Manage
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.generation import generate_ec, generate_ml_dsa, generate_rsa
from hsmgate.signer.keys import KeyTable
from hsmgate.signer.objects import refused
from hsmgate.signer.sessions import Session, Template

APPLICATION = b"hsmgate"

_PRIVATE: Template = {
    cka.CKA_TOKEN: True,
    cka.CKA_PRIVATE: True,
    cka.CKA_SENSITIVE: True,
    cka.CKA_EXTRACTABLE: False,
    cka.CKA_SIGN: True,
}
_PUBLIC: Template = {cka.CKA_TOKEN: True, cka.CKA_VERIFY: True}


def manage(session: Session, table: KeyTable, order: Manage) -> None:
    """Make the change. Raises ItemError or CryptokiError."""
    if order.change in (Change.UPDATE, Change.DESTROY) and order.key not in table.handles:
        raise NoSuchKey
    match order.change:
        case Change.GENERATE | Change.IMPORT:
            both: Template = {cka.CKA_ID: order.ckaid, cka.CKA_LABEL: (order.name or "").encode()}
            make = _generate if order.change is Change.GENERATE else _import
            try:
                private_key = make(session, order, both)
            except CryptokiError as error:
                raise refused("obj_type", error) from error
            try:
                _write_notes(session, order.kid, order.notes)
            except Unsupported:
                if _matter(order.notes):
                    for handle in _halves(session, private_key):
                        session.destroy(handle)
                    raise
        case Change.UPDATE:
            if order.name is not None:
                for handle in _halves(session, table.handles[order.key]):
                    session.set(handle, {cka.CKA_LABEL: order.name.encode()})
            _write_notes(session, order.kid, order.notes)
        case Change.DESTROY:
            for handle in (*_halves(session, table.handles[order.key]), *_notes_objects(session, order.kid)):
                session.destroy(handle)


def read_notes(session: Session) -> dict[str, KeyNotes]:
    """All notes on the token, by kid. What cannot be read is not ours, and counts for nothing. Raises CryptokiError."""
    notes: dict[str, KeyNotes] = {}
    for handle in session.find({cka.CKA_CLASS: cka.CKO_DATA, cka.CKA_TOKEN: True, cka.CKA_APPLICATION: APPLICATION}):
        attributes = session.read(handle, (cka.CKA_LABEL, cka.CKA_VALUE))
        try:
            kid = attributes.get(cka.CKA_LABEL, b"").decode()
            notes[kid] = _decoder.decode(attributes.get(cka.CKA_VALUE, b""))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
    return notes


_decoder = msgspec.msgpack.Decoder(KeyNotes)


def _write_notes(session: Session, kid: str, notes: KeyNotes) -> None:
    """The new object first: should the token fail between the two, there is one too many and none too few.

    Raises Unsupported where the token takes no such object, or CryptokiError.
    """
    before = _notes_objects(session, kid)
    template: Template = {
        cka.CKA_CLASS: cka.CKO_DATA,
        cka.CKA_TOKEN: True,
        cka.CKA_PRIVATE: True,
        cka.CKA_APPLICATION: APPLICATION,
        cka.CKA_LABEL: kid.encode(),
        cka.CKA_VALUE: msgspec.msgpack.encode(notes),
    }
    try:
        session.create(template)
    except CryptokiError as error:
        text = (
            f"enabled, key_ops, custom_metadata, description: the token keeps no data objects ({ckr_name(error.ckr)})"
        )
        raise Unsupported(text) from error
    for handle in before:
        session.destroy(handle)


def _matter(notes: KeyNotes) -> bool:
    """Whether a key without these notes would be another than was asked for. A description is no such thing."""
    restricted = notes.operations is not None and not {"SIGN", "VERIFY"} <= set(notes.operations)
    return restricted or not notes.enabled or bool(notes.metadata)


def _notes_objects(session: Session, kid: str) -> list[int]:
    return session.find(
        {
            cka.CKA_CLASS: cka.CKO_DATA,
            cka.CKA_TOKEN: True,
            cka.CKA_APPLICATION: APPLICATION,
            cka.CKA_LABEL: kid.encode(),
        }
    )


def _generate(session: Session, order: Manage, both: Template) -> int:
    """The new private key's handle."""
    public, private = {**both, **_PUBLIC}, {**both, **_PRIVATE}
    match order.key_type:
        case KeyType.RSA:
            return generate_rsa(session, order.bits, public, private)[1]
        case KeyType.ML_DSA:
            return generate_ml_dsa(session, order.variant, public, private)[1]
        case _:
            return generate_ec(session, order.variant, public, private)[1]


def _import(session: Session, order: Manage, both: Template) -> int:
    """The handle of the private key that was sent; the public key that belongs to it is made beside it."""
    try:
        key = parse_inline(order.key, order.obj_type)
    except BadItem as error:
        raise BadItem(str(error).removeprefix("key.inline.")) from None
    except Unsupported as error:
        raise Unsupported(str(error).removeprefix("key.inline.")) from None
    public = public_attributes(key)
    private = session.create({**both, **_PRIVATE, cka.CKA_CLASS: cka.CKO_PRIVATE_KEY, **key.attributes})
    try:
        session.create({**both, **_PUBLIC, cka.CKA_CLASS: cka.CKO_PUBLIC_KEY, **public})
    except CryptokiError:
        session.destroy(private)
        raise
    return private


def _halves(session: Session, private_key: int) -> list[int]:
    """The private key's handle, and that of the public key with its id, type and label."""
    its = session.read(private_key, (cka.CKA_ID, cka.CKA_KEY_TYPE, cka.CKA_LABEL))
    return [private_key, *session.find({cka.CKA_CLASS: cka.CKO_PUBLIC_KEY, cka.CKA_TOKEN: True, **its})]
