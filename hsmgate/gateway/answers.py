"""Answers: results in, JSON out (contract: seed page and dsm-wire, section 1). Bytes are base64 with padding."""

from collections.abc import Sequence
from typing import cast

import msgspec

from hsmgate.gateway.batch import Result
from hsmgate.ipc.messages import Failure

_encoder = msgspec.json.Encoder()


class _Signature(msgspec.Struct, gc=False):
    kid: str
    signature: bytes


class _NamelessSignature(msgspec.Struct, gc=False):
    signature: bytes


class _Verdict(msgspec.Struct, gc=False):
    kid: str
    result: bool


class _NamelessVerdict(msgspec.Struct, gc=False):
    result: bool


_Body = _Signature | _NamelessSignature | _Verdict | _NamelessVerdict


def _body(kid: str | None, result: bytes | bool) -> _Body:
    if isinstance(result, bool):
        return _NamelessVerdict(result) if kid is None else _Verdict(kid, result)
    return _NamelessSignature(result) if kid is None else _Signature(kid, result)


def write_body(kid: str | None, result: bytes | bool) -> bytes:
    """The answer to a single signing or verification."""
    return _encoder.encode(_body(kid, result))


class _Success(msgspec.Struct, gc=False, kw_only=True):
    status: int = 200
    body: _Body


class _Error(msgspec.Struct, gc=False):
    status: int
    error: str


_SIGNATURES = frozenset({bytes})


def write_answer(kids: Sequence[str | None], results: Sequence[Result]) -> bytes:
    """The answer to a batch: for each item its signature or verdict, with its key's kid if it has one, or its error."""
    if _SIGNATURES.issuperset(map(type, results)) and None not in kids:  # as nearly all are
        signatures = map(_Signature, cast("Sequence[str]", kids), cast("Sequence[bytes]", results))
        return _encoder.encode([_Success(body=signature) for signature in signatures])
    return _encoder.encode(
        [
            _Error(result.status, result.text) if isinstance(result, Failure) else _Success(body=_body(kid, result))
            for kid, result in zip(kids, results, strict=True)
        ]
    )
