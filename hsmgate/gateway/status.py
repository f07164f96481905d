"""What /status shows: how the gateway and its tokens are, for people, and for anyone.

It needs no credentials, so there is nothing in it of keys but how many there are of which kind, nothing of apps, and
no word of a caller's.
"""

import secrets
import time
from collections.abc import Mapping, Sequence

import msgspec

import hsmgate
from hsmgate.gateway.history import SECONDS, History
from hsmgate.gateway.loads import Loads
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.readiness import Readiness, unproven
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.troubles import Troubles

RECENT_SECONDS = 15
"""Who asks for more than the last so many gets all: there are few different answers in a second, and anyone may ask."""


class ProcessStatus(msgspec.Struct):
    """Which of several gateway processes says so: number 1 of 2."""

    number: int
    of: int


class TokenStatus(msgspec.Struct):
    """A token. why: it is not up, or not known to sign. signers: by what they are at, a word, how many.

    drained: it takes no new work. required: the gateway is not ready without it. wanted: signers that it is to have.
    """

    name: str
    up: bool
    drained: bool
    required: bool
    why: str | None
    wanted: int
    signers: dict[str, int]
    sessions: int
    in_flight: int
    waiting: int


class TroubleStatus(msgspec.Struct):
    """What went wrong, how often within the history, and when last, in seconds since 1970."""

    what: str
    token: str | None
    count: int
    last: float


class HistoryStatus(msgspec.Struct):
    """A number for each second, the newest last; null where there is nothing to tell.

    tokens: of the items that each token's signers gave back.
    seconds: how many are remembered at most. last: how many there have been, which is what `since` says the next time.
    """

    seconds: int
    last: int
    ok: Sequence[float]
    failed: Sequence[float]
    p50_ms: Sequence[float | None]
    p99_ms: Sequence[float | None]
    waiting: Sequence[int]
    tokens: Mapping[str, Sequence[float | None]]


class StatusAnswer(msgspec.Struct):
    """GET /status.json. instance: this process, in a word that no other has. Times are seconds since 1970.

    config_refused: where in the newest config the problems are for which it was refused; none where it was not.
    """

    instance: str
    version: str
    now: float
    uptime_seconds: float
    config_taken_over_at: float
    config_refused: Sequence[str]
    process: ProcessStatus
    ready: bool
    problems: Sequence[str]
    tokens: Sequence[TokenStatus]
    keys: Mapping[str, int]
    errors: Sequence[TroubleStatus]
    history: HistoryStatus


class Status:
    """Makes the answers. history: what it remembers."""

    def __init__(self, signer: BatchSigner, readiness: Readiness, troubles: Troubles, loads: Loads) -> None:
        self.history = History(signer, troubles)
        self._signer = signer
        self._readiness = readiness
        self._instance = secrets.token_hex(8)
        self._started = time.monotonic()
        self._loads = loads
        self._kinds: tuple[int, Mapping[str, int]] = -1, {}
        self._answers: dict[int, bytes] = {}
        self._answered_at = -1

    def answer(self, since: int) -> bytes:
        """JSON, with the seconds of the history after the first so many, or with all. The same for a second."""
        count = self.history.count
        if self._answered_at != count:
            self._answers, self._answered_at = {}, count
        new = max(0, count - since)
        seconds = new if new <= RECENT_SECONDS else SECONDS
        if seconds not in self._answers:
            self._answers[seconds] = msgspec.json.encode(self._answer(seconds))
        return self._answers[seconds]

    def _answer(self, seconds: int) -> StatusAnswer:
        problems = self._readiness.problems()
        return StatusAnswer(
            instance=self._instance,
            version=hsmgate.__version__,
            now=round(time.time(), 3),
            uptime_seconds=round(time.monotonic() - self._started, 3),
            config_taken_over_at=round(self._loads.taken_at, 3),
            config_refused=self._loads.places(),
            process=ProcessStatus(*self._signer.place),
            ready=not problems,
            problems=problems,
            tokens=[_of_token(pool) for pool in self._signer.pools],
            keys=self._keys(),
            errors=[TroubleStatus(*what, count, round(last, 3)) for what, count, last in self.history.troubles()],
            history=self._history(seconds),
        )

    def _history(self, count: int) -> HistoryStatus:
        seconds = self.history.latest(count)
        return HistoryStatus(
            seconds=SECONDS,
            last=self.history.count,
            ok=[second.ok for second in seconds],
            failed=[second.failed for second in seconds],
            p50_ms=[second.p50_ms for second in seconds],
            p99_ms=[second.p99_ms for second in seconds],
            waiting=[second.waiting for second in seconds],
            tokens={pool.name: [second.tokens.get(pool.name) for second in seconds] for pool in self._signer.pools},
        )

    def _keys(self) -> Mapping[str, int]:
        """To count them takes a look at every key."""
        keyring = self._signer.keyring
        if self._kinds[0] != keyring.version:
            self._kinds = keyring.version, keyring.kinds()
        return self._kinds[1]


def _of_token(pool: TokenPool) -> TokenStatus:
    retiring = sum(signer.retiring for signer in pool.signers)
    at_work = sum(not signer.idle and not signer.retiring for signer in pool.signers)
    why = unproven(pool)
    return TokenStatus(
        name=pool.name,
        up=bool(pool.signers),
        drained=pool.draining,
        required=pool.required and not pool.draining,
        why=None if why is None else why.removeprefix(f"token {pool.name}: "),
        wanted=pool.wanted,
        signers={
            "at work": at_work,
            "idle": len(pool.signers) - retiring - at_work,
            "retiring": retiring,
            "starting": pool.figures.starting,
        },
        sessions=pool.parallel,
        in_flight=pool.in_flight,
        waiting=pool.waiting,
    )
