"""The pool of a token: items wait here, travel to signers in messages, and come back as results.

Messages are sized by time, not by count: about MESSAGE_SECONDS of signing, by what each key was seen to take. Batches
take turns, message by message, and small ones share a message, so a huge batch neither starves the others nor pays for
each item.

A signer that dies leaves items behind. Nobody knows which of them killed it, so each runs again alone on a signer that
has nothing else to lose; the one that kills again and again gets an error, the rest their signatures.
"""

import asyncio
import itertools
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable

from msgspec import structs

from hsmgate.domain.capabilities import INLINE_KINDS, Capabilities, wrapping
from hsmgate.domain.ckm import WRAPPING_MECHANISMS
from hsmgate.domain.envelope import Blob
from hsmgate.errors import FrameError, NoSigner, TokenFailed
from hsmgate.gateway.batch import Item, failure, item_error
from hsmgate.gateway.signer_process import SignerProcess
from hsmgate.gateway.signers import Asked, Message, Signer
from hsmgate.ipc.frames import KIB
from hsmgate.ipc.messages import (
    Action,
    DeriveSecret,
    Failure,
    FromSigner,
    Generate,
    Keys,
    ListKeys,
    Made,
    Manage,
    Operation,
    Sign,
    Signed,
    Source,
)

log = logging.getLogger(__name__)

MESSAGE_SECONDS = 0.005
SHORTEST_MESSAGE_SECONDS = 0.0005
MESSAGE_BYTES = 1024 * KIB
UNKNOWN_ITEM_SECONDS = 0.005
"""What an item is taken to cost until its key was seen."""

SEEN_WITHIN_SECONDS = 10.0
"""For how long a change waits to be read back."""

DEATHS_AT_MOST = 3
"""So many signers an item may take with it: once among others, then alone."""


