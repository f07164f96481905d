"""The pool of a token: items wait here, travel to signers in messages, and come back as results.

A signer that dies leaves items behind. Nobody knows which of them killed it, so each runs again alone on a signer that
has nothing else to lose; the one that kills again and again gets an error, the rest their signatures. A token that
dies leaves items behind too: those that another token has the key for go there.
"""

import itertools
import logging
import time
from collections.abc import Callable, Iterable

from hsmgate.domain.capabilities import INLINE_KINDS, Capabilities, wrapping
from hsmgate.domain.ckm import WRAPPING_MECHANISMS
from hsmgate.errors import FrameError, ItemError, NoSigner, TokenFailed
from hsmgate.gateway.batch import Item, Work, failure
from hsmgate.gateway.orders import Orders
from hsmgate.gateway.queue import Costs, WaitingItems
from hsmgate.gateway.signer_process import SignerProcess
from hsmgate.gateway.signers import Message, Signer
from hsmgate.ipc.messages import Distrust, FromSigner, Keys, Made, Operation, Sign, Signed, Source

log = logging.getLogger(__name__)

DEATHS_AT_MOST = 3
"""So many signers an item may take with it: once among others, then alone."""

WRONG_AT_MOST = 2
"""So often a token may give an item a wrong signature."""

DISTRUST_SECONDS = 10.0
"""For how long a key whose signatures do not verify is left alone: each of them costs a signer."""

AWAY_AT_MOST_SECONDS = 3.0
"""For how long items wait for a token that has no signer; after that they are refused at once until it has one."""


