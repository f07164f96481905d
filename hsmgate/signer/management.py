"""Changing the keys on a token: made, imported, renamed, noted upon, destroyed.

What PKCS#11 has no attribute for is kept in a data object beside the key, so that every replica sees it: CKO_DATA, with
CKA_APPLICATION "hsmgate" and the kid for a label.
"""

import contextlib
from collections.abc import Callable

import msgspec

from hsmgate.domain import cka
from hsmgate.domain.ckr import Failure, ckr_name, classify
from hsmgate.domain.inline import parse_inline, public_attributes
from hsmgate.domain.model import KeyInfo, KeyNotes, KeyType
from hsmgate.errors import BadItem, ItemError, Unsupported
from hsmgate.ipc.messages import Change, Manage
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.generation import generate_ec, generate_ml_dsa, generate_rsa
from hsmgate.signer.objects import item_error, refused
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


FindKey = Callable[[bytes], tuple[KeyInfo, int]]
"""The key of that ref and its handle, as `Token.find_key`."""


def manage(session: Session, find_key: FindKey, order: Manage) -> None:
    """Make the change. Raises ItemError, CryptokiError or TokenLost."""
    match order.change:
        case Change.GENERATE | Change.IMPORT:
            both: Template = {cka.CKA_ID: order.ckaid, cka.CKA_LABEL: (order.name or "").encode()}
            make = _generate if order.change is Change.GENERATE else _import
            try:
                _write_notes(session, order.kid, order.notes)  # first, so that nobody sees the key without them
            except Unsupported:
                if _matter(order.notes):
                    raise
            make(session, order, both)
        case Change.UPDATE:
            handle = find_key(order.key)[1]
            if order.name is not None:
                for half in _halves(session, handle):
                    session.set(half, {cka.CKA_LABEL: order.name.encode()})
            _write_notes(session, order.kid, order.notes)
        case Change.DESTROY:
            handle = find_key(order.key)[1]
            for each in (*_halves(session, handle), *_notes_objects(session, order.kid)):
                _destroy(session, each)


def undo(session: Session, order: Manage) -> None:
    """Remove what a failed change has made: it alone bears its CKA_ID. Raises CryptokiError."""
    if order.change in (Change.GENERATE, Change.IMPORT):
        made = session.find({cka.CKA_TOKEN: True, cka.CKA_ID: order.ckaid})
        for handle in (*made, *_notes_objects(session, order.kid)):
            _destroy(session, handle)


def refusal(order: Manage, error: CryptokiError) -> ItemError:
    """What the caller is told of a change that failed."""
    return refused("obj_type", error) if order.change in (Change.GENERATE, Change.IMPORT) else item_error(error)


def read_notes(session: Session) -> dict[str, KeyNotes]:
    """All notes on the token, by kid. What cannot be read is not ours, and counts for nothing. Raises CryptokiError."""
    notes: dict[str, KeyNotes] = {}
    ours: Template = {cka.CKA_CLASS: cka.CKO_DATA, cka.CKA_TOKEN: True, cka.CKA_APPLICATION: APPLICATION}
    for _, attributes in session.read_all(ours, (cka.CKA_LABEL, cka.CKA_VALUE)):
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
    _keep(session, template)
    for handle in before:
        _destroy(session, handle)


def _keep(session: Session, template: Template) -> None:
    """Create a data object; a token that refuses it twice takes none. Raises Unsupported or CryptokiError."""
    with contextlib.suppress(CryptokiError):
        session.create(template)
        return
    try:
        session.create(template)
    except CryptokiError as error:
        if classify(error.ckr) not in (Failure.REFUSED, Failure.UNSUPPORTED, Failure.POLICY):
            raise
        text = (
            f"enabled, key_ops, custom_metadata, description: the token keeps no data objects ({ckr_name(error.ckr)})"
        )
        raise Unsupported(text) from error


def _destroy(session: Session, handle: int) -> None:
    """See that there is no such object. Raises CryptokiError."""
    try:
        session.destroy(handle)
    except CryptokiError as error:
        if classify(error.ckr) is not Failure.KEY_GONE:
            raise


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


def _generate(session: Session, order: Manage, both: Template) -> None:
    public, private = {**both, **_PUBLIC}, {**both, **_PRIVATE}
    match order.key_type:
        case KeyType.RSA:
            generate_rsa(session, order.bits, public, private)
        case KeyType.ML_DSA:
            generate_ml_dsa(session, order.variant, public, private)
        case _:
            generate_ec(session, order.variant, public, private)


def _import(session: Session, order: Manage, both: Template) -> None:
    """Make the private key that was sent, and the public key that belongs to it."""
    try:
        key = parse_inline(order.key, order.obj_type)
    except BadItem as error:
        raise BadItem(str(error).removeprefix("key.inline.")) from None
    except Unsupported as error:
        raise Unsupported(str(error).removeprefix("key.inline.")) from None
    public = public_attributes(key)
    session.create({**both, **_PRIVATE, cka.CKA_CLASS: cka.CKO_PRIVATE_KEY, **key.attributes})
    session.create({**both, **_PUBLIC, cka.CKA_CLASS: cka.CKO_PUBLIC_KEY, **public})


def _halves(session: Session, private_key: int) -> list[int]:
    """The private key's handle, and that of the public key with its id, type and label."""
    its = session.read(private_key, (cka.CKA_ID, cka.CKA_KEY_TYPE, cka.CKA_LABEL))
    return [private_key, *session.find({cka.CKA_CLASS: cka.CKO_PUBLIC_KEY, cka.CKA_TOKEN: True, **its})]