class TokenPool:
    """Waiting items and ready signers of one token.

    fault: why this token will not sign again without an operator, None as long as it may.
    capabilities: what the first signer found out, None until then.
    """

    def __init__(self, name: str, sessions: int, on_keys: Callable[["TokenPool", Keys], None]) -> None:
        self.name = name
        self.signers: list[Signer] = []
        self.fault: str | None = None
        self.waiting = 0
        self.capabilities: Capabilities | None = None
        self._wrapping: set[bytes] = set()
        self._looking: dict[int, asyncio.Future[None]] = {}
        self._sessions = sessions
        self._on_keys = on_keys
        self._turns: deque[deque[Item]] = deque()
        self._suspects: deque[Item] = deque()
        self._seconds: dict[bytes, float] = {}
        self._ids = itertools.count()

    def submit(self, items: Iterable[Item]) -> None:
        """Sign these items of one batch. Each is answered, unless its batch is over before."""
        queue = deque(items)
        if self.fault is not None:
            self._refuse(queue, self.fault)
        elif queue:
            self._turns.append(queue)
            self.waiting += len(queue)
            self._dispatch()

    def join(self, process: SignerProcess) -> Signer:
        """Take a ready signer in."""
        signer = Signer(process, self._sessions)
        process.listen(lambda message: self._receive(signer, message))
        self.signers.append(signer)
        self.capabilities = process.opened.capabilities
        self._take_keys(process.opened.keys)
        self._dispatch()
        return signer

    def leave(self, signer: Signer) -> int:
        """A signer is gone: run again what it held. Returns how many items that is."""
        self.signers.remove(signer)
        for asked in signer.asked.values():
            asked.give(failure(NoSigner("the signer died; try again")))
        orphans = [item for message in signer.in_flight.values() for item in message.items]
        signer.in_flight.clear()
        for item in orphans:
            item.deaths += 1
            if item.once:
                item.answer(failure(TokenFailed("the signer died; a one-time key is not tried again")))
            elif self.fault is not None:
                item.answer(failure(NoSigner(self.fault)))
            elif item.deaths < DEATHS_AT_MOST:
                self._suspects.append(item)
                self.waiting += 1
            else:
                item.answer(failure(TokenFailed(f"the signer died {item.deaths} times with this item in hand")))
        self._dispatch()
        return len(orphans)

    def give_up(self, fault: str) -> None:
        """The token will not sign again: refuse what waits and what comes."""
        self.fault = fault
        for queue in (*self._turns, self._suspects):
            self._refuse(queue, fault)
        self._turns.clear()
        self._suspects.clear()
        self.waiting = 0

    async def generate(self, order: Generate) -> bytes:
        """The blob of a new transient key. Raises ItemError."""
        blob = await self._ask(order)
        self._wrapping.add(Blob.read(blob).key_id)
        return blob

    async def derive_secret(self, purpose: str, *, create: bool) -> bytes:
        """32 secret bytes, the same for everyone who has the token. Raises ItemError."""
        return await self._ask(DeriveSecret(0, purpose, create))

    async def manage(self, order: Manage) -> None:
        """Change the token's keys, and see the change before returning. Raises ItemError."""
        await self._ask(order)
        seen: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        number = next(self._ids)
        self._looking[number] = seen
        self.list_keys(number)
        await asyncio.wait((seen,), timeout=SEEN_WITHIN_SECONDS)
        self._looking.pop(number, None)

    async def _ask(self, order: Generate | DeriveSecret | Manage) -> bytes:
        signer = max(self.signers, key=lambda signer: (not signer.alone, signer.room), default=None)
        if signer is None:
            raise NoSigner("no signer is ready")
        asked = Asked(asyncio.get_running_loop().create_future())
        numbered = structs.replace(order, id=next(self._ids))
        signer.asked[numbered.id] = asked
        signer.process.send(numbered)
        result = await asked.answer
        if isinstance(result, Failure):
            raise item_error(result)
        return result

    def wraps_keys(self) -> bool:
        """Whether the token was seen to wrap keys, so that it can make transient ones."""
        return any(self.capabilities is not None and self.capabilities.can(wrapping(m)) for m in WRAPPING_MECHANISMS)

    def takes_inline(self, obj_type: str) -> bool:
        """Whether the token took a key of that type that was made outside."""
        kinds = INLINE_KINDS.get(obj_type.upper(), frozenset())
        return self.capabilities is not None and not kinds.isdisjoint(self.capabilities.inline)

    def has_wrapping_key(self, key_id: bytes) -> bool:
        """Whether the token is known to have the keys that a transient key of that id was made with."""
        return key_id in self._wrapping

    def list_keys(self, number: int = -1) -> None:
        """Ask a signer to read the keys again; the answer goes to `on_keys`, and to who looks for that number."""
        if self.signers:
            self.signers[0].process.send(ListKeys(number))

    def overdue(self, operation_timeout: float) -> list[Signer]:
        """The signers that hang."""
        return [signer for signer in self.signers if signer.overdue(operation_timeout)]

    def _receive(self, signer: Signer, message: FromSigner) -> None:
        if isinstance(message, Signed):
            self._receive_signed(signer, message)
        elif isinstance(message, Made):
            signer.made(message.id, message.result)
            self._dispatch()
        elif isinstance(message, Keys):
            self._take_keys(message)

    def _take_keys(self, keys: Keys) -> None:
        self._wrapping.update(keys.wrapping)
        self._on_keys(self, keys)
        seen = self._looking.get(keys.id)
        if seen is not None and not seen.done():
            seen.set_result(None)

    def _receive_signed(self, signer: Signer, answer: Signed) -> None:
        message = signer.in_flight.pop(answer.id, None)
        if message is None or len(answer.results) != len(message.items):
            log.error("token %s: signer %d answered what it was not asked; it is killed", self.name, signer.process.pid)
            if message is not None:
                signer.in_flight[answer.id] = message
            signer.process.kill()
            return
        signer.alone = False
        signer.answered = True
        signer.mark_started()
        for item, result in zip(message.items, answer.results, strict=True):
            item.answer(result)
        self._learn(message, answer.seconds)
        self._dispatch()

    def _learn(self, message: Message, seconds: list[float]) -> None:
        """What an item of each key takes, as a running mean that follows within a few messages."""
        counts = Counter(_cost_key(item.operation) for item in message.items)
        spent: dict[bytes, float] = {}
        for operation, used in zip(message.operations, seconds, strict=False):
            key = _cost_key(operation)
            spent[key] = spent.get(key, 0.0) + used
        for key, count in counts.items():
            seen = spent.get(key, 0.0) / count
            self._seconds[key] = (self._seconds.get(key, seen) + seen) / 2

    def _cost(self, item: Item) -> float:
        """The seconds that an item is expected to take."""
        return self._seconds.get(_cost_key(item.operation), UNKNOWN_ITEM_SECONDS)

    def _dispatch(self) -> None:
        """Send messages for as long as there is something to send and someone to take it."""
        while self.waiting:
            takers = self.signers
            if self._suspects:
                idle = next((signer for signer in takers if signer.idle), None)
                if idle is not None:
                    self._send(idle, [self._next_suspect()], alone=True)
                    continue
                takers = takers[1:]  # the first is left to become idle
            signer = max(takers, key=lambda signer: signer.room, default=None)
            if signer is None or signer.room <= 0 or not self._turns:
                return
            self._send(signer, self._take(), alone=False)

    def _next_suspect(self) -> Item:
        self.waiting -= 1
        return self._suspects.popleft()

    def _take(self) -> list[Item]:
        """The items of the next message: those of the batch whose turn it is, then of the next, until there are enough.

        An even share for every session, so that all end at about the same time, but never more than MESSAGE_SECONDS'
        worth.
        """
        share = self.waiting // max(1, len(self.signers) * self._sessions)
        taken: list[Item] = []
        seconds, size = 0.0, 0
        while self._turns and size < MESSAGE_BYTES and seconds < MESSAGE_SECONDS:
            if len(taken) >= share and seconds >= SHORTEST_MESSAGE_SECONDS:
                break
            item = self._turns[0].popleft()
            self.waiting -= 1
            if not item.batch.over:
                taken.append(item)
                size += len(item.payload) + len(item.operation.key)
                seconds += self._cost(item)
            if not self._turns[0]:
                self._turns.popleft()
        if self._turns and taken and self._turns[0][0].batch is taken[-1].batch:
            self._turns.rotate(-1)  # it had its turn
        return taken

    def _send(self, signer: Signer, items: list[Item], *, alone: bool) -> None:
        items = [item for item in items if not item.batch.over]
        if not items:
            return
        operations: dict[Operation, int] = {}
        carried = [
            (operations.setdefault(item.operation, len(operations)), item.payload, item.signature) for item in items
        ]
        expected = sum(map(self._cost, items))
        message = Message(items, list(operations), expected)
        number = next(self._ids)
        try:
            signer.process.send(Sign(number, message.operations, carried))
        except (FrameError, ValueError):
            for item in items:
                item.answer(failure(TokenFailed("it cannot be carried to a signer")))
            return
        signer.in_flight[number] = message
        signer.alone = alone
        signer.mark_started()

    def _refuse(self, items: Iterable[Item], fault: str) -> None:
        refusal = failure(NoSigner(fault))
        for item in items:
            item.answer(refusal)


def _cost_key(operation: Operation) -> bytes:
    """What operations of about the same cost share: a key, or the kind and size of one that a caller brought."""
    if operation.source is Source.TOKEN and operation.action is Action.SIGN:
        return operation.key
    kind = operation.obj_type.upper() if operation.obj_type.upper() in INLINE_KINDS else ""
    return f"{operation.action} {operation.source} {kind} {len(operation.key) // 64}".encode()
