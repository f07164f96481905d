"""The `hsmgate` command."""

import argparse
import os
import sys
from collections.abc import Sequence

import hsmgate
from hsmgate import tracebacks
from hsmgate.cli import app, audit, bench, completion, files, keys, serving
from hsmgate.confinement import leave_no_core
from hsmgate.errors import ConfigError, HsmgateError, exit_code

INTERRUPTED = 130
"""The exit code of what SIGINT ended, as shells have it: 128 and the signal's number."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns the exit code: 0 done, 1 could not, 2 wrong usage, 3 a token refused its PIN, 130 interrupted.
    """
    _fill_streams()
    options = make_parser().parse_args(arguments)
    leave_no_core()
    tracebacks.configure()
    try:
        code: int = options.run(options)
        return code
    except ConfigError as error:
        for problem in error.problems:
            print(f"hsmgate: {problem}", file=sys.stderr)
    except HsmgateError as error:
        print(f"hsmgate: {error}", file=sys.stderr)
        return exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 1


def _fill_streams() -> None:
    """Where a standard stream is closed, put one in its place, or the next file that is opened takes it.

    What is read there fails, what is written is gone.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, os.fdopen(number, mode))


def make_parser() -> argparse.ArgumentParser:
    """All commands."""
    parser = argparse.ArgumentParser(prog="hsmgate", description=hsmgate.__doc__)
    parser.add_argument("--version", action="version", version=f"hsmgate {hsmgate.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (serving, app, audit, keys, files, bench, completion):
        group.add(commands)
    return parser
