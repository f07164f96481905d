"""The module of module.c: built, ordered to fail, and put under a gateway. Its rules are explained there."""

import functools
import hashlib
import json
import os
import re
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.token_tool import MODULE

SOURCE = Path(__file__).with_name("module.c")
COMPILE = ("gcc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-fvisibility=hidden", "-shared")
LIBRARIES = ("-pthread", "-ldl")

# As module.c has them: a page of RULES.hits, how many rules it has room for, and how old its rules may be.
PAGE = 65536
RULES_AT_MOST = 32
NOTICED_SECONDS = 0.005


@functools.cache
def build() -> Path:
    """The module's path. It is compiled once for a user and a source."""
    folder = Path(tempfile.gettempdir()) / f"hsmgate-faults-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    assert folder.stat().st_uid == os.getuid(), f"{folder} is somebody else's"
    name = hashlib.sha256(SOURCE.read_bytes() + repr(COMPILE + LIBRARIES).encode()).hexdigest()[:16]
    module = folder / f"{name}.so"
    if not module.exists():
        # Whoever else compiles it at the same time makes the same file.
        with tempfile.TemporaryDirectory(dir=folder) as part:
            made = Path(part) / module.name
            subprocess.run([*COMPILE, str(SOURCE), "-o", str(made), *LIBRARIES], check=True)
            made.replace(module)
    return module


class Rules:
    """The rules file of a faulty token. It is there once there are rules."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hits = path.with_name(path.name + ".hits")
        self._hits.touch()
        self._generation = self._hits.stat().st_size // PAGE  # the latest that anything was counted for
        self._rules = 0

    def set(self, *lines: str) -> None:
        """Let these be the rules, counted from zero, for every call that begins after this."""
        self._generation += 1
        self._rules = len(lines)
        part = self.path.with_name(self.path.name + ".part")
        part.write_text("".join(f"{line}\n" for line in (f"# generation {self._generation}", *lines)))
        part.replace(self.path)
        time.sleep(2 * NOTICED_SECONDS)

    def clear(self) -> None:
        """No faults, but for a process that is to stay broken."""
        self.set()

    def hits(self) -> list[int]:
        """How many calls each of the present rules has taken, of all processes."""
        with self._hits.open("rb") as counts:
            counts.seek(self._generation * PAGE + RULES_AT_MOST * 8)
            taken = counts.read(self._rules * 8).ljust(self._rules * 8, b"\0")
        return list(struct.unpack(f"{self._rules}Q", taken))


def environment(rules: Rules, real_module: str = MODULE, log: Path | None = None) -> dict[str, str]:
    """What the module wants to have in the environment; `log` gets a line for each call: see `calls`."""
    logged = {} if log is None else {"FAULTS_LOG": str(log)}
    return {"FAULTS_MODULE": real_module, "FAULTS_RULES": str(rules.path), **logged}


@dataclass(frozen=True)
class FaultyToken:
    """A gateway config whose token fails on order, and the log of its calls."""

    config: Path
    rules: Rules
    log: Path


def faulty(config: Path, folder: Path, name: str | None = None) -> FaultyToken:
    """Copy a gateway's config into the folder, with the module between the gateway and its token.

    name: the only token that is to fail, where the config has several; else all of them obey the same rules.
    """
    token = FaultyToken(folder / "faulty.toml", Rules(folder / "rules"), folder / "calls")
    text = config.read_text()
    for file in ("pin", "softhsm2.conf"):  # what a demo's config names relative to itself
        text = re.sub(rf'"(file:)?{file}"', rf'"\1{config.parent}/{file}"', text)
    sections = re.split(r"(?m)^(?=\[)", text)
    token.config.write_text(
        "".join(
            _put_between(section, token)
            if section.startswith("[[token]]") and (name is None or f'name = "{name}"\n' in section)
            else section
            for section in sections
        )
    )
    return token


def _put_between(section: str, token: FaultyToken) -> str:
    """A `[[token]]` with our module for its own, which becomes the real one."""
    module = re.search(r'^module = "(.*)"$', section, re.MULTILINE)
    assert module
    assert "\nenv = {" in section
    words = environment(token.rules, module[1], token.log)
    ours = ", ".join(f"{name} = {json.dumps(value)}" for name, value in words.items())
    return section.replace(module[0], f'module = "{build()}"').replace("\nenv = {", f"\nenv = {{ {ours},")


class Call(NamedTuple):
    """A call that returned, and what it gave. `at_seconds` is when, by the monotonic clock."""

    pid: int
    tid: int
    at_seconds: float
    function: str
    ckr: int


def calls(log: Path) -> list[Call]:
    """The calls so far, in the order in which they returned."""
    words = (line.split() for line in log.read_text().splitlines())
    return [Call(int(pid), int(tid), float(at), function, int(ckr, 16)) for pid, tid, at, function, ckr in words]
