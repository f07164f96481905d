"""`hsmgate app`: the apps of a config file."""

import argparse
import sys
from typing import TYPE_CHECKING

from hsmgate.cli.parts import Commands, add_config, printable, say, say_json

if TYPE_CHECKING:
    from hsmgate.config import App


_RESTRICT = 'write what it may use into its `keys` in the config, or next time say --keys "PATTERN"'


def add(commands: Commands) -> None:
    """Add the commands."""
    text = "add, re-key, revoke and list the apps of a config"
    app = commands.add_parser("app", help=text, description=text)
    app_commands = app.add_subparsers(required=True, metavar="COMMAND")

    text = "make an app and print its API key, once"
    add = app_commands.add_parser("add", help=text, description=text)
    add.add_argument("name", metavar="NAME")
    add.add_argument("--keys", metavar="PATTERN", nargs="+", help="names or kids it may use (all)")
    add.add_argument("--operations", metavar="OPERATION", nargs="+", default=["sign", "verify"], help="(sign verify)")
    add.set_defaults(run=_add)

    text = "print a new API key of an app; the one before is valid beside it until it is revoked or the next comes"
    rotate = app_commands.add_parser("rotate", help=text, description=text)
    rotate.set_defaults(run=_rotate)

    text = "take an app out of the config"
    revoke = app_commands.add_parser("revoke", help=text, description=text)
    revoke.add_argument("--old-keys", action="store_true", help="leave the app, and of its API keys the newest")
    revoke.set_defaults(run=_revoke)

    text = "print the apps"
    listing = app_commands.add_parser("list", help=text, description=text)
    listing.add_argument("--json", action="store_true", help="print them for a script")
    listing.set_defaults(run=_list)

    for command in (rotate, revoke):
        command.add_argument("app", metavar="NAME|ID")
    for command in (add, rotate, revoke, listing):
        add_config(command)


def _add(options: argparse.Namespace) -> int:
    from hsmgate.apps import AppFile

    with AppFile.open(options.config) as file:
        app_id, api_key = file.add(options.name, options.keys or ["*"], options.operations)
    if options.keys is None:
        may = " ".join(options.operations)
        print(f"notice: this app may use every key ({may}); to restrict it, {_RESTRICT}", file=sys.stderr)
    print(f"made the app {app_id}; this is its API key, kept nowhere else:", file=sys.stderr)
    return _print_key(api_key)


def _rotate(options: argparse.Namespace) -> int:
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


def _revoke(options: argparse.Namespace) -> int:
    from hsmgate.apps import AppFile

    with AppFile.open(options.config) as file:
        if options.old_keys:
            app, count = file.revoke_old_keys(options.app)
            done = f"API keys of {app.id} that were taken back: {count}"
        else:
            done = f"revoked {file.revoke(options.app).id}"
    print(done, file=sys.stderr)
    return 0


def _list(options: argparse.Namespace) -> int:
    from hsmgate.config import Config

    apps = Config.load(options.config).app
    if options.json:
        say_json([_members(app) for app in apps])
        return 0
    for app in apps:
        counts = {
            "API keys": app.secret_sha256,
            "certificates": app.certificates,
            "JWT subjects": app.jwt_subjects,
        }
        credentials = ", ".join(f"{what}: {len(values)}" for what, values in counts.items() if values)
        may = f"{' '.join(app.operations)} with {' '.join(app.keys)}"
        say("\t".join((app.id, printable(app.name), credentials, printable(may))))
    return 0


def _members(app: "App") -> dict[str, object]:
    """An app in the config's words; of its API keys only how many there are."""
    return {
        "id": app.id,
        "name": app.name,
        "api_keys": len(app.secret_sha256),
        "certificates": app.certificates or [],
        "jwt_subjects": app.jwt_subjects or [],
        "jwt_provider": app.jwt_provider,
        "operations": app.operations,
        "keys": app.keys,
    }
