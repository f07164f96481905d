"""Commands as a shell runs them: each in a process of its own, with what it has to import loaded already."""

import multiprocessing
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.gateway_process import Gateway
from tests.secrets_scan import NOTES

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "aiohttp",
        "asn1crypto.pem",
        "hsmgate.bench.run",
        "hsmgate.cli",
        "hsmgate.client.batches",
        "hsmgate.client.items",
        "hsmgate.client.keys",
        "hsmgate.client.private_keys",
        "hsmgate.config",
        "tests.cli.shell",
        "tqdm",
        "uvloop",
    ]
)


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int | None
    out: str
    err: str


@dataclass(frozen=True)
class Shell:
    """Runs commands that know a gateway by their environment, in an empty folder and without a terminal."""

    gateway: Gateway
    folder: Path
    variables: Mapping[str, str] = field(repr=False)

    def run(
        self,
        *arguments: str | Path,
        variables: Mapping[str, str] | None = None,
        sent: bytes = b"",
        read: str = ".in",
        out: str = ".out",
    ) -> Done:
        """variables: instead of those that say which gateway, and who calls. sent: its standard input.

        read, out: other files than usual for its standard input and output.
        """
        (self.folder / ".in").write_bytes(sent)
        words = [*map(str, arguments)]
        known = {**os.environ, **(self.variables if variables is None else variables)}
        process = _FORKS.Process(target=_command, args=(words, str(self.folder), known, (read, out)))
        process.start()
        process.join(100)
        said = [(self.folder / name).read_text() for name in (".out", ".err") if (self.folder / name).exists()]
        NOTES.sight(f"what hsmgate {arguments[0]} printed", "".join(said))
        return Done(process.exitcode, said[0], said[-1])

    def said(self, *arguments: str | Path, sent: bytes = b"") -> str:
        """What a command that succeeds prints."""
        done = self.run(*arguments, sent=sent)
        assert (done.code, done.err) == (0, ""), done
        return done.out

    def refused(self, *arguments: str | Path, code: int = 1, variables: Mapping[str, str] | None = None) -> str:
        """The one line that a command prints that fails."""
        done = self.run(*arguments, variables=variables)
        assert (done.code, done.out) == (code, ""), done
        (line,) = done.err.splitlines()
        return line.removeprefix("hsmgate: ")


def _command(words: list[str], folder: str, variables: dict[str, str], streams: tuple[str, str]) -> None:
    from hsmgate.cli import main

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    for number, name, flags in (
        (0, streams[0], os.O_RDWR),
        (1, streams[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, ".err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        os.dup2(os.open(name, flags), number)
    sys.stdin = open(0)  # noqa: SIM115 - as at the start of any process
    sys.exit(main(words))
