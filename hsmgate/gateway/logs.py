"""The log of this process, on standard error: its format, its level, and what records say besides their text."""

import logging
from typing import Any

from hsmgate import tracebacks
from hsmgate.config import LogLevel

_OURS = "hsmgate"

_format = tracebacks.HUMAN


def configure(log_format: str, level: LogLevel) -> None:
    """Log in that format from that level on. Signers that are started after this log in the same format."""
    global _format  # noqa: PLW0603 - a process has one log
    _format = log_format
    tracebacks.configure(log_format)
    set_level(level)


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
