"""Tracebacks that say where and what kind, and quote no values: an error's own text may hold what was being signed."""

import logging
import sys
import threading
import traceback
from types import TracebackType
from typing import Any

log = logging.getLogger(__name__)

_Info = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class Formatter(logging.Formatter):
    """A log's format, with such tracebacks."""

    def formatException(self, ei: _Info) -> str:  # noqa: N802 - logging's name
        """Where, and what kind."""
        return describe(ei[1]) if ei[1] is not None else ""


def describe(error: BaseException) -> str:
    """Where an error came from, line by line, and its type."""
    return "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__


def configure(level: int = logging.INFO) -> None:
    """Log to standard error, and send there what nobody caught, wherever in the process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=level)
    sys.excepthook = lambda kind, error, trace: _log(error)
    threading.excepthook = lambda args: _log(args.exc_value)
    sys.unraisablehook = lambda args: _log(args.exc_value)


def _log(error: BaseException | None) -> None:
    if error is not None:
        log.critical("not caught\n%s", describe(error))


def on_loop_error(loop: object, context: dict[str, Any]) -> None:
    """An event loop's exception handler; the usual one prints the arguments of what it called."""
    error = context.get("exception")
    if error is None:
        log.error("event loop: %s", context["message"])
    else:
        log.error("event loop\n%s", describe(error))
