"""Metrics, as Prometheus reads them: the figures of tokens, items, calls and the audit log, taken over once a second.

Whatever is in a label is one of a few words of ours or of the config: no key's name, no kid, nothing of a caller's.
Where PROMETHEUS_MULTIPROC_DIR is set, the values are in files there, and whichever of several gateway processes is
asked answers for all. It counts from when the library is imported.
"""

import asyncio
import os
import platform
import time
from dataclasses import dataclass

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, exposition

import hsmgate
from hsmgate.gateway import shared_metrics
from hsmgate.gateway.audit.log import AuditLog
from hsmgate.gateway.calls import Calls
from hsmgate.gateway.figures import BOUNDS_SECONDS, Durations, End, StartFault, Tally
from hsmgate.gateway.loads import Loads
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.readiness import Readiness
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.tls import Tls

CONTENT_TYPE = exposition.CONTENT_TYPE_PLAIN_0_0_4

SAMPLE_SECONDS = 1.0

SHORTEST_SECONDS = 0.2
"""Who asks again sooner gets the same text: anyone may ask, and it takes some milliseconds to write."""


class _Seconds(Histogram):
    """A histogram that takes over many observations at once."""

    def pour(self, durations: Durations) -> None:
        """Take them over."""
        counts, seconds = durations.take()
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(seconds)


@dataclass(frozen=True, slots=True)
class Outside:
    """What comes of new configs, and what the gateway is served with."""

    loads: Loads
    tls: Tls | None = None


class Metrics:
    """Everything that is exported. docs/monitoring.md has names and labels; a test holds it to this."""

    def __init__(
        self, signer: BatchSigner, calls: Calls, readiness: Readiness, audit: AuditLog | None, outside: Outside
    ) -> None:
        shared_metrics.check_folder()
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._signer = signer
        self._calls = calls
        self._readiness = readiness
        self._registry = CollectorRegistry()
        self._items = _Items(self._registry)
        self._tokens = _Tokens(self._registry)
        self._audit = None if audit is None else _Audit(self._registry, audit)
        self._outside = _Outside(self._registry, outside)
        self._http = _counter(
            self._registry, "http_calls", "HTTP calls that were answered.", "method", "route", "status"
        )
        self._ready = _gauge(self._registry, "ready", "1 while GET /readyz says 200, else 0.", "livemin")
        build = _gauge(self._registry, "build_info", "What this is: always 1.", "livemax", "version", "python_version")
        build.labels(hsmgate.__version__, platform.python_version()).set(1)
        self._text: tuple[float, bytes] = 0.0, b""

    async def keep(self) -> None:
        """Take the figures over, for ever."""
        while True:
            self.sample()
            await asyncio.sleep(SAMPLE_SECONDS)

    def close(self) -> None:
        """Nobody counts here any more: what this process is no longer is no part of the sum of all."""
        shared_metrics.leave()

    def sample(self) -> None:
        """Take the figures over."""
        self._items.sample(self._signer)
        for pool in self._signer.pools:
            self._tokens.sample(pool)
        self._tokens.forget_others({pool.name for pool in self._signer.pools})
        for labels, count in self._calls.take().items():
            self._http.labels(*labels).inc(count)
        self._ready.set(self._readiness.look())
        self._outside.sample()
        if self._audit is not None:
            self._audit.sample()

    def text(self) -> bytes:
        """All metrics as they are now, in Prometheus's text format."""
        written, text = self._text
        now = time.monotonic()
        if not text or now - written > SHORTEST_SECONDS:
            self.sample()
            of_all = shared_metrics.of_all(pool.name for pool in self._signer.pools)
            text = exposition.generate_latest(of_all or self._registry)
            self._text = now, text
        return text


class _Items:
    """What became of items."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("operation", "status", "key_type", "mechanism")
        self._count = _counter(registry, "items", "Items that were answered, each with a status of its own.", *labels)
        self._seconds = _seconds(registry, "item_seconds", "From when an item's call was read until it had its result.")

    def sample(self, signer: BatchSigner) -> None:
        for (operation, status, key_type, mechanism), count in signer.figures.counts.take().items():
            self._count.labels(operation, status, key_type, mechanism).inc(count)
        self._seconds.pour(signer.figures.seconds)


class _Tokens:
    """How the tokens are, and their signers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, mode: str, *labels: str) -> Gauge:
            return _gauge(registry, name, text, mode, "token", *labels)

        self._up = gauge("token_up", "1 while the token has a signer, else 0.", "livemin")
        self._drained = gauge("token_drained", "1 while the token takes no new work (drain), else 0.", "livemax")
        self._signed_at = gauge(
            "token_last_signature_timestamp_seconds", "When the token last signed, a canary at least.", "livemin"
        )
        self._signers = gauge("signers", "Signer processes.", "livesum", "state")
        self._wanted = gauge("signers_wanted", "Signer processes that the config wants.", "livesum")
        self._sessions = gauge("sessions", "Items that can be signed at a time.", "livesum")
        self._waiting = gauge("items_waiting", "Items that wait for a signer.", "livesum")
        self._in_flight = gauge("items_in_flight", "Items that signers hold.", "livesum")
        self._ends = _counter(registry, "signer_restarts", "Signers that ended and were replaced.", "token", "reason")
        text = "Signers that could not be started."
        self._failed_starts = _counter(registry, "signer_start_failures", text, "token", "reason")
        text = "From when an item's call was read until it was sent to a signer."
        self._waited = _seconds(registry, "item_queue_seconds", text, "token")
        text = "From when an item was sent to a signer until it came back."
        self._in_signer = _seconds(registry, "item_signer_seconds", text, "token")
        self._known: set[str] = set()

    def sample(self, pool: TokenPool) -> None:
        name, figures = pool.name, pool.figures
        if name not in self._known:
            self._begin(name)
        retiring = sum(signer.retiring for signer in pool.signers)
        for state, count in (
            ("ready", len(pool.signers) - retiring),
            ("retiring", retiring),
            ("starting", figures.starting),
        ):
            self._signers.labels(name, state).set(count)
        self._up.labels(name).set(bool(pool.signers))
        self._drained.labels(name).set(pool.draining)
        self._wanted.labels(name).set(pool.wanted)
        self._signed_at.labels(name).set(max(0.0, time.time() - figures.unsigned_seconds()))
        self._sessions.labels(name).set(pool.parallel)
        self._waiting.labels(name).set(pool.waiting)
        self._in_flight.labels(name).set(pool.in_flight)
        _count_all(self._ends, name, figures.ends)
        _count_all(self._failed_starts, name, figures.failed_starts)
        self._waited.labels(name).pour(figures.waited)
        self._in_signer.labels(name).pour(figures.in_signer)

    def forget_others(self, names: set[str]) -> None:
        """What a token is like ends with it; what was counted of it stays. In files it is left out later."""
        if shared_metrics.FOLDER in os.environ:
            return
        for name in self._known - names:
            for gauge in (self._up, self._drained, self._wanted, self._signed_at):
                gauge.remove(name)
            for gauge in (self._sessions, self._waiting, self._in_flight):
                gauge.remove(name)
            for state in ("ready", "retiring", "starting"):
                self._signers.remove(name, state)
        self._known &= names

    def _begin(self, name: str) -> None:
        """Let every reason be there from the start: a rate needs a zero to rise from."""
        self._known.add(name)
        for end in End:
            self._ends.labels(name, end)
        for fault in StartFault:
            self._failed_starts.labels(name, fault)


