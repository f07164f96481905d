"""Signers that a test plays, and callers for them."""

import asyncio
import functools
import math
from collections.abc import Callable, Iterable

from hsmgate.domain.capabilities import Capabilities, wrapping
from hsmgate.domain.model import SignParams
from hsmgate.errors import DeadlinePassed
from hsmgate.gateway.batch import Batch, Result, Run, Work
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.queue import SHORTEST_MESSAGE_SECONDS
from hsmgate.gateway.signer_process import SignerProcess
from hsmgate.gateway.signers import Signer
from hsmgate.ipc.frames import frame
from hsmgate.ipc.messages import (
    Failure,
    FromSigner,
    Keys,
    Opened,
    Operation,
    Sign,
    Signed,
    ToSigner,
    encode,
)

ABLE = Capabilities.of((), {wrapping(0x210B)}, {"RSA", "Ed25519", "MlDsa65"})
PARAMS = SignParams("SHA256", prehashed=False)
FAST, SLOW = b"fast", b"slow"
SECONDS = {FAST: 1e-4, SLOW: 1.0}
"""What an item of the key takes, once that was seen."""


class FakeProcess(SignerProcess):
    """A signer that does what the test says, and keeps what it was sent."""

    def __init__(self, wrapping_ids: Iterable[bytes] = ()) -> None:
        self.opened = Opened("fake", [], ABLE, Keys([], [*wrapping_ids], 0.0, 0.0))
        self.pid = 1
        self.killed = False
        self.sent: list[ToSigner] = []
        self.hear: Callable[[FromSigner], None] = lambda message: None

    def listen(self, on_message: Callable[[FromSigner], None]) -> None:
        self.hear = on_message

    def send(self, message: ToSigner) -> None:
        frame(encode(message))
        self.sent.append(message)

    def kill(self) -> None:
        self.killed = True

    @property
    def unanswered(self) -> list[Sign]:
        return [message for message in self.sent if isinstance(message, Sign)]

    def answer(self, message: Sign | None = None, seconds: float | None = None) -> Sign:
        """Sign a message, the first that came unless told otherwise. seconds: of each item, if not as ever."""
        message = message or self.unanswered[0]
        self.sent.remove(message)
        took = [
            (SECONDS.get(part.operation.key, 0.0) if seconds is None else seconds) * len(part.payloads)
            for part in message.parts
        ]
        results = [[b"signed " + payload for payload in part.payloads] for part in message.parts]
        mechanisms = ["CKM_ECDSA"] * len(results)
        self.hear(Signed(message.id, results, took, mechanisms))  # type: ignore[arg-type]
        return message

    def answer_all(self) -> list[list[bytes]]:
        """Sign until nothing is left; the payloads of each message."""
        answered = []
        while self.unanswered:
            answered.append(payloads(self.answer()))
        return answered


def payloads(message: Sign) -> list[bytes]:
    return [payload for part in message.parts for payload in part.payloads]


@functools.cache
def work(key: bytes, once: bool) -> Work:
    """Items that want the same share it, those of different callers too."""
    return Work(Operation(key, PARAMS), once=once)


class Caller:
    """One batch, and its items for a pool."""

    def __init__(self, *contents: bytes, key: bytes = FAST, once: bool = False) -> None:
        self.batch = Batch(len(contents), 60.0)
        self.runs = [Run(self.batch, work(key, once), [*range(len(contents))], [*contents], [])]

    async def results(self) -> list[Result]:
        asyncio.get_running_loop().call_soon(self.batch.give_up)
        return [*await self.batch.wait(lambda: DeadlinePassed("late"))]


LATE = Failure(504, "late")


class PromptPool(TokenPool):
    """It does not wait for others that come in the same turn of the loop, but where a test says so."""

    in_one_turn = False

    def _dispatch_soon(self) -> None:
        if not self.in_one_turn:
            self._dispatch()

    def submit_together(self, callers: Iterable[Caller]) -> None:
        self.in_one_turn = True
        for caller in callers:
            self.submit(caller.runs)
        self.in_one_turn = False
        self._dispatch()


def new_pool(sessions: int = 1) -> PromptPool:
    return PromptPool("t", sessions, lambda pool, keys: None)


def with_signer(sessions: int = 1) -> tuple[PromptPool, FakeProcess, Signer]:
    """A pool with one signer, that has seen what items of each key take."""
    pool, process = new_pool(sessions), FakeProcess()
    signer = pool.join(process)
    for key in SECONDS:
        pool.submit(Caller(b"", key=key).runs)
        process.answer()
    return pool, process, signer


def occupied(sessions: int = 1, key: bytes = SLOW) -> tuple[PromptPool, FakeProcess, Signer]:
    """A pool whose only signer has all the messages that it takes in the lane of such a key: what comes now waits."""
    pool, process, signer = with_signer(sessions)
    for _ in range(2):
        # As many as are worth a message.
        pool.submit(Caller(*[b"before"] * math.ceil(SHORTEST_MESSAGE_SECONDS / SECONDS[key]), key=key).runs)
    assert (len(process.unanswered), pool.waiting) == (2, 0)
    return pool, process, signer
