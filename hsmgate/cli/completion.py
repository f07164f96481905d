"""`hsmgate completion`: what a shell needs to complete the commands."""

import argparse
from collections.abc import Iterator

from hsmgate.cli.parts import Commands, say

SHELLS = ("bash", "zsh", "fish")


def add(commands: Commands) -> None:
    """Add the command."""
    text = "print what makes a shell complete these commands; docs/cli.md says where to put it"
    completion = commands.add_parser("completion", help="print what makes a shell complete these", description=text)
    completion.add_argument("shell", choices=SHELLS)
    completion.set_defaults(run=_print)


def _print(options: argparse.Namespace) -> int:
    import shtab

    from hsmgate.cli import make_parser
    from hsmgate.client.items import HASHES
    from hsmgate.client.keys import NEW_KEYS

    parser = make_parser()
    words = {"type": [*NEW_KEYS], "hash": [*HASHES]}
    for action in _actions(parser):
        if action.metavar in ("FILE", "PEM"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.metavar == "DIR":
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.dest in words:
            action.choices = words[action.dest]
    say(shtab.complete(parser, options.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All options and arguments, those of the commands too."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