class _Outside:
    """What is around the gateway: its config, its certificate."""

    def __init__(self, registry: CollectorRegistry, outside: Outside) -> None:
        self._loads, self._tls = outside.loads, outside.tls
        text = "1 while the newest config is in force, 0 while it is refused."
        self._successful = _gauge(registry, "config_last_reload_successful", text, "livemin")
        text = "When a config was last taken over, at the start at least."
        self._taken_at = _gauge(registry, "config_last_reload_success_timestamp_seconds", text, "livemin")
        if self._tls is not None:
            text = "When the certificate that new connections get expires."
            self._expires_at = _gauge(registry, "tls_certificate_expires_timestamp_seconds", text, "livemin")

    def sample(self) -> None:
        self._successful.set(not self._loads.problems)
        self._taken_at.set(self._loads.taken_at)
        if self._tls is not None:
            self._expires_at.set(self._tls.expires_at)


class _Audit:
    """How the audit log is."""

    def __init__(self, registry: CollectorRegistry, audit: AuditLog) -> None:
        self._audit = audit
        self._last: dict[Counter, int] = {}
        self._records = _counter(registry, "audit_records", "Lines that were written to the audit log.")
        self._lost = _counter(registry, "audit_lost_records", "Records that could not be written.")
        self._lost_items = _counter(registry, "audit_lost_items", "Items of batches whose record could not be written.")
        text = "Calls that were refused because the audit log could not be written."
        self._refused = _counter(registry, "audit_refused_calls", text)
        self._writable = _gauge(registry, "audit_writable", "1 while the audit log can be written, else 0.", "livemin")
        if audit.syncs:
            text = "Records that are written and not yet synced."
            self._unsynced = _gauge(registry, "audit_unsynced_records", text, "livesum")
            text = "When all that was written before was on the disk last."
            self._synced_at = _gauge(registry, "audit_last_sync_timestamp_seconds", text, "livemin")
        if audit.heads is not None:
            text = "When the end of the log was last signed."
            self._head_at = _gauge(registry, "audit_last_head_timestamp_seconds", text, "livemin")
            text = "1 while records have waited for a signed head for more than twice head_interval, else 0."
            self._head_overdue = _gauge(registry, "audit_head_overdue", text, "livemax")

    def sample(self) -> None:
        chain, heads = self._audit.chain, self._audit.heads
        for metric, total in (
            (self._records, chain.seq),
            (self._lost, chain.lost.records),
            (self._lost_items, chain.lost.items),
            (self._refused, self._audit.refused_calls),
        ):
            metric.inc(total - self._last.get(metric, 0))
            self._last[metric] = total
        self._writable.set(chain.trouble is None)
        if self._audit.syncs:
            self._unsynced.set(self._audit.unsynced)
            self._synced_at.set(self._audit.synced_at)
        if heads is not None:
            self._head_at.set(heads.signed_at)
            self._head_overdue.set(heads.overdue())


def _count_all(metric: Counter, token: str, counts: Tally[End] | Tally[StartFault]) -> None:
    for reason, count in counts.take().items():
        metric.labels(token, reason).inc(count)


def _counter(registry: CollectorRegistry, name: str, text: str, *labels: str) -> Counter:
    return Counter(name, text, labels, namespace="hsmgate", registry=registry)


def _gauge(registry: CollectorRegistry, name: str, text: str, mode: str, *labels: str) -> Gauge:
    """mode: what several processes' values are together, as prometheus_client has it."""
    return Gauge(name, text, labels, namespace="hsmgate", registry=registry, multiprocess_mode=mode)  # type: ignore[arg-type]


def _seconds(registry: CollectorRegistry, name: str, text: str, *labels: str) -> _Seconds:
    return _Seconds(name, text, labels, namespace="hsmgate", registry=registry, buckets=BOUNDS_SECONDS)
