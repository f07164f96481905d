"""A worker: the gateway as `hsmgate serve` runs it alone, on sockets that its arbiter holds."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import uvloop
from gunicorn.workers.base import Worker

from hsmgate import tracebacks
from hsmgate.config import Config
from hsmgate.errors import ConfigError, HsmgateError, exit_code
from hsmgate.gateway.server import serve_on
from hsmgate.gateway.tokens import Common
from hsmgate.gateway.workers.plan import Plan
from hsmgate.gateway.workers.reports import What

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often a worker says that its event loop turns, and sees whether its arbiter is still there."""


class GatewayWorker(Worker):  # type: ignore[misc] # gunicorn has no types
    """What gunicorn's arbiter starts. No application is loaded, before or after the fork: the gateway is one."""

    def __init__(self, *given: Any) -> None:
        """given: what gunicorn gives, with the arbiter's plan as the application."""
        super().__init__(*given)
        self.plan: Plan = self.app
        self.index = self.plan.take_index()
        self.ready_once = False

    def init_process(self) -> None:
        """Serve, and end: nothing of the arbiter's is to run in this process."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something that could load the config
        signal.set_wakeup_fd(-1)
        self.plan.counts.become(self.index)
        self.plan.folder.become(self.index)
        self._serve()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

    def _serve(self) -> None:
        """Serve to the end, and report where that was no good one."""
        plan, index = self.plan, self.index

        def share(config: Config) -> Config:
            return config.share(index, plan.workers)

        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.get_loop().set_exception_handler(tracebacks.on_loop_error)
                common = Common(plan.counts, plan.folder.pins)
                runner.run(serve_on(plan.config, plan.listen, self.sockets, self, common=common, share=share))
        except HsmgateError as error:
            for problem in error.problems if isinstance(error, ConfigError) else (error,):
                print(f"hsmgate: {problem}", file=sys.stderr)
            plan.reports.send(What.FAILED, exit_code(error))
        except Exception as error:  # noqa: BLE001 - gunicorn would print its text, which may quote what was being signed
            log.critical("not caught\n%s", tracebacks.describe(error))
            plan.reports.send(What.FAILED, 1)

    def starting(self) -> None:
        """The arbiter says so for all."""

    def ready(self, address: str) -> None:
        """It can sign."""
        self.plan.reports.send(What.READY)

    def reloading(self) -> None:
        """The arbiter knows: it has asked for it."""

    def reloaded(self) -> None:
        """It has loaded its config again, or refused it."""
        self.plan.reports.send(What.RELOADED)

    def took(self, config: Config, waiting: Sequence[str]) -> None:
        """It has taken that config over: workers that start later begin with it."""
        self.plan.folder.taken.put(config, waiting)
        self.plan.reports.send(What.TAKEN)

    def stopping(self) -> None:
        """The arbiter sees it end."""

    async def reassure(self) -> None:
        """Say that the event loop turns, for ever; end in good order when the arbiter is gone."""
        while True:
            self.notify()
            if os.getppid() != self.ppid:
                os.kill(os.getpid(), signal.SIGTERM)
                return
            await asyncio.sleep(LOOK_SECONDS)
