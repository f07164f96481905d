"""What the arbiter makes before it starts workers, and all of them have."""

import logging
import os
from pathlib import Path
from typing import Any

from gunicorn.config import Config as Settings
from gunicorn.glogging import Logger

from hsmgate.config import Config
from hsmgate.gateway.workers.counts import Counts
from hsmgate.gateway.workers.folder import CommonFolder
from hsmgate.gateway.workers.reports import Reports

HANGS_AFTER_SECONDS = 30
"""A worker whose event loop does not turn for so long is killed."""

_MEMORY = Path("/dev") / "shm"


class Quiet(Logger):  # type: ignore[misc] # gunicorn has no types
    """Gunicorn's log, in ours, of what goes wrong; the rest the arbiter says itself."""

    def setup(self, cfg: Any) -> None:
        """Take nothing from gunicorn's settings."""
        self.error_log.propagate = True
        self.error_log.setLevel(logging.WARNING)


class Plan:
    """What gunicorn knows as an application.

    config: what a worker begins with.
    cfg: gunicorn's settings.
    """

    def __init__(self, config: Config, listen: str, worker_class: type) -> None:
        self.config = self._started = config
        self.listen = listen
        self.workers: int = config.server.workers
        self.counts = Counts(self.workers)
        self.reports = Reports()
        self.folder = CommonFolder()
        self.cfg = Settings()
        for name, value in {
            "bind": "127.0.0.1:0",  # not used, but looked at: by default it is of the variable PORT
            "workers": self.workers,
            "worker_class": worker_class,
            "logger_class": Quiet,
            "timeout": HANGS_AFTER_SECONDS,
            # Files without a name, by which workers say that they live; a disk might keep them waiting.
            "worker_tmp_dir": str(_MEMORY) if os.access(_MEMORY, os.W_OK) else None,
            "control_socket_disable": True,
        }.items():
            self.cfg.set(name, value)
        self._free: list[int] = [*range(self.workers)]

    def renew(self) -> None:
        """The workers have taken another config over."""
        self.config = self.folder.taken.get(self._started)

    def take_index(self) -> int:
        """The index of a new worker: one that no other has."""
        return self._free.pop(0)

    def free_index(self, index: int) -> None:
        """That worker is gone, with what it had."""
        self.counts.give_back(index)
        self._free.append(index)
