"""How signers end, and why."""

import signal

from hsmgate.gateway.figures import End
from hsmgate.gateway.signers import Signer

_CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE})
_EXITS = {4: End.TOKEN_LOST, 5: End.BUG, 6: End.DISTRUSTED}
"""The signer's own exit codes (`hsmgate.signer.__main__`)."""

WHY = {
    End.HUNG: "it hung in a call",
    End.CRASHED: "it crashed",
    End.KILLED: "somebody killed it",
    End.TOKEN_LOST: "the token, or its login, was gone or could not sign",
    End.DISTRUSTED: "a signature did not verify",
    End.PROTOCOL: "it answered what it was not asked",
    End.BUG: "a bug",
    End.EXITED: "it left by itself",
    End.WORN: "it was worn",
}
"""In words, for the log."""


def end_of(signer: Signer, orphans: int) -> End:
    """Why a signer that is gone ended."""
    if signer.killed_for is not None:
        return signer.killed_for
    if signer.retiring and not orphans:
        return End.WORN
    code = signer.process.exit_code
    if code < 0:
        return End.CRASHED if -code in _CRASHES else End.KILLED
    return _EXITS.get(code, End.EXITED)