class TokenPool:
    """Waiting items and ready signers of one token.

    fault: why the token gets no new signer until an operator has put it right, None as long as it does.
    capabilities: what the first signer found out, None until then.
    """

    def __init__(self, name: str, sessions: int, on_keys: Callable[["TokenPool", Keys], None]) -> None:
        self.name = name
        self.signers: list[Signer] = []
        self.fault: str | None = None
        self.capabilities: Capabilities | None = None
        self._sessions = sessions
        self._on_keys = on_keys
        self._costs = Costs()
        self._waiting = WaitingItems(self._costs)
        self._ids = itertools.count()
        self._away_since = time.monotonic()
        self._distrusted: dict[bytes, float] = {}
        self.orders = Orders(self.signers, self._ids)

    @property
    def waiting(self) -> int:
        """How many items wait for a signer."""
        return len(self._waiting)

    def burden(self) -> tuple[bool, float]:
        """What to compare tokens by that could do the same: the least is the best to ask."""
        in_hand = sum(len(message.items) for signer in self.signers for message in signer.in_flight.values())
        return not self.signers, (self.waiting + in_hand) / max(1, self.parallel)

    @property
    def parallel(self) -> int:
        """How many items it signs at a time."""
        return len(self.signers) * self._sessions

    def refusal(self) -> ItemError | None:
        """Why nothing can be signed now or soon, None where it can."""
        if self.signers:
            return None
        if self.fault is not None:
            return NoSigner(self.fault)
        if time.monotonic() - self._away_since > AWAY_AT_MOST_SECONDS:
            return NoSigner(f"token {self.name} cannot be had at present; try again")
        return None

    def submit(self, items: Iterable[Item]) -> None:
        """Sign these items of one batch. Each is answered, unless its batch is over before."""
        if self._distrusted:
            items = self._without_distrusted([*items])
        if not self.signers:
            items = self._that_stay([*items])
        self._waiting.add(items)
        self._dispatch()

    def take_over(self, items: Iterable[Item]) -> None:
        """Take items from a token that cannot do them."""
        for item in items:
            if item.deaths:
                self._waiting.suspects.append(item)
            else:
                self._waiting.add_first((item,))
        self._dispatch()

    def join(self, process: SignerProcess) -> Signer:
        """Take a ready signer in."""
        signer = Signer(process, self._sessions, listing_seconds=process.opened.keys.seconds)
        process.listen(lambda message: self._receive(signer, message))
        self.signers.append(signer)
        self.fault = None
        self.capabilities = process.opened.capabilities
        self._take_keys(process.opened.keys)
        self._dispatch()
        return signer

    def leave(self, signer: Signer) -> int:
        """A signer is gone: run again what it held. Returns how many items that is."""
        self.signers.remove(signer)
        self._away_since = time.monotonic()
        for asked in signer.asked.values():
            asked.give(failure(NoSigner("the signer died; try again")))
        orphans = [item for message in signer.in_flight.values() for item in message.items]
        signer.in_flight.clear()
        again = [item for item in orphans if _may_run_again(item, signer)]
        if signer.distrusted:
            self._waiting.add_first(self._without_distrusted(again))
        else:
            self._waiting.suspects.extend(self._hand_over(again))
        self.let_go()
        self._dispatch()
        return len(orphans)

    def give_up(self, fault: str) -> None:
        """The token gets no new signer until an operator has put it right."""
        self.fault = fault
        self.let_go()

    def let_go(self) -> None:
        """Where the token has no signer, let the items go that another token can sign, or that would wait in vain."""
        if not self.signers:
            self._waiting.sift(self._that_stay)

    def retire_worn(self) -> None:
        """Give the signers that are worn nothing any more."""
        for signer in self.signers:
            signer.retiring |= signer.worn
            signer.note_emptied()

    def wraps_keys(self) -> bool:
        """Whether the token was seen to wrap keys, so that it can make transient ones."""
        return any(self.capabilities is not None and self.capabilities.can(wrapping(m)) for m in WRAPPING_MECHANISMS)

    def takes_inline(self, obj_type: str) -> bool:
        """Whether the token took a key of that type that was made outside."""
        kinds = INLINE_KINDS.get(obj_type.upper(), frozenset())
        return self.capabilities is not None and not kinds.isdisjoint(self.capabilities.inline)

    def has_wrapping_key(self, key_id: bytes) -> bool:
        """Whether the token is known to have the keys that a transient key of that id was made with."""
        return key_id in self.orders.wrapping

    def overdue(self, operation_timeout: float) -> list[Signer]:
        """The signers that hang."""
        return [signer for signer in self.signers if signer.overdue(operation_timeout)]

    def _receive(self, signer: Signer, message: FromSigner) -> None:
        if isinstance(message, Signed):
            self._receive_signed(signer, message)
        elif isinstance(message, Made):
            signer.made(message.id, message.result)
        elif isinstance(message, Keys):
            signer.note_listed(message.seconds)
            self._take_keys(message)
        elif isinstance(message, Distrust):
            self._receive_distrust(signer, message)
        signer.note_emptied()
        self._dispatch()

    def _take_keys(self, keys: Keys) -> None:
        self.orders.came(keys)
        self._on_keys(self, keys)

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
        self._costs.learn(message.items, message.indexes, answer.seconds)

    def _receive_distrust(self, signer: Signer, word: Distrust) -> None:
        """A signature did not verify. The item is known, so the signer's end is no other item's fault."""
        message = signer.in_flight.get(word.id)
        if message is not None and word.index < len(message.items):
            item = message.items[word.index]
            item.wrong += 1
            if item.wrong >= WRONG_AT_MOST:
                self._distrusted[item.work.operation.key] = time.monotonic() + DISTRUST_SECONDS
                log.error("token %s: signatures do not verify under their key; it is left alone for a while", self.name)
        signer.distrusted = True
        signer.process.kill()

    def distrusts(self, work: Work) -> bool:
        """Whether the key is to be left alone for now."""
        return self._distrusted.get(work.operation.key, 0.0) > time.monotonic()

    def _without_distrusted(self, items: list[Item]) -> list[Item]:
        """The items whose key is trusted; the others go to other tokens, or get an error."""
        for item in self._hand_over([item for item in items if self.distrusts(item.work)]):
            item.answer(failure(TokenFailed("the token's signatures do not verify under this key")))
        return [item for item in items if not self.distrusts(item.work)]

    def _that_stay(self, items: list[Item]) -> list[Item]:
        """Of items that this token cannot do now, those that wait for it; the others go elsewhere or are refused."""
        here = self._hand_over(items)
        refusal = self.refusal()
        if refusal is None:
            return here
        for item in here:
            item.answer(failure(refusal))
        return []

    def _hand_over(self, items: list[Item]) -> list[Item]:
        """Hand items to other tokens that have their keys. Returns those that nobody else can do now."""
        here: list[Item] = []
        taken: dict[TokenPool, list[Item]] = {}
        for item in items:
            able = [(p, w) for p, w in item.work.places if p is not self and p.signers and not p.distrusts(w)]
            if able:
                pool, item.work = min(able, key=lambda place: place[0].burden())
                taken.setdefault(pool, []).append(item)
            else:
                here.append(item)
        for pool, its_items in taken.items():
            pool.take_over(its_items)
        return here

    def _dispatch(self) -> None:
        """Send messages for as long as there is something to send and someone to take it."""
        waiting = self._waiting
        while waiting:
            takers = [signer for signer in self.signers if not signer.retiring]
            if waiting.suspects:
                idle = next((signer for signer in takers if signer.idle), None)
                if idle is not None:
                    self._send(idle, [waiting.suspects.popleft()], alone=True)
                    continue
                takers = takers[1:]  # the first is left to become idle
            signer = max(takers, key=lambda signer: signer.room, default=None)
            if signer is None or signer.room <= 0 or not waiting.ordinary:
                return
            self._send(signer, waiting.take(self.parallel), alone=False)

    def _send(self, signer: Signer, items: list[Item], *, alone: bool) -> None:
        items = [item for item in items if not item.batch.over]
        if not items:
            return
        numbers: dict[Work, int] = {}
        indexes = [numbers.setdefault(item.work, len(numbers)) for item in items]
        operations: list[Operation] = [work.operation for work in numbers]
        carried = [(index, item.payload, item.signature) for index, item in zip(indexes, items, strict=True)]
        message = Message(items, indexes, sum(map(self._costs.of, items)))
        number = next(self._ids)
        deadline = max(item.batch.deadline for item in items)
        try:
            signer.process.send(Sign(number, operations, carried, deadline))
        except (FrameError, ValueError):
            for item in items:
                item.answer(failure(TokenFailed("it cannot be carried to a signer")))
            return
        signer.in_flight[number] = message
        signer.alone = alone
        signer.note_brought(sum(operation.source is not Source.TOKEN for operation in operations))
        signer.mark_started()


def _may_run_again(item: Item, signer: Signer) -> bool:
    """Whether an item that a dead signer held runs again; else it has its answer."""
    if item.work.once:
        item.answer(failure(TokenFailed("the signer died; a one-time key is not tried again")))
        return False
    if signer.distrusted:
        return True
    item.deaths += 1
    if item.deaths < DEATHS_AT_MOST:
        return True
    item.answer(failure(TokenFailed(f"the signer died {item.deaths} times with this item in hand")))
    return False
