"""The `--help` of every command in docs/cli.md, each under its heading.

python -m tests.cli.page
"""

import argparse
import os
import re
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from hsmgate.cli import make_parser

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
COLUMNS = "110"

_SECTION = re.compile(r"^### (hsmgate .+)\n(?:\n(?:    .*)?)*?(?=\n#|\n*\Z)", re.MULTILINE)


def main() -> None:
    """Write them anew."""
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")


def written(page: str) -> str:
    """The page with what the commands say now. Raises KeyError for a heading of a command that is not there."""
    said = dict(helps())
    return _SECTION.sub(lambda section: f"### {section[1]}\n\n{_indented(said[section[1]])}\n", page).rstrip() + "\n"


def helps() -> list[tuple[str, str]]:
    """Every command's name and `--help`; a group of commands is none."""
    with patch.dict(os.environ, COLUMNS=COLUMNS):
        return [(parser.prog, parser.format_help()) for parser in _commands(make_parser())]


def _commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield parser
    for group in groups:
        for command in group.choices.values():
            yield from _commands(command)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.rstrip().splitlines())


if __name__ == "__main__":
    main()
