"""Answers: results in, JSON out (contract: seed page and dsm-wire, section 1). Bytes are base64 with padding."""

from collections.abc import Iterable

import msgspec

from hsmgate.gateway.batch import Result
from hsmgate.ipc.messages import Failure

_encoder = msgspec.json.Encoder()


class _Body(msgspec.Struct, omit_defaults=True, kw_only=True):
    kid: str | None = None
    signature: bytes


class _Verdict(msgspec.Struct, omit_defaults=True, kw_only=True):
    kid: str | None = None
    result: bool


def _body(kid: str | None, result: bytes | bool) -> _Body | _Verdict:
    return _Verdict(kid=kid, result=result) if isinstance(result, bool) else _Body(kid=kid, signature=result)


def write_body(kid: str | None, result: bytes | bool) -> bytes:
    """The answer to a single signing or verification."""
    return _encoder.encode(_body(kid, result))


class _Success(msgspec.Struct):
    status: int
    body: _Body | _Verdict


class _Error(msgspec.Struct):
    status: int
    error: str


def write_answer(kids: Iterable[str | None], results: Iterable[Result]) -> bytes:
    """The answer to a batch: for each item its signature or verdict, with its key's kid if it has one, or its error."""
    return _encoder.encode(
        [
            _Error(result.status, result.text) if isinstance(result, Failure) else _Success(200, _body(kid, result))
            for kid, result in zip(kids, results, strict=True)
        ]
    )
