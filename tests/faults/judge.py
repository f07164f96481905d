"""Are the answers to a batch right? Judged in a process of its own, so that judging does not slow the load down."""

import asyncio
import base64
import binascii
import itertools
import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from tests.verify import verify

Asked = tuple[str, dict[str, Any]]
"""The name of a key among those that the judge knows, and the item that was posted."""

LONGEST_TEXT = 160


@dataclass(slots=True)
class Verdict:
    """What became of the items of a batch: each is counted once.

    errors: by status, as honest as an error can be: the item was answered, and it says so.
    missing: answered with 404, though its key is there.
    texts: what the errors said.
    """

    verified: int = 0
    unanswered: int = 0
    missing: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    texts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Judge:
    """The judging process, and the keys that it knows."""

    def __init__(self, public_keys: Mapping[str, PublicKeyTypes], kids: Mapping[str, str]) -> None:
        form = Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        pems = {name: key.public_bytes(*form) for name, key in public_keys.items()}
        self._process = ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), initializer=_take_keys, initargs=(pems, dict(kids))
        )

    async def judge(self, asked: Sequence[Asked], status: int | None, body: bytes) -> Verdict:
        """The verdict on a call's answer; the status is None where there was none."""
        return await asyncio.get_running_loop().run_in_executor(self._process, judge_batch, asked, status, body)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.shutdown()


_keys: dict[str, PublicKeyTypes] = {}
_kids: dict[str, str] = {}


def _take_keys(pems: Mapping[str, bytes], kids: Mapping[str, str]) -> None:
    os.nice(5)  # what is measured goes first
    _keys.update((name, load_pem_public_key(pem)) for name, pem in pems.items())
    _kids.update(kids)


def judge_batch(asked: Sequence[Asked], status: int | None, body: bytes) -> Verdict:
    """The verdict, by the keys that this process was given."""
    verdict = Verdict()
    if status is None:
        verdict.unanswered = len(asked)
        return verdict
    if status != 200:
        verdict.errors[f"call {status}"] = len(asked)
        text = " ".join(body.decode("utf-8", "replace").split())
        verdict.texts[f"call {status}: {text[:LONGEST_TEXT]}"] = len(asked)
        return verdict
    try:
        answers = json.loads(body)
    except ValueError:
        answers = None
    if not isinstance(answers, list) or len(answers) > len(asked):
        verdict.wrong += [f"not a list of {len(asked)} answers: {body[:LONGEST_TEXT]!r}"] * len(asked)
        return verdict
    for (name, item), answer in itertools.zip_longest(asked, answers):
        if answer is None:
            verdict.unanswered += 1
        else:
            _judge_item(verdict, name, item, answer)
    return verdict


def _judge_item(verdict: Verdict, name: str, item: dict[str, Any], answer: Any) -> None:
    match answer:
        case {"status": 200, "body": {"signature": str(signature), **rest}, **others} if not others:
            kid = {"kid": _kids[name]} if name in _kids else {}
            if rest == kid and _verifies(name, item, signature):
                verdict.verified += 1
            else:
                verdict.wrong.append(f"{name}, {json.dumps(item)} got {json.dumps(answer)}")
        case {"status": 404, "error": str(), **others} if not others:
            verdict.missing += 1
        case {"status": int(status), "error": str(text), **others} if status > 200 and not others:
            verdict.errors[str(status)] += 1
            verdict.texts[f"{status}: {text[:LONGEST_TEXT]}"] += 1
        case _:
            verdict.wrong.append(f"{name}, {json.dumps(item)} got {json.dumps(answer)}")


def _verifies(name: str, item: dict[str, Any], signature: str) -> bool:
    try:
        verify(_keys[name], item, base64.b64decode(signature, validate=True))
    except (InvalidSignature, binascii.Error):
        return False
    return True
