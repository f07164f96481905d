"""From what waits to messages: which signer gets the next one, and what is in it."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from hsmgate.errors import FrameError, TokenFailed
from hsmgate.gateway.batch import Run, Work, failure
from hsmgate.gateway.queue import EXPRESS_SECONDS, SHORTEST_MESSAGE_SECONDS, Costs, Lane, WaitingItems
from hsmgate.gateway.signers import Message, Signer
from hsmgate.ipc.messages import Part, Sign, Source, Urgency

if TYPE_CHECKING:
    from hsmgate.gateway.pool import TokenPool

PATIENCE_SECONDS = 0.001
"""For how long a session goes on with a message, though there is something more urgent."""

CALL_SECONDS = 0.0001
"""What a call costs the gateway itself, about. Where calls take a signer no longer, one keeps up with the gateway, and
to wake another for less than a message is worth costs more than it helps."""

EVEN_SHARE = 0.9
"""The part of its share of long batches that a signer gets at once, if a message may be so long. The rest evens out
what takes longer than expected."""

EXPRESS_LIKELY_SECONDS = 1.0
"""For how long after something by express more of it is likely to come."""


class Sender:
    """Sends the items that wait for a token to its signers, as these have room."""

    def __init__(self, pool: "TokenPool", waiting: WaitingItems, costs: Costs, ids: Iterator[int]) -> None:
        """ids: numbers for messages, each once."""
        self._pool = pool
        self._waiting = waiting
        self._costs = costs
        self._ids = ids
        self._express_likely_until = 0.0

    def send_all(self) -> None:
        """Send messages for as long as there is something to send and someone to take it."""
        takers = self._pool.signers
        if self._waiting.suspects:
            takers = self._send_suspects([signer for signer in takers if not signer.retiring])
        for urgency, lane in self._waiting.lanes.items():
            if lane.count:
                self._send_lane(lane, takers, urgency)

    def _send_suspects(self, takers: list[Signer]) -> list[Signer]:
        """Send suspects, each alone to an idle signer. Returns who may get what else there is."""
        suspects = self._waiting.suspects
        for signer in takers:
            while suspects and signer.idle:
                self._send(signer, [suspects.popleft()], alone=True)
        return takers[1:] if suspects else takers  # the first is left to become idle

    def _send_lane(self, lane: Lane, takers: Sequence[Signer], urgency: Urgency) -> None:
        express = urgency is Urgency.EXPRESS
        while lane and takers:
            signer = max(takers, key=lambda signer: (signer.room(urgency), not signer.in_flight))
            if signer.room(urgency) <= 0:
                return
            if express and self._had_better_wait(lane, signer, takers):
                return
            free = sum(one.free_for(urgency) for one in takers)
            if urgency is Urgency.LONG:
                share = self._even_share(lane, signer, takers)
            else:
                # Of short batches a busy signer will soon have its share; when all is taken before, they idle in turns.
                share = lane.count // (len(takers) if express else free or len(takers))
            self._send(signer, lane.take(share, self._pool.sessions, busy=not free), urgency)

    def _even_share(self, lane: Lane, signer: Signer, takers: Sequence[Signer]) -> int:
        """How many items to give a signer so that it will be done when the others are.

        Where it is the only one, half of them: its sessions go on with the next message while this one is answered.
        """
        if len(takers) == 1:
            return lane.count // 2
        now, seconds = time.monotonic(), lane.seconds / self._pool.sessions
        done_in = (sum([one.done_in(now) for one in takers]) + seconds) / len(takers)
        return int(EVEN_SHARE * lane.count * (done_in - signer.done_in(now)) / seconds)

    def _had_better_wait(self, lane: Lane, signer: Signer, takers: Sequence[Signer]) -> bool:
        """Whether what is in the express lane had better wait than go to that signer, the one with the most room."""
        seconds, worth = lane.seconds, SHORTEST_MESSAGE_SECONDS * self._pool.sessions
        if signer.busy_with_express:  # it waits no longer here than there, and others that come may share its message
            return seconds < worth
        if signer.in_flight or seconds >= min(worth, CALL_SECONDS * lane.batches):
            return False
        return any(one.soon_done_with_express(EXPRESS_SECONDS) for one in takers)

    def _send(
        self, signer: Signer, runs: list[Run], urgency: Urgency = Urgency.ORDINARY, *, alone: bool = False
    ) -> None:
        """Send a message. Runs that want the same share a part, whichever batches they are of."""
        runs = [run for run in runs if not run.batch.over]
        if not runs:
            return
        together: dict[Work, list[Run]] = {}
        for run in runs:
            together.setdefault(run.work, []).append(run)
        number = next(self._ids)
        parts = [self._part(work, its_runs) for work, its_runs in together.items()]
        counts = [len(part.payloads) for part in parts]
        now = time.monotonic()
        if urgency is Urgency.EXPRESS:
            self._express_likely_until = now + EXPRESS_LIKELY_SECONDS
        gives_way = now < self._express_likely_until
        message = Message([*together.values()], counts, self._expected(counts, together, alone=alone), urgency, now)
        try:
            signer.process.send(Sign(number, parts, max([run.batch.deadline for run in runs]), urgency, gives_way))
        except (FrameError, ValueError):
            for run in runs:
                run.fail(failure(TokenFailed("it cannot be carried to a signer")), self._pool.name)
            return
        for run in runs:
            self._pool.figures.waited.add(now - run.batch.begun, len(run.indexes))
        signer.note_brought(sum(part.operation.source is not Source.TOKEN for part in parts))
        signer.sent(number, message, alone=alone)

    def _part(self, work: Work, runs: list[Run]) -> Part:
        at_once = max(1, int(PATIENCE_SECONDS / self._costs.of(work)))
        if len(runs) == 1:
            return Part(work.operation, runs[0].payloads, runs[0].signatures, at_once)
        payloads = [payload for run in runs for payload in run.payloads]
        return Part(work.operation, payloads, [one for run in runs for one in run.signatures], at_once)

    def _expected(self, counts: Iterable[int], works: Iterable[Work], *, alone: bool) -> float:
        """The seconds that a signer is expected to take for all its sessions' work on so many items of each."""
        seconds = sum(count * self._costs.of(work) for count, work in zip(counts, works, strict=True))
        return seconds / (1 if alone else self._pool.sessions)
