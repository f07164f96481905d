"""What the tests keep secret, and everything that could give it away: looked through once, after the last test.

Whatever makes a secret for the tests notes it: API keys, PINs, JWTs, private keys; `NotingResponse` notes what a
gateway gives away, session tokens and the blobs of transient keys. What is looked through: all logs and audit files
below pytest's own folder, error answers, /metrics, and the command lines and environments of hsmgate's processes. A
secret that is found fails the run; it is named and not shown.
"""

import base64
import contextlib
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

SHORTEST = 8
"""Bytes of what can be told from chance."""

OF_A_KIND = 5000
"""Secrets of one kind that are looked for; a test may make tens of thousands."""

WORD = 8
"""Bytes of a secret's middle that are looked for first."""

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

    def jwt(self, token: str) -> None:
        """A JWT is secret, and so is its signature: all else of it may be known."""
        self.secret("JWT", token)
        self.secret("JWT's signature", token.rpartition(".")[2])

    def private_key(self, kind: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
        """A private key is secret in DER, in the lines of its PEM that are not public, and as a number."""
        self.secret(kind, key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        for line in pem.splitlines()[1:3]:
            self.secret(kind, line)
        numbers = key.private_numbers()
        number = numbers.private_value if isinstance(numbers, ec.EllipticCurvePrivateNumbers) else numbers.d
        self.secret(kind, number.to_bytes((key.key_size + 7) // 8, "big"))

    def found(self, folder: Path | None) -> Iterator[str]:
        """A line for each secret and place where they met."""
        forms = {form: f"{kind}, {how}" for value, kind in self.secrets.items() for form, how in _forms(value)}
        words = frozenset(map(_middle, forms))
        for data, where in self._places(folder):
            if _has_one(words, data):
                for form, what in forms.items():
                    if form in data:
                        yield f"{what}: in {where}, at byte {data.index(form)}"

    def _places(self, folder: Path | None) -> Iterator[tuple[bytes, str]]:
        yield from self.seen.items()
        if folder is not None:
            for file in sorted({file for pattern in LOGS for file in folder.rglob(pattern) if file.is_file()}):
                yield file.read_bytes(), str(file)


NOTES = Notes()


def _middle(form: bytes) -> int:
    """A word from its middle, as the machine reads it: secrets often begin alike."""
    at = (len(form) - WORD) // 2
    return int.from_bytes(form[at : at + WORD], sys.byteorder)


def _has_one(words: frozenset[int], data: bytes) -> bool:
    """Whether one of the words is anywhere in it. It takes as long for one word as for 10,000."""
    view = memoryview(data)
    return not all(
        words.isdisjoint(view[at : at + (len(data) - at) // WORD * WORD].cast("Q"))
        for at in range(min(WORD, len(data)))
    )


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
    """An answer whose errors are looked through, and whose session token or transient key is secret."""

    async def read(self) -> bytes:
        body = await super().read()
        where = f"the answer to {self.method} {self.url.path}"
        if self.status >= 400:
            NOTES.sight(where, f"{self.headers}".encode() + body[:LONGEST])
        for error in set(_ITEM_ERROR.findall(body)):
            NOTES.sight(where, error)
        if self.url.path == "/sys/v1/session/auth" and self.status == 200:
            NOTES.secret("session token", (await self.json())["access_token"])
        if self.url.path == "/crypto/v1/keys" and self.status == 201:
            blob = (await self.json()).get("transient_key")
            NOTES.secret("transient key", base64.b64decode(blob or ""))
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
