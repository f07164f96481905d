"""Gunicorn's arbiter over workers that are gateways: one after the other at the start, and again when one dies.

A PIN that a token refuses must not be tried by every worker. So the second worker starts when the first can sign, and
one that cannot start ends them all; later, when others serve, a refused PIN keeps dead workers from being replaced
until SIGHUP.
"""

import asyncio
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from hsmgate.config import Config
from hsmgate.errors import PIN_REFUSED
from hsmgate.gateway import logs
from hsmgate.gateway.door import address, bind
from hsmgate.gateway.pin import take_variables
from hsmgate.gateway.server import check_place
from hsmgate.gateway.service_manager import ServiceManager, take_sockets
from hsmgate.gateway.starts import Backoff
from hsmgate.gateway.workers.plan import Plan
from hsmgate.gateway.workers.reports import Report, What
from hsmgate.gateway.workers.worker import GatewayWorker

log = logging.getLogger(__name__)

STOP_SECONDS = 10.0
"""Besides `drain_timeout`, for a worker to end."""


def serve_with_workers(config: Config, listen: str) -> NoReturn:
    """Serve with `workers` processes until SIGTERM or SIGINT; ends this process, with 0 where it could serve.

    Prints one line with the address once all workers can sign. Raises ConfigError where nobody should listen there.
    """
    take_variables(token.pin_source for token in config.token)
    manager, sockets = ServiceManager.take(), take_sockets()
    asyncio.run(check_place(config, listen, sockets))
    sockets = sockets or bind(listen)
    plan = Plan(config, listen, GatewayWorker)
    GatewayArbiter(plan, sockets, manager).run()
    sys.exit(0)


class GatewayArbiter(Arbiter):  # type: ignore[misc] # gunicorn has no types
    """The arbiter. Its workers' exit codes say nothing: what is to be known of them comes over the pipe."""

    WORKER_BOOT_ERROR = APP_LOAD_ERROR = -1

    def __init__(self, plan: Plan, sockets: Sequence[socket.socket], manager: ServiceManager) -> None:
        super().__init__(plan)
        self.LISTENERS = [*sockets]
        self.systemd = True  # whoever holds the sockets, they are not taken away
        self.cfg.set("child_exit", lambda arbiter, worker: arbiter.note_end(worker))
        self._plan = plan
        self._manager = manager
        self._address = " ".join(address(one, plan.config.server.tls_certificate is not None) for one in sockets)
        self._complete = False
        self._failures: dict[int, int] = {}
        self._to_reload: set[int] = set()
        self._backoff = Backoff()
        self._next_start = 0.0
        self._pin_refused = False
        self._woken, waking = os.pipe()
        for end in (self._woken, waking):
            os.set_blocking(end, False)
        self._waking = waking

    def init_signals(self) -> None:
        """Signals wake the arbiter at once, as reports do."""
        super().init_signals()
        signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)

    def wait_for_signals(self, timeout: float = 1.0) -> list[int]:
        """The signals that have come; reports are dealt with before."""
        reassure = self._manager.reassure_seconds
        select.select([self._woken, self._plan.reports.reading], [], [], min(timeout, reassure or timeout))
        if reassure is not None:
            self._manager.live()
        if not self._complete:
            self._manager.starting()
        if select.select([self._woken], [], [], 0)[0]:
            os.read(self._woken, 4096)
        for report in self._plan.reports.receive():
            self._note(report)
        signals = []
        while not self.SIG_QUEUE.empty():
            signals.append(self.SIG_QUEUE.get_nowait())
        return signals

    def _note(self, report: Report) -> None:
        worker = self.WORKERS.get(report.pid)
        if report.what is What.FAILED:
            self._failures[report.pid] = report.code
        elif report.what is What.TAKEN:
            self._plan.renew()
            logs.set_level(self._plan.config.server.log_level)
        elif report.what is What.RELOADED:
            self._to_reload.discard(report.pid)
            self._end_reload()
        elif worker is not None:
            worker.ready_once = True
            self._backoff.reset()
            log.info("worker %d is ready", report.pid)
            if not self._complete and self._ready_workers() == self.num_workers:
                self._complete = True
                self._manager.ready(self._address)

    def _ready_workers(self) -> int:
        return sum(worker.ready_once for worker in self.WORKERS.values())

    def spawn_workers(self) -> None:
        """Start one, if the one before can sign and the last that could not is long enough ago."""
        if self._pin_refused or self._ready_workers() < len(self.WORKERS) or time.monotonic() < self._next_start:
            return
        self.spawn_worker()

    def note_end(self, worker: GatewayWorker) -> None:
        """A worker has ended: give back what it had, and decide what that means for the others."""
        self._plan.free_index(worker.index)
        self._plan.folder.forget(worker.index)
        if worker.pid in self._to_reload:
            self._to_reload.discard(worker.pid)
            self._end_reload()
        code = self._failures.pop(worker.pid, None)
        if code is not None and not self._complete:
            raise HaltServer("it could not start", code)
        if not worker.ready_once:
            self._next_start = time.monotonic() + self._backoff.next_seconds()
        if code == PIN_REFUSED:
            self._pin_refused = True
            log.error("worker %d: its PIN was refused; none is started any more before SIGHUP", worker.pid)
            if not self.WORKERS:
                raise HaltServer("nobody is left", code)
        else:
            log.warning("worker %d has ended; another is started", worker.pid)

    def handle_hup(self) -> None:
        """Every worker loads the config anew; none is restarted."""
        self._pin_refused = False
        self._manager.reloading()
        self._to_reload = {pid for pid, worker in self.WORKERS.items() if worker.ready_once}
        self.kill_workers(signal.SIGHUP)
        self._end_reload()

    def _end_reload(self) -> None:
        if not self._to_reload:
            self._manager.reloaded()

    def handle_term(self) -> None:
        """All workers drain."""
        raise StopIteration

    handle_int = handle_term

    def handle_usr2(self) -> None:
        """Gunicorn would start its successor itself. Here whoever holds the sockets does that."""

    handle_ttin = handle_ttou = handle_usr1 = handle_winch = handle_usr2

    def halt(self, reason: object = None, exit_status: int = 0) -> NoReturn:
        """Let all workers end in good order, and end."""
        self._manager.stopping()
        self.cfg.set("graceful_timeout", int(self._plan.config.server.drain_timeout + STOP_SECONDS))
        self._complete = True  # that one ends is no failure any more
        self.cfg.set("child_exit", lambda arbiter, worker: None)
        self.stop()
        self._plan.folder.remove()
        sys.exit(exit_status)
