"""Logs, for people or in JSON, with tracebacks that say where and what kind.

They quote no values: an error's own text may hold what was being signed.
"""

import json
import logging
import sys
import threading
import time
import traceback
from types import TracebackType
from typing import Any, Protocol

log = logging.getLogger(__name__)

_Info = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


HUMAN, JSON = "human", "json"
"""A log's formats."""


class Formatter(logging.Formatter):
    """Lines for people, with such tracebacks. Several processes share a log, so each line has its process."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s[%(process)d]: %(message)s")

    def formatException(self, ei: _Info) -> str:  # noqa: N802 - logging's name
        """Where, and what kind."""
        return describe(ei[1]) if ei[1] is not None else ""


class JsonFormatter(logging.Formatter):
    """A JSON object for each line: what every line has, and the fields that its record has besides."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["traceback"] = describe(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False)


def utc(seconds: float) -> str:
    """A time since 1970 as RFC 3339 has it, in UTC, to the millisecond."""
    whole, milliseconds = divmod(int(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{milliseconds:03d}Z"


def describe(error: BaseException) -> str:
    """Where an error came from, line by line, and its type."""
    return "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__


class Stream(Protocol):
    """Where lines go."""

    def write(self, text: str, /) -> object:
        """Take a line, or several."""

    def flush(self) -> None:
        """Pass them on."""


def configure(log_format: str = HUMAN, level: int = logging.INFO, stream: Stream | None = None) -> None:
    """Log there, and send there what nobody caught, wherever in the process. Once more changes it.

    log_format: HUMAN or JSON. stream: standard error unless told otherwise.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == JSON else Formatter())
    logging.basicConfig(handlers=[handler], level=level, force=True)
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
