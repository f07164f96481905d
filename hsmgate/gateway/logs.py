"""The log of this process, on standard error: its format, its level, and what records say besides their text."""

import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

from hsmgate import tracebacks
from hsmgate.config import LogLevel
from hsmgate.gateway.log_writer import LogWriter

_OURS = "hsmgate"

_format = tracebacks.HUMAN
_writer: LogWriter | None = None


def configure(log_format: str, level: LogLevel) -> None:
    """Log in that format from that level on. Signers that are started after this log in the same format."""
    global _format  # noqa: PLW0603 - a process has one log
    _format = log_format
    tracebacks.configure(log_format)
    set_level(level)


@contextlib.asynccontextmanager
async def written_in_a_thread() -> AsyncIterator[None]:
    """Have a thread do the writing meanwhile, and wait at the end until all is written, but not for long."""
    global _writer  # noqa: PLW0603 - a process has one log
    if sys.stderr is None:
        yield
        return
    _writer = LogWriter(sys.stderr.fileno())
    tracebacks.configure(_format, logging.getLogger().level, _writer)
    try:
        yield
    finally:
        tracebacks.configure(_format, logging.getLogger().level)
        _writer.close()
        _writer = None


def write(lines: Sequence[str]) -> None:
    """Write lines that are in the log's format already."""
    if _writer is not None:
        _writer.write_lines(lines)


def set_level(level: LogLevel) -> None:
    """Log from that level on, from now on.

    "debug" is for what is ours: what libraries say then may quote what they were sent.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger(_OURS).setLevel(number)
    logging.getLogger().setLevel(max(number, logging.INFO))


def log_format() -> str:
    """The format of this process's log."""
    return _format


def fields(**values: Any) -> dict[str, dict[str, Any]]:
    """What goes into a record's `extra`: more members of its line in JSON. They must be no secrets."""
    return {"fields": values}
