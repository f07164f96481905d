"""`hsmgate keys`: the keys on a running gateway's tokens."""

import argparse
import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hsmgate.cli.gateway import add_gateway, open_client, read_secret
from hsmgate.cli.parts import Commands, printable, run, say, say_json, say_table, text
from hsmgate.errors import CommandError, UsageError
from hsmgate.secret import Secret

if TYPE_CHECKING:
    from hsmgate.client.keys import Key


def add(commands: Commands) -> None:
    """Add the commands."""
    about = "list, make, import and delete the keys of a running gateway"
    keys = commands.add_parser("keys", help=about, description=about)
    keys_commands = keys.add_subparsers(required=True, metavar="COMMAND")

    about = "print the keys that the caller may use"
    listing = keys_commands.add_parser("list", help=about, description=about)
    listing.set_defaults(run=_list)

    about = "print what is known of a key"
    show = keys_commands.add_parser("show", help=about, description=about)
    show.set_defaults(run=_show)

    about = "make a key on the gateway's first token and print its kid"
    generate = keys_commands.add_parser("generate", help=about, description=about)
    generate.add_argument("name", metavar="NAME", type=text)
    generate.add_argument(
        "--type", required=True, type=_kind, metavar="TYPE", help="rsa3072, p256, ed25519, mldsa65, …"
    )
    generate.set_defaults(run=_generate)

    about = "put a private key on the gateway's first token and print its kid"
    import_ = keys_commands.add_parser("import", help=about, description=about)
    import_.add_argument("name", metavar="NAME", type=text)
    import_.add_argument("file", metavar="FILE", type=Path, help="PEM or DER: PKCS#8, PKCS#1 or SEC1")
    import_.add_argument("--passphrase-file", metavar="FILE", type=Path, help="its password, if it has one (asked for)")
    import_.set_defaults(run=_import)

    about = "destroy a key"
    delete = keys_commands.add_parser("delete", help=about, description=about)
    delete.add_argument("--yes", action="store_true", help="do not ask")
    delete.set_defaults(run=_delete)

    about = "print a public key as PEM"
    public = keys_commands.add_parser("public", help=about, description=about)
    public.set_defaults(run=_public)

    for command in (show, delete, public):
        command.add_argument("key", metavar="NAME|KID", type=text)
    for command in (listing, show, generate, import_):
        command.add_argument("--json", action="store_true", help="print it as the API has it")
    for command in (listing, show, generate, import_, delete, public):
        add_gateway(command)


def _list(options: argparse.Namespace) -> int:
    from hsmgate.client.keys import list_keys

    keys = run(list_keys(open_client(options)))
    if options.json:
        say_json([key.sobject for key in keys])
    else:
        keys.sort(key=lambda key: (key.name or "", key.kid))
        rows = [(key.kid, key.kind, "" if key.enabled else "disabled", key.name or "") for key in keys]
        say_table(("KID", "TYPE", "STATE", "NAME"), rows)
    return 0


def _show(options: argparse.Namespace) -> int:
    key = _find(options)
    if options.json:
        say_json(key.sobject)
        return 0
    said = key.sobject
    facts = {
        "kid": key.kid,
        "name": key.name or "",
        "type": key.kind,
        "enabled": "yes" if key.enabled else "no",
        "operations": " ".join(map(str, said.get("key_ops", ()))),
        "made": "" if str(said.get("created_at", "")).startswith("1970") else str(said.get("created_at", "")),
        "description": str(said.get("description", "")),
        **{f"metadata {name}": str(value) for name, value in said.get("custom_metadata", {}).items()},
    }
    say("\n".join(f"{printable(fact)}: {printable(value)}" for fact, value in facts.items() if value))
    return 0


def _generate(options: argparse.Namespace) -> int:
    from hsmgate.client.keys import generate_key

    return _say_made(run(generate_key(open_client(options), options.name, options.type)), options)


def _import(options: argparse.Namespace) -> int:
    from hsmgate.client.keys import import_key
    from hsmgate.client.private_keys import read_private_key

    client = open_client(options)
    obj_type, value = read_private_key(options.file, lambda: _passphrase(options))
    return _say_made(run(import_key(client, options.name, obj_type, value)), options)


def _delete(options: argparse.Namespace) -> int:
    from hsmgate.client.keys import delete_key, find_key

    client = open_client(options)
    key = run(find_key(client, options.key))
    if not options.yes:
        _ask(f"Destroy {key.kind} key '{printable(key.name or '')}', kid {key.kid}, for good? [y/N] ")
    run(delete_key(client, key.kid))
    return 0


def _public(options: argparse.Namespace) -> int:
    from asn1crypto import pem

    key = _find(options)
    if key.public_key is None:
        raise CommandError("the token shows no public key of it")
    say(pem.armor("PUBLIC KEY", key.public_key).decode().rstrip("\n"))
    return 0


def _find(options: argparse.Namespace) -> "Key":
    from hsmgate.client.keys import Key, find_key

    key: Key = run(find_key(open_client(options), options.key))
    return key


def _say_made(key: "Key", options: argparse.Namespace) -> int:
    if options.json:
        say_json(key.sobject)
    else:
        say(key.kid)
    return 0


def _ask(question: str) -> None:
    """Raise UsageError where nobody can be asked, CommandError where the answer is no yes."""
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked here whether it is meant: give --yes")
    print(question, end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was deleted")


def _passphrase(options: argparse.Namespace) -> Secret:
    if options.passphrase_file is not None:
        return read_secret(options.passphrase_file, "the password")
    if not sys.stdin.isatty():
        raise UsageError("the key is under a password: give --passphrase-file")
    return Secret(getpass.getpass(f"Password of {options.file}: "))


def _kind(word: str) -> str:
    from hsmgate.client.keys import NEW_KEYS

    kind = word.lower().replace("-", "")
    if kind not in NEW_KEYS:
        raise argparse.ArgumentTypeError(f"one of {', '.join(sorted(NEW_KEYS))}")
    return kind
