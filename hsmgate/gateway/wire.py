"""Requests: JSON in, values out (contract: seed page and dsm-wire, section 1).

Base64 is the standard alphabet with padding. An explicit null is the same as absent, `hash_alg: ""` too, and
unknown members are passed over.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from hsmgate.domain.inline import MAX_BYTES
from hsmgate.domain.model import LONGEST_CONTEXT, Mode, SignParams
from hsmgate.errors import BadItem, HsmgateError


class BadBody(HsmgateError):
    """The body is not what the call takes, so the call fails as a whole."""


class Sent(msgspec.Struct, frozen=True, gc=False):
    """A value that came from a caller. What it prints as holds nothing of it."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class Inline(Sent, frozen=True):
    """A key in the request itself."""

    value: bytes | None = None
    obj_type: str | None = None

    def read(self) -> tuple[bytes, str]:
        """The key's bytes and its type. Raises BadItem."""
        if not self.value:
            raise BadItem("key.inline.value: missing")
        if len(self.value) > MAX_BYTES:
            raise BadItem(f"key.inline.value: {len(self.value)} bytes, but at most {MAX_BYTES} are allowed")
        obj_type = _word(self.obj_type, "key.inline.obj_type")
        if not obj_type:
            raise BadItem("key.inline.obj_type: missing")
        return self.value, obj_type


class Descriptor(Sent, frozen=True):
    """How an item names its key: exactly one of the four."""

    kid: str | None = None
    name: str | None = None
    transient_key: bytes | None = None
    inline: Inline | None = None

    def check(self) -> None:
        """Raise BadItem unless it has exactly one form."""
        forms = (self.kid, self.name, self.transient_key, self.inline)
        if forms.count(None) != len(forms) - 1:
            raise BadItem("key: exactly one of kid, name, transient_key and inline")


class _Empty(msgspec.Struct, frozen=True):
    """An object with nothing in it that matters."""


class _Mgf1(msgspec.Struct, frozen=True):
    hash: str | None = None


class _Mgf(msgspec.Struct, frozen=True):
    mgf1: _Mgf1 | None = None


class _Pss(msgspec.Struct, frozen=True):
    mgf: _Mgf | None = None


class _Mode(msgspec.Struct, frozen=True):
    pss: _Pss | None = msgspec.field(default=None, name="PSS")
    pkcs1: _Empty | None = msgspec.field(default=None, name="PKCS1_V15")
    variant: str | None = None


class SignItem(Sent, frozen=True):
    """A batch item as it came, of the right types and no more than that."""

    key: Descriptor | None = None
    hash_alg: str | None = None
    hash: bytes | None = None
    data: bytes | None = None
    mode: _Mode | None = None
    deterministic_signature: bool | None = None
    context: bytes | None = None

    def descriptor(self) -> Descriptor:
        """The key's descriptor. Raises BadItem unless it has exactly one form."""
        if self.key is None:
            raise BadItem("key: missing")
        self.key.check()
        return self.key

    def payload(self) -> bytes:
        """The bytes of `data` or `hash`. Raises BadItem unless there is exactly one of them."""
        if (self.hash is None) == (self.data is None):
            raise BadItem(f"hash, data: exactly one of them, not {'none' if self.data is None else 'both'}")
        payload = self.hash if self.data is None else self.data
        return payload or b""

    def params(self) -> SignParams:
        """All that decides the mechanism, apart from the key. Raises BadItem."""
        if self.context is not None and len(self.context) > LONGEST_CONTEXT:
            raise BadItem(f"context: {len(self.context)} bytes, but at most {LONGEST_CONTEXT} are allowed")
        return SignParams(
            hash_alg=_word(self.hash_alg, "hash_alg") or None,
            prehashed=self.data is None,
            mode=None if self.mode is None else _read_mode(self.mode),
            deterministic=bool(self.deterministic_signature),
            context=self.context,
        )


class VerifyItem(SignItem, frozen=True):
    """An item of a batch to verify."""

    signature: bytes | None = None

    def to_verify(self) -> bytes:
        """The signature. Raises BadItem where there is none."""
        if self.signature is None:
            raise BadItem("signature: missing")
        return self.signature


