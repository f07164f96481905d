"""The `hsmgate` command."""

import argparse
import asyncio
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import hsmgate
from hsmgate import tracebacks
from hsmgate.confinement import leave_no_core
from hsmgate.errors import ConfigError, HsmgateError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit code: 0 done, 1 could not, 2 wrong usage."""
    options = _parser().parse_args(arguments)
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

    text = "serve until SIGTERM or SIGINT; SIGHUP loads the config anew"
    serve = commands.add_parser("serve", help=text, description=text)
    _add_config(serve)
    serve.add_argument("--listen", metavar="HOST:PORT", help="instead of the config's server.listen")
    serve.set_defaults(run=_serve)

    text = "open every token and print what is there; exit 0 only if it could serve"
    check = commands.add_parser("check", help=text, description=text)
    _add_config(check)
    check.set_defaults(run=_check)

    text = "add, re-key, revoke and list the apps of a config"
    _add_app(commands.add_parser("app", help=text, description=text))
    _add_audit(commands)
    return parser


def _add_app(app: argparse.ArgumentParser) -> None:
    commands = app.add_subparsers(required=True, metavar="COMMAND")

    text = "make an app and print its API key, once"
    add = commands.add_parser("add", help=text, description=text)
    add.add_argument("name", metavar="NAME")
    add.add_argument("--keys", metavar="PATTERN", nargs="+", default=["*"], help="names or kids it may use (all)")
    add.add_argument("--operations", metavar="OPERATION", nargs="+", default=["sign", "verify"], help="(sign verify)")
    add.set_defaults(run=_app_add)

    text = "print a new API key of an app; the one before is valid beside it until it is revoked or the next comes"
    rotate = commands.add_parser("rotate", help=text, description=text)
    rotate.set_defaults(run=_app_rotate)

    text = "take an app out of the config"
    revoke = commands.add_parser("revoke", help=text, description=text)
    revoke.add_argument("--old-keys", action="store_true", help="leave the app, and of its API keys the newest")
    revoke.set_defaults(run=_app_revoke)

    text = "print the apps"
    listing = commands.add_parser("list", help=text, description=text)
    listing.set_defaults(run=_app_list)

    for command in (rotate, revoke):
        command.add_argument("app", metavar="NAME|ID")
    for command in (add, rotate, revoke, listing):
        _add_config(command)


def _add_audit(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    audit = commands.add_parser("audit", help="look after audit logs", description="look after audit logs")
    audit_commands = audit.add_subparsers(required=True, metavar="COMMAND")
    text = "find what was changed, removed, moved or cut off in audit logs; exit 0 only if all is well"
    verify = audit_commands.add_parser("verify", help=text, description=text)
    verify.add_argument("files", metavar="FILE", type=Path, nargs="+", help="all files of the chains, in any order")
    verify.add_argument(
        "--key", metavar="PEM", type=Path, action="append", default=[], help="a public key to verify signed heads under"
    )
    verify.set_defaults(run=_audit_verify)


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


def _app_add(options: argparse.Namespace) -> int:
    from hsmgate.apps import AppFile

    with AppFile.open(options.config) as file:
        app_id, api_key = file.add(options.name, options.keys, options.operations)
    print(f"made the app {app_id}; this is its API key, kept nowhere else:", file=sys.stderr)
    return _print_key(api_key)


def _app_rotate(options: argparse.Namespace) -> int:
    from hsmgate.apps import AppFile

    with AppFile.open(options.config) as file:
        app, api_key = file.rotate(options.app)
    beside = "; the one before is still valid: take it back with hsmgate app revoke --old-keys"
    print(f"a new API key of {app.id}{beside if app.secret_sha256 else ''}", file=sys.stderr)
    return _print_key(api_key)


def _print_key(api_key: str) -> int:
    try:
        print(api_key, flush=True)
    except OSError as error:
        print(f"hsmgate: the API key could not be printed: {error.strerror}; revoke it", file=sys.stderr)
        return 1
    return 0


def _app_revoke(options: argparse.Namespace) -> int:
    from hsmgate.apps import AppFile

    with AppFile.open(options.config) as file:
        if options.old_keys:
            app, count = file.revoke_old_keys(options.app)
            done = f"API keys of {app.id} that were taken back: {count}"
        else:
            done = f"revoked {file.revoke(options.app).id}"
    print(done, file=sys.stderr)
    return 0


def _app_list(options: argparse.Namespace) -> int:
    from hsmgate.config import Config

    for app in Config.load(options.config).app:
        counts = {
            "API keys": app.secret_sha256,
            "certificates": app.certificates,
            "JWT subjects": app.jwt_subjects,
        }
        credentials = ", ".join(f"{what}: {len(values)}" for what, values in counts.items() if values)
        may = f"{' '.join(app.operations)} with {' '.join(app.keys)}"
        print(app.id, _printable(app.name), credentials, _printable(may), sep="\t")
    return 0


def _printable(text: str) -> str:
    """As it is, or with escapes where it would not stay on its line."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def _audit_verify(options: argparse.Namespace) -> int:
    from hsmgate.gateway.audit.verify import verify

    return 0 if verify(options.files, options.key) else 1


def _run(main: Coroutine[Any, Any, Any]) -> Any:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop().set_exception_handler(tracebacks.on_loop_error)
        return runner.run(main)
