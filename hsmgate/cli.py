"""The `hsmgate` command."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import hsmgate
from hsmgate.errors import ConfigError, HsmgateError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit code: 0 done, 1 could not, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        code: int = options.run(options)
        return code
    except ConfigError as error:
        for problem in error.problems:
            print(f"hsmgate: {problem}", file=sys.stderr)
    except HsmgateError as error:
        print(f"hsmgate: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        pass
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hsmgate", description=hsmgate.__doc__)
    parser.add_argument("--version", action="version", version=f"hsmgate {hsmgate.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    text = "make a demo in DIR: a SoftHSM token, keys, an app; what exists is kept"
    init = commands.add_parser("init", help=text, description=text)
    init.add_argument("directory", metavar="DIR", type=Path)
    init.set_defaults(run=_init)

    text = "serve until SIGTERM or SIGINT"
    serve = commands.add_parser("serve", help=text, description=text)
    _add_config(serve)
    serve.add_argument("--listen", metavar="HOST:PORT", help="instead of the config's server.listen")
    serve.set_defaults(run=_serve)

    text = "open every token and print what is there; exit 0 only if it could serve"
    check = commands.add_parser("check", help=text, description=text)
    _add_config(check)
    check.set_defaults(run=_check)
    return parser


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", metavar="FILE", type=Path, required=True, help="the config, TOML")


# Each command imports what it needs: `init` loads a PKCS#11 module, `serve` never does.


def _init(options: argparse.Namespace) -> int:
    from hsmgate.provision.demo import make_demo

    make_demo(options.directory)
    print(f"a demo is ready; serve it with: hsmgate serve --config {options.directory / 'hsmgate.toml'}")
    return 0


def _serve(options: argparse.Namespace) -> int:
    from hsmgate.config import Config, check_listen
    from hsmgate.gateway.server import serve

    config = Config.load(options.config)
    listen = config.server.listen if options.listen is None else check_listen(options.listen)
    _run(serve(config, listen))
    return 0


def _check(options: argparse.Namespace) -> int:
    from hsmgate.config import Config
    from hsmgate.gateway.check import check

    return 0 if _run(check(Config.load(options.config))) else 1


def _run(main: Coroutine[Any, Any, Any]) -> Any:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
