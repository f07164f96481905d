"""What commands share.

Each command imports what it needs when it runs: `init` loads a PKCS#11 module, `serve` never does.
"""

import argparse
import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeAlias

from hsmgate import tracebacks

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
