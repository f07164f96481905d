"""`hsmgate audit`: the files of audit logs."""

import argparse
from pathlib import Path

from hsmgate.cli.parts import Commands, say_json


def add(commands: Commands) -> None:
    """Add the commands."""
    text = "look after audit logs"
    audit = commands.add_parser("audit", help=text, description=text)
    audit_commands = audit.add_subparsers(required=True, metavar="COMMAND")

    text = "find what was changed, removed, moved or cut off in audit logs; exit 0 only if all is well"
    verify = audit_commands.add_parser("verify", help=text, description=text)
    verify.add_argument("files", metavar="FILE", type=Path, nargs="+", help="all files of the chains, in any order")
    verify.add_argument(
        "--key", metavar="PEM", type=Path, action="append", default=[], help="a public key to verify signed heads under"
    )
    verify.add_argument(
        "--partial",
        action="store_true",
        help="older files and chains are kept elsewhere: that they are missing is right",
    )
    verify.add_argument(
        "--open",
        action="store_true",
        help="chains need not be closed, as in a copy of a log that is still written",
    )
    verify.add_argument("--json", action="store_true", help="print it for a script")
    verify.set_defaults(run=_verify)


def _verify(options: argparse.Namespace) -> int:
    from hsmgate.gateway.audit.verify import examine, verify

    if not options.json:
        good = verify(options.files, options.key, partial=options.partial, unclosed=options.open)
        return 0 if good else 1
    found = examine(options.files, options.key, partial=options.partial, unclosed=options.open)
    say_json(found.members())
    return 1 if found.problems else 0
