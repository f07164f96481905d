"""The signer process: `python -m hsmgate.signer FD FD FORMAT VERSION`, started by the gateway.

The first descriptor is one end of a socket pair, the second a file that all signers with the same PIN share (see
`hsmgate.signer.pin`). FORMAT is the log's. VERSION is the gateway's: what is installed may have become another while
that runs, and the two would not understand each other.

A thread for each session reads the socket when it has nothing to do, signs and answers; one more reads the keys again
when told to; the main thread waits for the gateway to hang up. The module is never finalised: to end is the one thing
that every module survives.
"""

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable

from msgspec import structs

import hsmgate
from hsmgate import tracebacks
from hsmgate.confinement import confine, give_way
from hsmgate.errors import FrameError, PinRefused, SignerStartError, TokenMisconfigured
from hsmgate.ipc.messages import (
    Distrust,
    Open,
    OpenFailed,
    OpenFault,
)
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.inbox import Inbox
from hsmgate.signer.jobs import Task
from hsmgate.signer.link import Link
from hsmgate.signer.signing import Signing
from hsmgate.signer.token import Token, TokenLost

EXIT_GATEWAY_GONE = 0
EXIT_OPEN_FAILED = 3
EXIT_TOKEN_LOST = 4
EXIT_BUG = 5
EXIT_DISTRUST = 6

_FAULTS: dict[type[Exception], OpenFault] = {PinRefused: OpenFault.PIN, TokenMisconfigured: OpenFault.CONFIG}

log = logging.getLogger("hsmgate.signer")


def main(fd: int, pin_file: int, log_format: str, version: str) -> int:
    """Serve the gateway at the other end of `fd`. Returns the exit code."""
    confine(fd, pin_file)
    give_way()  # the gateway, which has just sent something, mostly has more to do for others
    tracebacks.configure(log_format)
    # Ctrl-C reaches the whole process group, and a signer outlives it until the gateway has drained.
    # SIGHUP, likewise, is for the gateway.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    link = Link(fd)
    if version != hsmgate.__version__:
        text = f"the installed hsmgate is now {hsmgate.__version__}, and this gateway is {version}: restart it"
        link.send(OpenFailed(OpenFault.CONFIG, text))
        return EXIT_OPEN_FAILED
    while (order := next(link.receive(), None)) is None:
        pass  # a part of it has come
    if not isinstance(order, Open):
        return EXIT_GATEWAY_GONE
    token = _open(order, pin_file, link)
    if token is None:
        return EXIT_OPEN_FAILED
    inbox = Inbox(link, order.sessions)
    for number in range(order.sessions):
        _start(f"session-{number}", lambda: _sign(token, inbox, link))
    _start("keys", lambda: _list_keys(token, inbox, link))
    inbox.attend()
    return EXIT_GATEWAY_GONE


def _open(order: Open, pin_file: int, link: Link) -> Token | None:
    """The token, once the gateway has been told of it; None where it could not be opened."""
    try:
        token = Token(order, pin_file)
        link.send(token.opened())
        return token
    except (SignerStartError, TokenLost) as error:
        link.send(OpenFailed(_FAULTS.get(type(error), OpenFault.TRANSIENT), str(error)))
        return None


def _sign(token: Token, inbox: Inbox, link: Link) -> None:
    signing = Signing(token, inbox.bell)
    while True:
        signing.wait()
        next_one, patience = inbox.get()
        answer = signing.run(next_one, patience) if isinstance(next_one, Task) else signing.make(next_one)
        if answer is not None:
            link.send(answer)
        elif isinstance(next_one, Task) and next_one.left:
            inbox.put_back(next_one)
        if isinstance(answer, Distrust):
            _leave(EXIT_DISTRUST)


def _list_keys(token: Token, inbox: Inbox, link: Link) -> None:
    while True:
        asked = inbox.listing.get()
        link.send(structs.replace(token.read_keys(), id=asked.id))


def _start(name: str, target: Callable[[], None]) -> None:
    """A thread whose end is the end of the process: the gateway runs again what was in flight."""

    def run() -> None:
        try:
            target()
        except (TokenLost, CryptokiError) as error:
            log.error("gives up: %s", error)
            _leave(EXIT_TOKEN_LOST)
        except OSError:
            _leave(EXIT_GATEWAY_GONE)
        except BaseException as error:  # noqa: BLE001 - whatever it is, a thread that is gone must not look alive
            # Where, but not what: an error's own text may quote what was being signed.
            where = traceback.extract_tb(error.__traceback__)[-1]
            log.critical("gives up: %s at %s:%s", type(error).__name__, where.filename, where.lineno)
            _leave(EXIT_BUG)

    threading.Thread(target=run, name=name, daemon=True).start()


def _leave(code: int) -> None:
    """End at once, whichever thread is inside the module."""
    os._exit(code)


if __name__ == "__main__":
    try:
        _code = main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:5])
    except ConnectionError:
        _code = EXIT_GATEWAY_GONE
    except (FrameError, OSError) as _error:
        log.critical("gives up: %s", _error)
        _code = EXIT_BUG
    _leave(_code)
