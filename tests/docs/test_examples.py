"""What the pages say to write into a config or to type is right.

Held to: every TOML block, every line that runs `hsmgate`, every target of `make`. What else stands in code blocks was
run by hand, or its page says that it was not.
"""

import argparse
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from hsmgate import cli
from hsmgate.config import Config
from tests.docs.blocks import PAGES, ROOT, blocks

_SECTION = re.compile(r"\[\[?[a-z_]+\]\]?\s*(#.*)?\n")
_ANY_TOKEN = '[[token]]\nname = "any"\nmodule = "any"\nuri = "pkcs11:token=any"\npin_source = "file:any"\n'
_WRAPPER = re.compile(r"^(runuser -u \w+ -- |systemd-run( --\S+)+\s+|sudo |exec )+")
_OURS = re.compile(r"(\S*/)?(hsmgate|make)\s")


def tomls() -> list[tuple[str, str]]:
    """Where each TOML block stands, and its text."""
    return [
        (f"{page.name}:{line}", text) for page in PAGES for line, text in blocks(page) if _SECTION.match(text.lstrip())
    ]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Where each command stands, and its words. What `--help` says is held elsewhere."""
    for page in PAGES:
        for line, text in blocks(page):
            if text.startswith("usage:"):
                continue
            for command in text.replace("\\\n", " ").splitlines():
                bare = _WRAPPER.sub("", command.strip())
                if _OURS.match(bare):
                    yield f"{page.name}:{line}", _words(bare)


def _words(command: str) -> list[str]:
    """Up to what is the shell's: a pipe, a redirection, another command."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words = list(lexer)
    ends = [at for at, word in enumerate(words) if set(word) <= set("|&;<>")]
    return words[: min(ends, default=len(words))]


@pytest.mark.parametrize("text", [pytest.param(text, id=place) for place, text in tomls()])
def test_a_toml_block_loads(text: str, tmp_path: Path) -> None:
    file = tmp_path / "hsmgate.toml"
    file.write_text(text if "[[token]]" in text else text + "\n" + _ANY_TOKEN)
    Config.load(file)


HSMGATE = [pytest.param(words, id=place) for place, words in commands() if Path(words[0]).name == "hsmgate"]
MAKE = [pytest.param(words, id=place) for place, words in commands() if words[0] == "make"]


class _Parsed(Exception):
    pass


@pytest.mark.parametrize("words", HSMGATE)
def test_hsmgate_takes_the_command(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    parse = argparse.ArgumentParser.parse_args

    def parse_only(self: argparse.ArgumentParser, arguments: Sequence[str]) -> NoReturn:
        parse(self, arguments)
        raise _Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    with pytest.raises(_Parsed):
        cli.main(words[1:])


@pytest.mark.parametrize("words", MAKE)
def test_make_has_the_target(words: list[str]) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert {word for word in words[1:] if "=" not in word} <= targets


def test_there_are_examples_of_each_kind() -> None:
    assert len(tomls()) >= 9
    assert len(HSMGATE) >= 6
    assert len(MAKE) >= 2
