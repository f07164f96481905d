"""A thread's session for signing: one at a time, a fresh one after every error, none while the token is out of them."""

import time

from hsmgate.domain.ckr import Failure, classify
from hsmgate.errors import NoSigner
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.sessions import Session
from hsmgate.signer.token import Token, TokenLost

CKR_ARGUMENTS_BAD = 0x07

TRY_AGAIN_AFTER_SECONDS = 0.1
"""How often a thread without a session asks for one."""


class WorkSession:
    """The session of one thread. `session` is None while the token has none to give."""

    __slots__ = ("_token", "session")

    def __init__(self, token: Token) -> None:
        self._token = token
        self.session: Session | None = None

    def wait(self) -> None:
        """Wait for a session, unless no thread has one: then somebody must be there to refuse what comes.

        Raises TokenLost.
        """
        while not self.open() and self._token.sessions_open:
            time.sleep(TRY_AGAIN_AFTER_SECONDS)

    def open(self) -> bool:
        """Open the session if there is none. Whether there is one now. Raises TokenLost."""
        if self.session is None:
            try:
                self.session = self._token.open_session()
            except CryptokiError as error:
                if not _is_out_of_sessions(error):
                    raise TokenLost(f"no session: {error}") from error
                return False
            self._token.count_sessions(+1)
            self._check_login(self.session)
        return True

    def required(self) -> Session:
        """The session. Raises NoSigner while there is none, or TokenLost."""
        if not self.open() or self.session is None:
            raise NoSigner("the token is out of sessions; try again")
        return self.session

    def replace(self) -> None:
        """Take a fresh session: one that saw an error may be in the middle of an operation for ever. Raises TokenLost.

        With the old one go the objects that were made in it; opening the new one finds out whether the login is gone.
        """
        if self.session is not None:
            self.session.close()
            self.session = None
            self._token.count_sessions(-1)
        self.open()

    def _check_login(self, session: Session) -> None:
        try:
            logged_in = session.is_logged_in()
        except CryptokiError as error:
            raise TokenLost(f"a new session is dead: {error}") from error
        if not logged_in:
            raise TokenLost("the login is gone")


def _is_out_of_sessions(error: CryptokiError) -> bool:
    """CloudHSM says CKR_ARGUMENTS_BAD when sessions are opened faster than it likes."""
    return classify(error.ckr) is Failure.BUSY or error.ckr == CKR_ARGUMENTS_BAD
