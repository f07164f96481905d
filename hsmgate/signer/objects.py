"""Private keys that live in a session: made for one message, gone after it, found by nobody.

They have no label and no id, and the key table holds token objects only, so no descriptor can reach them.
"""

from collections.abc import Mapping

from hsmgate.domain import cka
from hsmgate.domain.ckr import Failure, ckr_name, classify
from hsmgate.errors import ItemError, NoSigner, NotPermitted, TokenFailed, Unsupported
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.sessions import AttributeValue, Session, Template

SESSION_PRIVATE_KEY: Template = {
    cka.CKA_CLASS: cka.CKO_PRIVATE_KEY,
    cka.CKA_TOKEN: False,
    cka.CKA_PRIVATE: True,
    cka.CKA_SENSITIVE: True,
    cka.CKA_EXTRACTABLE: False,
    cka.CKA_SIGN: True,
}
"""What every such key is, besides its material."""


def create_private_key(session: Session, material: Mapping[int, AttributeValue]) -> int:
    """The handle of a session key that can sign and never be read. Raises CryptokiError."""
    return session.create({**SESSION_PRIVATE_KEY, **material})


def refused(member: str, error: CryptokiError) -> ItemError:
    """What a caller is told whose key the token would not take."""
    text = f"{member}: the token does not take this key ({ckr_name(error.ckr)})"
    match classify(error.ckr):
        case Failure.BUSY:
            return NoSigner(text)
        case Failure.REFUSED | Failure.UNSUPPORTED | Failure.POLICY:
            return Unsupported(text)
        case _:
            return TokenFailed(text)


def item_error(error: CryptokiError) -> ItemError:
    """What a caller is told whose item or order the token failed on."""
    name = ckr_name(error.ckr)
    match classify(error.ckr):
        case Failure.POLICY:
            return NotPermitted(f"key: the token does not allow it ({name})")
        case Failure.UNSUPPORTED | Failure.REFUSED:
            return Unsupported(f"the token refuses this combination ({name})")
        case Failure.BUSY:
            return NoSigner(f"the token is busy ({name})")
        case _:
            return TokenFailed(f"the token failed ({name})")
