"""The user PIN: read as late as possible, from where the config says.

    file:PATH            what the file holds, without newlines at its end
    env:NAME             an environment variable, which no other process gets
    credential:NAME      a credential of systemd's: NAME in $CREDENTIALS_DIRECTORY (systemd.exec(5))
    command:PROGRAM …    the one line that a program prints; its arguments are split as a shell does, but there is none

What goes wrong is told with the source's name, never with what it holds, and of a command with the program's name only:
its arguments may be secrets, and so may what it prints.
"""

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

from hsmgate.errors import SignerStartError, TokenMisconfigured
from hsmgate.secret import Secret

COMMAND_SECONDS = 10.0
"""For a command to print the PIN and end."""

BURIAL_SECONDS = 1.0
"""For a killed command to be gone; something of another session may hold its output open for ever."""

LARGEST_OUTPUT = 4096
"""Bytes that a command may print."""

_taken: dict[str, Secret] = {}


def take_variables(sources: Iterable[str]) -> None:
    """Take the variables of these sources out of the environment that signers and commands would inherit."""
    for source in sources:
        scheme, _, name = source.partition(":")
        if scheme == "env" and name in os.environ:
            _taken[name] = Secret(os.environ.pop(name))


def again_seconds(source: str) -> float:
    """How long to wait before the source of a refused PIN is looked at for another."""
    return 30.0 if source.startswith("command:") else 1.0


async def read_pin(source: str, folder: Path) -> Secret:
    """The PIN. Paths, and a command's own folder, are relative to `folder`.

    Raises TokenMisconfigured where there is none, or SignerStartError where a command failed that may succeed later.
    """
    scheme, _, rest = source.partition(":")
    try:
        value = await _READERS[scheme](rest, folder)
        text = value.decode()
    except UnicodeDecodeError:
        raise TokenMisconfigured(f"pin_source {_name(source)}: not UTF-8") from None
    except OSError as error:
        raise TokenMisconfigured(f"pin_source {_name(source)}: {error.strerror or 'cannot be read'}") from None
    except SignerStartError as error:
        raise type(error)(f"pin_source {_name(source)}: {error}") from None
    if not text:
        raise TokenMisconfigured(f"pin_source {_name(source)}: there is no PIN in it")
    return Secret(text)


def _name(source: str) -> str:
    """The source as errors may show it."""
    scheme, _, rest = source.partition(":")
    return f"command:{shlex.split(rest)[0]}" if scheme == "command" else source


async def _file(path: str, folder: Path) -> bytes:
    return (await asyncio.to_thread((folder / path).read_bytes)).rstrip(b"\r\n")


async def _variable(name: str, folder: Path) -> bytes:
    taken = _taken.get(name)
    return os.fsencode(os.environ.get(name, "") if taken is None else taken.reveal())


async def _credential(name: str, folder: Path) -> bytes:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if directory is None:
        raise TokenMisconfigured("CREDENTIALS_DIRECTORY is not set; systemd sets it for LoadCredential=")
    return await _file(name, Path(directory))


async def _command(line: str, folder: Path) -> bytes:
    """The line that it prints. Its errors are not kept: what a program complains of may hold the secret."""
    process = await asyncio.create_subprocess_exec(
        *shlex.split(line),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(COMMAND_SECONDS):
            output = await _read(process)
            code = await process.wait()
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it, and what it started
        await _bury(process)
        if isinstance(error, TimeoutError):
            raise SignerStartError(f"it took longer than {COMMAND_SECONDS:g} s") from None
        raise
    if code:
        raise SignerStartError(f"killed by signal {-code}" if code < 0 else f"exit code {code}")
    pin = output.removesuffix(b"\n").removesuffix(b"\r")
    if b"\n" in pin:
        raise TokenMisconfigured("it printed more than one line")
    return pin


async def _bury(process: asyncio.subprocess.Process) -> None:
    """Wait for the end of a killed process. asyncio sees it only after all that it printed was read."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(BURIAL_SECONDS):
            if process.stdout is not None:
                await process.stdout.read()
            await process.wait()


async def _read(process: asyncio.subprocess.Process) -> bytes:
    """All that it prints. Raises TokenMisconfigured where that is too much for a PIN."""
    output = b""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    while data := await process.stdout.read(LARGEST_OUTPUT):
        output += data
        if len(output) > LARGEST_OUTPUT:
            raise TokenMisconfigured(f"it printed more than {LARGEST_OUTPUT} bytes")
    return output


_READERS = {"file": _file, "env": _variable, "credential": _credential, "command": _command}
