"""One signer process, seen from the gateway: started by exec, spoken to over a socket pair, gone when it is gone."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self, cast

import hsmgate
from hsmgate import config
from hsmgate.domain.capabilities import Capabilities
from hsmgate.errors import FrameError, PinRefused, SignerStartError, TokenMisconfigured
from hsmgate.gateway import logs
from hsmgate.gateway.pin_file import PinFile
from hsmgate.ipc.frames import FrameReader, frame
from hsmgate.ipc.messages import (
    FromSigner,
    Open,
    Opened,
    OpenFailed,
    OpenFault,
    ToSigner,
    decode_from_signer,
    encode,
)
from hsmgate.secret import Secret

OPEN_TIMEOUT_SECONDS = 20.0
"""For loading the module, logging in and reading the keys, besides what two calls into it may take."""

_STDERR = 2

_FAULTS = {OpenFault.PIN: PinRefused, OpenFault.CONFIG: TokenMisconfigured, OpenFault.TRANSIENT: SignerStartError}

# What a signer's environment takes over from ours; the rest is the token's `env`.
_KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH")

# For glibc's malloc to keep more freed blocks at hand than 7 of a size: a signature by OpenSSL, as SoftHSM makes it,
# frees many more, and P-256 takes 8 % longer where they go back to the heap each time.
_TUNED_ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=127"}


class _Link(asyncio.Protocol):
    """Cuts what arrives into messages and hands them on; the last word is that the signer hung up."""

    def __init__(self) -> None:
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_message: Callable[[FromSigner], None] = lambda message: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._reader.feed(data):
                self.on_message(decode_from_signer(message))
        except FrameError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)

    def send(self, message: ToSigner) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(encode(message)))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class SignerProcess:
    """A signer that has opened its token. `opened` is what it said of it; `pid` names it in logs."""

    def __init__(self, process: asyncio.subprocess.Process, link: _Link, opened: Opened) -> None:
        self._process = process
        self._link = link
        self.opened = opened
        self.pid = process.pid

    @classmethod
    async def start(
        cls,
        token: config.Token,
        folder: Path,
        pin: Secret,
        pin_file: PinFile,
        capabilities: Capabilities | None = None,
    ) -> Self:
        """Start a signer for the token and wait until it is ready; it tries the token unless told what that can do.

        Raises PinRefused, TokenMisconfigured, or SignerStartError where another try may help.
        """
        process, link = await _spawn(token, folder, pin_file.of(pin))
        answer: asyncio.Future[FromSigner] = asyncio.get_running_loop().create_future()
        link.on_message = lambda message: None if answer.done() else answer.set_result(message)
        module = str(folder / token.module) if "/" in token.module else token.module
        always = token.verify_signatures == "always"
        link.send(Open(module, token.init_args, token.uri, pin.reveal(), token.sessions, capabilities, always))
        seconds = OPEN_TIMEOUT_SECONDS + 2 * token.operation_timeout
        try:
            await asyncio.wait((answer, link.lost), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            opened = _opened(answer)
        except BaseException:
            await _end(process, link)
            raise
        return cls(process, link, opened)

    def listen(self, on_message: Callable[[FromSigner], None]) -> None:
        """Who gets the signer's messages from now on."""
        self._link.on_message = on_message

    def send(self, message: ToSigner) -> None:
        """Send a message; to a signer that is gone it makes no difference."""
        self._link.send(message)

    def kill(self) -> None:
        """End it, wherever it is."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._link.close()

    async def ended(self) -> str:
        """Wait for its end and say how it ended, for the log."""
        await self._link.lost
        return await _end(self._process, self._link)

    @property
    def exit_code(self) -> int:
        """How it ended, as `subprocess` has it, once that is known."""
        return self._process.returncode or 0

    async def stop(self) -> None:
        """Hang up, which makes it exit, and wait for that."""
        await _end(self._process, self._link)


async def _spawn(token: config.Token, folder: Path, pin_file: int) -> tuple[asyncio.subprocess.Process, _Link]:
    """The process and our end of its socket. Its own folder is the config's, so that paths in `env` may be relative."""
    ours, theirs = socket.socketpair()
    environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    with theirs:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "hsmgate.signer"),
            *(str(theirs.fileno()), str(pin_file), logs.log_format(), hsmgate.__version__),
            stdin=subprocess.DEVNULL,
            stdout=_STDERR,  # modules print; our standard output is for one line
            pass_fds=(theirs.fileno(), pin_file),
            start_new_session=True,  # a terminal's Ctrl-C is for us, and would meet it before it can ignore that
            cwd=folder,
            env=_TUNED_ENVIRONMENT | environment | token.env,
        )
    loop = asyncio.get_running_loop()
    _, link = await loop.create_unix_connection(_Link, sock=ours)
    return process, link


def _opened(answer: "asyncio.Future[FromSigner]") -> Opened:
    if not answer.done():
        raise SignerStartError("the signer ended, or hung, while it opened the token")
    message = answer.result()
    if isinstance(message, Opened):
        return message
    if isinstance(message, OpenFailed):
        raise _FAULTS[message.fault](message.text)
    raise SignerStartError("the signer spoke out of turn")


END_SECONDS = 2.0
"""A signer that has been hung up on exits at once, unless a module's thread keeps it."""


async def _end(process: asyncio.subprocess.Process, link: _Link) -> str:
    link.close()
    try:
        code = await asyncio.wait_for(process.wait(), END_SECONDS)
    except TimeoutError:
        process.kill()
        code = await process.wait()
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
