"""The pool of a token: items wait here, travel to signers in messages, and come back as results.

A signer that dies leaves items behind. Nobody knows which of them killed it, so each runs again alone on a signer that
has nothing else to lose; the one that kills again and again gets an error, the rest their signatures. A token that
dies leaves items behind too: those that another token has the key for go there.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Sequence

from hsmgate.errors import ItemError, NoSigner, NoSuchKey, TokenFailed
from hsmgate.gateway.abilities import Abilities
from hsmgate.gateway.batch import Result, Run, Work, failure
from hsmgate.gateway.figures import End, TokenFigures
from hsmgate.gateway.logs import fields
from hsmgate.gateway.orders import Orders
from hsmgate.gateway.queue import Costs, WaitingItems
from hsmgate.gateway.sending import Sender
from hsmgate.gateway.signer_process import SignerProcess
from hsmgate.gateway.signers import Signer
from hsmgate.ipc.messages import Distrust, Failure, FromSigner, Keys, Made, Signed

log = logging.getLogger(__name__)

DEATHS_AT_MOST = 3
"""So many signers an item may take with it: once among others, then alone."""

WRONG_AT_MOST = 2
"""So often a token may give an item a wrong signature."""

DISTRUST_SECONDS = 10.0
"""For how long a key whose signatures do not verify is left alone: each of them costs a signer."""

TOKEN_FAILURES = (NoSuchKey.status, TokenFailed.status, NoSigner.status)
"""What a token says of an item that another token with the same key may sign."""

AWAY_AT_MOST_SECONDS = 3.0
"""For how long items wait for a token that has no signer; after that they are refused at once until it has one."""


class TokenPool:
    """Waiting items and ready signers of one token.

    fault: why the token gets no new signer until an operator has put it right, None as long as it does.
    draining: whether it takes no new work.
    required: whether the gateway is not fit for traffic without it. wanted: how many signers it is to have.
    sessions: of each signer.
    abilities: what can be asked of it.
    orders: what is asked of it besides signing.
    figures: what is counted of it.
    """

    def __init__(self, name: str, sessions: int, on_keys: Callable[["TokenPool", Keys], None]) -> None:
        self.name = name
        self.signers: list[Signer] = []
        self.fault: str | None = None
        self.draining = False
        self.required = True
        self.wanted = 0
        self.abilities = Abilities()
        self.figures = TokenFigures()
        self.sessions = sessions
        self._on_keys = on_keys
        self._keys_begun = 0.0
        self._costs = Costs()
        self._waiting = WaitingItems(self._costs)
        self._ids = itertools.count()
        self._away_since = time.monotonic()
        self._distrusted: dict[bytes, float] = {}
        self._to_dispatch = False
        self._sender = Sender(self, self._waiting, self._costs, self._ids)
        self.orders = Orders(self.signers, self.abilities, self._ids)

    @property
    def waiting(self) -> int:
        """How many items wait for a signer."""
        return len(self._waiting)

    def burden(self) -> tuple[bool, float]:
        """What to compare tokens by that could do the same: the least is the best to ask."""
        return not self.signers, (self.waiting + self.in_flight) / max(1, self.parallel)

    @property
    def in_flight(self) -> int:
        """How many items signers hold."""
        return sum(signer.items_in_hand for signer in self.signers)

    @property
    def parallel(self) -> int:
        """How many items it signs at a time."""
        return len(self.signers) * self.sessions

    def refusal(self) -> ItemError | None:
        """Why nothing can be signed now or soon, None where it can."""
        if self.signers:
            return None
        if self.fault is not None:
            return NoSigner(self.fault)
        if time.monotonic() - self._away_since > AWAY_AT_MOST_SECONDS:
            return NoSigner(f"token {self.name} cannot be had at present; try again")
        return None

    def submit(self, runs: list[Run]) -> None:
        """Sign these items of one batch. Each is answered, unless its batch is over before."""
        if self._distrusted:
            runs = self._without_distrusted(runs)
        if not self.signers:
            runs = self._that_stay(runs)
        self._waiting.add(runs)
        self._dispatch_soon()

    def drain(self) -> None:
        """Take no new work. What waits here goes to other tokens that have its keys; the rest is done here."""
        self.draining = True
        self._waiting.sift(self._hand_over)

    @property
    def empty(self) -> bool:
        """Whether it has nothing left to do."""
        return not (self.waiting or self.orders.pending) and all(signer.idle for signer in self.signers)

    def take_over(self, runs: Iterable[Run]) -> None:
        """Take items from a token that cannot do them."""
        for run in runs:
            if run.deaths:
                self._waiting.suspects.append(run)
            else:
                self._waiting.add_first(run)
        self._dispatch()

    def join(self, process: SignerProcess) -> Signer:
        """Take a ready signer in."""
        signer = Signer(process, self.sessions, listing_seconds=process.opened.keys.seconds)
        process.listen(lambda message: self._receive(signer, message))
        self.signers.append(signer)
        self.fault = None
        self.figures.signed()  # its canary, or the proof of what the token can do
        self.abilities.capabilities = process.opened.capabilities
        self._take_keys(process.opened.keys)
        self._dispatch()
        return signer

    def leave(self, signer: Signer) -> int:
        """A signer is gone: run again what it held. Returns how many items that is."""
        self.signers.remove(signer)
        self._away_since = time.monotonic()
        for asked in signer.asked.values():
            asked.give(failure(NoSigner("the signer died; try again")))
        orphans = [run for message in signer.in_flight.values() for run in message.runs()]
        signer.in_flight.clear()
        if signer.distrusted:
            for run in reversed(self._without_distrusted([run for run in orphans if _may_run_again(run, self.name)])):
                self._waiting.add_first(run)
        else:
            singles = [single for run in orphans if _may_run_again(run, self.name) for single in run.singles()]
            self._waiting.suspects.extend(
                self._hand_over([single for single in singles if _survives(single, self.name)])
            )
        self.let_go()
        self._dispatch()
        return sum(map(len, orphans))

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
        """Take in what the token has, unless a signer that began to read it later has told before."""
        self.orders.came(keys)
        if keys.begun >= self._keys_begun:
            self._keys_begun = keys.begun
            self._on_keys(self, keys)

    def _receive_signed(self, signer: Signer, answer: Signed) -> None:
        message = signer.in_flight.get(answer.id)
        counts = [*map(len, answer.results)]
        if message is None or counts != message.counts:
            pid = signer.process.pid
            about = fields(token=self.name, signer=pid)
            log.error("token %s: signer %d answered what it was not asked; it is killed", self.name, pid, extra=about)
            signer.kill(End.PROTOCOL)
            return
        signer.answered_to(answer.id)
        now = time.monotonic()
        self.figures.in_signer.add(now - message.sent, sum(counts))
        told = zip(message.parts, answer.results, answer.seconds, answer.mechanisms, strict=False)
        for runs, results, seconds, mechanism in told:
            if bytes in map(type, results):
                self.figures.signed_at = now
            self._costs.learn(runs[0].work, seconds / len(results))
            start = 0
            for run in runs:
                stop = start + len(run.indexes)
                self._settle(run, results[start:stop], mechanism)
                start = stop

    def _settle(self, run: Run, results: Sequence[Result], mechanism: str) -> None:
        """Give the items of a run their results; those that the token failed on have a second chance elsewhere."""
        if len(run.work.places) > 1 and not (run.second or run.work.once) and any(map(_is_token_failure, results)):
            for item, result in zip(run.singles(), results, strict=True):
                item.second = True
                if not _is_token_failure(result) or self._hand_over([item]):
                    item.batch.put(item.indexes, (result,), mechanism, item.work.key_type, self.name)
        else:
            run.batch.put(run.indexes, results, mechanism, run.work.key_type, self.name)

    def _receive_distrust(self, signer: Signer, word: Distrust) -> None:
        """A signature did not verify. The item is known, so the signer's end is no other item's fault."""
        message = signer.in_flight.get(word.id)
        if message is not None and word.part < len(message.parts):
            singles = [single for run in message.parts[word.part] for single in run.singles()]
            message.parts[word.part] = singles
            if word.index < len(singles):
                self._blame(singles[word.index])
        signer.distrusted = True
        signer.kill(End.DISTRUSTED)

    def _blame(self, item: Run) -> None:
        """Count a wrong signature. A key that it happens to again is left alone."""
        item.wrong += 1
        if item.wrong >= WRONG_AT_MOST:
            self._distrusted[item.work.operation.key] = time.monotonic() + DISTRUST_SECONDS
            text = "token %s: its signatures do not verify under a key, which is left alone for %g s"
            log.error(text, self.name, DISTRUST_SECONDS, extra=fields(token=self.name))

    def distrusts(self, work: Work) -> bool:
        """Whether the key is to be left alone for now."""
        return self._distrusted.get(work.operation.key, 0.0) > time.monotonic()

    def _without_distrusted(self, runs: list[Run]) -> list[Run]:
        """The runs whose key is trusted; the others go to other tokens, or get an error."""
        trusted = [run for run in runs if not self.distrusts(run.work)]
        for run in self._hand_over([run for run in runs if self.distrusts(run.work)]):
            run.fail(failure(TokenFailed("the token's signatures do not verify under this key")), self.name)
        return trusted

    def _that_stay(self, runs: list[Run]) -> list[Run]:
        """Of runs that this token cannot do now, those that wait for it; the others go elsewhere or are refused."""
        here = self._hand_over(runs)
        refusal = self.refusal()
        if refusal is None:
            return here
        for run in here:
            run.fail(failure(refusal), self.name)
        return []

    def _hand_over(self, runs: list[Run]) -> list[Run]:
        """Hand runs to other tokens that have their keys. Returns those that nobody else can do now."""

        def able(pool: TokenPool, work: Work) -> bool:
            return pool is not self and bool(pool.signers) and not (pool.draining or pool.distrusts(work))

        here: list[Run] = []
        taken: dict[TokenPool, list[Run]] = {}
        for run in runs:
            others = [place for place in run.work.places if able(*place)]
            if others:
                pool, run.work = min(others, key=lambda place: place[0].burden())
                taken.setdefault(pool, []).append(run)
            else:
                here.append(run)
        for pool, its_runs in taken.items():
            pool.take_over(its_runs)
        return here

    def _dispatch_soon(self) -> None:
        """Send what there is at the end of this turn of the loop: requests that came together share messages."""
        if not self._to_dispatch:
            self._to_dispatch = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """Send messages for as long as there is something to send and someone to take it."""
        self._to_dispatch = False
        self._sender.send_all()


def _is_token_failure(result: Result) -> bool:
    """Whether an item has no result for no fault of its own, so that another token may have one."""
    return isinstance(result, Failure) and result.status in TOKEN_FAILURES


def _may_run_again(run: Run, token: str) -> bool:
    """Whether items that a dead signer held may run again; else they have their answer."""
    if run.work.once:
        run.fail(failure(TokenFailed("the signer died; a one-time key is not tried again")), token)
    return not run.work.once


def _survives(item: Run, token: str) -> bool:
    """Count a death. Whether the item is tried again after it; else it has its answer."""
    item.deaths += 1
    if item.deaths >= DEATHS_AT_MOST:
        item.fail(failure(TokenFailed(f"the signer died {item.deaths} times with this item in hand")), token)
    return item.deaths < DEATHS_AT_MOST
