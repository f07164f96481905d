"""Work that goes on for ever, and that the gateway must not go on without."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from hsmgate.errors import GatewayBroken
from hsmgate.tracebacks import describe

log = logging.getLogger(__name__)


class Vital:
    """Such work, as tasks. When one ends that nobody has cancelled, the gateway ends, for others to start it again."""

    def __init__(self, stop: Callable[[], None]) -> None:
        """stop: ends the gateway in good order."""
        self._stop = stop
        self._ended: list[str] = []

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Have it done. name: what it is, for the log."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._note_end)
        return task

    def check(self) -> None:
        """Raise GatewayBroken where something has ended."""
        if self._ended:
            raise GatewayBroken(f"ended by a bug: {', '.join(self._ended)} failed; see the log")

    def _note_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error, name = task.exception(), task.get_name()
        log.critical("%s has failed, so the gateway ends\n%s", name, describe(error) if error else "it returned")
        self._ended.append(name)
        self._stop()
