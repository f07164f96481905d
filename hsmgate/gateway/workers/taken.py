"""The config that workers took over last, for those that are started later.

The file that it came from may say something else by then: something that was refused, or that nobody has looked at. A
worker that began with that would not serve what the others do.
"""

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from hsmgate.config import Config
from hsmgate.errors import ConfigError
from hsmgate.gateway.reload import in_force

log = logging.getLogger(__name__)


class TakenConfig:
    """A file of the workers' common folder: the config's text, and the key paths of what in it waits for a restart."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def put(self, config: Config, waiting: Sequence[str]) -> None:
        """A worker has taken it over."""
        part = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        try:
            part.write_text(json.dumps([config.text, *waiting]), "utf-8")
            part.replace(self._file)
        except OSError as error:
            log.error("the config cannot be kept for workers that start later: %s", error.strerror)

    def get(self, started: Config) -> Config:
        """What is in force with the workers, who began with `started`."""
        try:
            text, *waiting = json.loads(self._file.read_text("utf-8"))
            return in_force(started, Config.parse(text, started.file), waiting)
        except (OSError, ValueError, ConfigError):
            log.error(
                "the config that workers took over cannot be read; those that start later begin with an older one"
            )
            return started
