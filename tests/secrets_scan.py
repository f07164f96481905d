"""What the tests keep secret, and everything that could give it away: looked through once, after the last test.

Tests note what is secret, and `serving` notes most of it for them: PINs, API keys, session tokens. What is looked
through: all logs and audit files below pytest's own folder, error answers, /metrics, and the command lines and
environments of hsmgate's processes. A secret that is found fails the run; it is named and not shown.
"""

import base64
import contextlib
import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

SHORTEST = 8
"""Bytes of what can be told from chance."""

OF_A_KIND = 100
"""Secrets of one kind that are looked for; a test may make tens of thousands."""

LOGS = ("*.log", "log", "log[0-9]*", "*.jsonl")
LONGEST = 64 * 1024
"""Bytes of an answer that are kept."""

_ITEM_ERROR = re.compile(rb'"error":\s*"((?:[^"\\]|\\.)*)"')


class Notes:
    """Secrets by their kind, and what was seen from outside, by where it was."""

    def __init__(self) -> None:
        self.secrets: dict[bytes, str] = {}
        self.seen: dict[bytes, str] = {}
        self._kinds: Counter[str] = Counter()

    def secret(self, kind: str, value: str | bytes) -> None:
        """That is secret, from now on and before."""
        data = value.encode() if isinstance(value, str) else value
        if len(data) >= SHORTEST and data not in self.secrets and self._kinds[kind] < OF_A_KIND:
            self.secrets[data] = kind
            self._kinds[kind] += 1

    def sight(self, where: str, text: str | bytes) -> None:
        """That was to be seen there."""
        self.seen.setdefault(text.encode("utf-8", "replace") if isinstance(text, str) else text, where)

    def api_key(self, key: str) -> None:
        """An API key is secret, and so is the half of it that the config knows by its hash."""
        self.secret("API key", key)
        with contextlib.suppress(ValueError):
            self.secret("API key's secret", base64.b64decode(key).partition(b":")[2])

    def found(self, folder: Path | None) -> Iterator[str]:
        """A line for each secret and place where they met."""
        places = [*((data, where) for data, where in self.seen.items())]
        if folder is not None:
            files = {file for pattern in LOGS for file in folder.rglob(pattern) if file.is_file()}
            places += [(file.read_bytes(), str(file)) for file in sorted(files)]
        for value, kind in self.secrets.items():
            forms = [*_forms(value)]
            for data, where in places:
                for form, how in forms:
                    if form in data:
                        yield f"{kind}, {how}: in {where}, at byte {data.index(form)}"


NOTES = Notes()


def _forms(value: bytes) -> Iterator[tuple[bytes, str]]:
    """As it is, in hex, and in base64, also as the middle of something longer."""
    yield value, "as it is"
    yield value.hex().encode(), "in hex"
    yield value.hex().upper().encode(), "in hex"
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + value)
        form = encoded[math.ceil(before * 8 / 6) : (before + len(value)) * 8 // 6]
        yield form, "in base64"
        yield form.translate(bytes.maketrans(b"+/", b"-_")), "in base64"


class NotingResponse(aiohttp.ClientResponse):
    """An answer whose errors are looked through, and whose session token is secret."""

    async def read(self) -> bytes:
        body = await super().read()
        where = f"the answer to {self.method} {self.url.path}"
        if self.status >= 400:
            NOTES.sight(where, f"{self.headers}".encode() + body[:LONGEST])
        for error in set(_ITEM_ERROR.findall(body)):
            NOTES.sight(where, error)
        if self.url.path == "/sys/v1/session/auth" and self.status == 200:
            NOTES.secret("session token", (await self.json())["access_token"])
        return body


def look_at_processes(gateway: int) -> None:
    """What `ps` shows of a gateway and all below it, and the environment of those, where we may look."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(gateway)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                NOTES.sight("a command line", "\0".join(one.cmdline()))
                if one.pid != gateway:
                    NOTES.sight("an environment", "\0".join(f"{name}={value}" for name, value in one.environ().items()))


_found: list[str] = []
_counts: list[int] = []
_FROM_A_WORKER = "secrets_scan"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Look, where tests ran; pytest-xdist's workers leave it to their controller to say what was found."""
    if not _counts:
        factory: pytest.TempPathFactory | None = getattr(session.config, "_tmp_path_factory", None)
        _found.extend(NOTES.found(factory.getbasetemp() if factory else None))
        _counts.append(len(NOTES.secrets))
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[_FROM_A_WORKER] = _found, _counts
    if _found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What a worker of pytest-xdist found. A worker that was killed has failed the run anyway."""
    found, counts = getattr(node, "workeroutput", {}).get(_FROM_A_WORKER, ([], []))
    _found.extend(found)
    _counts.extend(counts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _found:
        terminalreporter.section("secrets that got out", red=True)
        for line in _found:
            terminalreporter.line(line, red=True)
    else:
        terminalreporter.line(f"{sum(_counts)} secrets were looked for where they must not be; none was there")