def _read_mode(mode: _Mode) -> Mode:
    if (mode.pss, mode.pkcs1, mode.variant).count(None) != 2:
        raise BadItem("mode: exactly one of PSS and PKCS1_V15")
    if mode.pkcs1 is not None:
        return _PKCS1_V15
    if mode.pss is None:
        if mode.variant not in _VARIANTS:
            raise BadItem(f"mode.variant: unknown; {', '.join(_VARIANTS)} are known")
        return Mode(mode.variant)
    if mode.pss.mgf is None:
        return Mode("PSS")
    if mode.pss.mgf.mgf1 is None:
        raise BadItem("mode.PSS.mgf: only mgf1 is known")
    mgf_hash = _word(mode.pss.mgf.mgf1.hash, "mode.PSS.mgf.mgf1.hash")
    if not mgf_hash:
        raise BadItem("mode.PSS.mgf.mgf1.hash: missing")
    return Mode("PSS", mgf_hash)


_VARIANTS = ("PURE", "PRE_HASH", "EXTERNAL_MU")

LONGEST_WORD = 32


def _word(text: str | None, member: str) -> str | None:
    """One of the contract's words, as far as its looks tell. Raises BadItem."""
    if text and not (len(text) <= LONGEST_WORD and text.isascii()):
        raise BadItem(f"{member}: unknown")
    return text


_PKCS1_V15 = Mode("PKCS1_V15")

_AnyItem = TypeVar("_AnyItem", SignItem, VerifyItem)

_sign_items = msgspec.json.Decoder(list[SignItem])
_verify_items = msgspec.json.Decoder(list[VerifyItem])


def read_items(body: bytes) -> Sequence[SignItem | BadItem]:
    """The items of a batch to sign, in order; those that are not of the right types as the error that says so.

    Raises BadBody for what is no JSON array.
    """
    return _read_items(body, _sign_items, SignItem)


def read_verify_items(body: bytes) -> Sequence[VerifyItem | BadItem]:
    """The items of a batch to verify, likewise. Raises BadBody."""
    return _read_items(body, _verify_items, VerifyItem)


def read_item(body: bytes, item_type: type[_AnyItem]) -> _AnyItem | BadItem:
    """The one item that is a body. Raises BadBody for what is no JSON."""
    return _read_item(_read_json(body), item_type)


def read_descriptor(body: bytes) -> Descriptor:
    """The key descriptor that is a body. Raises BadBody."""
    try:
        return msgspec.convert(_read_json(body), Descriptor)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise BadBody(explain(str(error)) if isinstance(error, msgspec.ValidationError) else "not base64") from None


def _read_items(
    body: bytes, decoder: msgspec.json.Decoder[list[_AnyItem]], item_type: type[_AnyItem]
) -> Sequence[_AnyItem | BadItem]:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # Somewhere in there is something wrong: find out where, so that only that item pays.
        return [_read_item(value, item_type) for value in _read_array(body)]


def _read_array(body: bytes) -> list[Any]:
    value = _read_json(body)
    if not isinstance(value, list):
        raise BadBody("the body is not a JSON array of items")
    return value


def _read_json(body: bytes) -> Any:
    if not body.strip():
        raise BadBody("the body is empty, not JSON")
    try:
        # What is not UTF-8 becomes lone surrogates, and endless numbers are cut: we read no member that may hold
        # either.
        text = body.decode("utf-8", "surrogateescape")
        return json.loads(text, parse_constant=_not_json, parse_int=lambda digits: int(digits[:LONGEST_NUMBER]))
    except RecursionError:
        raise BadBody("the body is nested too deep") from None
    except ValueError:
        raise BadBody("the body is not JSON") from None


LONGEST_NUMBER = 4000


def _not_json(constant: str) -> None:
    raise ValueError(constant)


def _read_item(value: Any, item_type: type[_AnyItem]) -> _AnyItem | BadItem:
    if not isinstance(value, dict):
        return BadItem("the item is not an object")
    try:
        return msgspec.convert(value, item_type)
    except msgspec.ValidationError as error:
        return BadItem(explain(str(error)))
    except UnicodeEncodeError:
        return BadItem("data, hash, context: not base64 (standard alphabet, with padding)")


_EXPLAINED = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_WORDS = {
    "bytes": "base64 text",
    "str": "a string",
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
}


def explain(text: str) -> str:
    """Msgspec's complaint in the contract's words: the member first."""
    match = _EXPLAINED.fullmatch(text)
    what, path = (match["what"], match["path"]) if match else (text, None)
    if "base64" in what:
        what = "not base64 (standard alphabet, with padding)"
    elif what.startswith("Invalid enum value"):  # which it quotes
        what = "no such word"
    elif types := re.fullmatch(r"Expected `([a-z]+)(?: \| null)?`, got `([a-z]+)`", what):
        expected, got = (_WORDS.get(word, word) for word in types.groups())
        what = f"it wants {expected}, not {got}"
    return f"{path}: {what}" if path else what
