"""What commands share.

Each command imports what it needs when it runs: `init` loads a PKCS#11 module, `serve` never does.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from hsmgate import tracebacks
from hsmgate.errors import CommandError

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_config(command: argparse.ArgumentParser) -> None:
    """Give a command its `--config`."""
    command.add_argument("--config", metavar="FILE", type=Path, required=True, help="the config, TOML")


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end on an event loop of its own."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop().set_exception_handler(tracebacks.on_loop_error)
        return runner.run(main)


def text(word: str) -> str:
    """An argument that goes into JSON. Raises ArgumentTypeError."""
    try:
        word.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("not UTF-8") from None
    return word


def hash_name(word: str) -> str:
    """A hash as the API writes it, of the ways that people do: SHA256, sha-256, SHA3-384. Raises ArgumentTypeError."""
    from hsmgate.domain.digests import DIGESTS

    known = {name.replace("_", ""): name for name in DIGESTS}
    name = known.get(word.upper().replace("-", "").replace("_", ""))
    if name is None:
        raise argparse.ArgumentTypeError(f"one of {', '.join(DIGESTS)}")
    return name


def say(text: str) -> None:
    """Print a line, or lines. Raises CommandError where they cannot be written."""
    try:
        print(text, flush=True)
    except OSError as error:
        # What is still in the buffer would be tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise SystemExit(1) from None  # who reads has had enough
        raise CommandError(f"standard output: {error.strerror}") from None


def say_json(value: object) -> None:
    """Print a value as JSON, for scripts."""
    say(json.dumps(value, indent=2))


def say_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns, as wide as they must be, a row a line."""
    table = [head, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table)
    say("\n".join(lines))


def printable(text: str) -> str:
    """As it is, or with escapes where it would not stay on its line."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
