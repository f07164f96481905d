"""An open token: the module, the login, the key table, and what is shared by the threads that sign."""

import threading
import time

from msgspec import structs

from hsmgate.domain.capabilities import Capabilities
from hsmgate.domain.ckr import Failure, ckr_name, classify
from hsmgate.domain.uri import TokenInfo, TokenURI
from hsmgate.errors import PinRefused, SignerStartError, TokenMisconfigured
from hsmgate.ipc.messages import Keys, Open, Opened, SlotReport
from hsmgate.signer.cryptoki import CryptokiError, Module, ModuleError
from hsmgate.signer.keys import KeyTable, read_keys
from hsmgate.signer.management import read_notes
from hsmgate.signer.proof import prove
from hsmgate.signer.sessions import Session
from hsmgate.signer.transient import TransientKeys

REFRESH_PAUSE_SECONDS = 1.0
"""A missing key makes the table be read again at most this often."""


class TokenLost(Exception):
    """Only a fresh process can help: the login, the token or the library is gone."""


class Token:
    """A token that this process is logged in to.

    `keys` is replaced as a whole, so a reader always sees one consistent table; `generation` counts the tables.
    """

    def __init__(self, order: Open) -> None:
        """Load the module, find the token, log in once, read the keys.

        Raises TokenMisconfigured, PinRefused, or SignerStartError where another try may help.
        """
        try:
            self.module = Module(order.module, order.init_args)
        except ModuleError as error:
            raise TokenMisconfigured(str(error)) from error
        try:
            self._slots = self.module.tokens()
            self.info = _choose(self._slots, TokenURI.parse(order.uri))
            self._login_session = self._open_session()
            _login(self._login_session, order.pin)
            self.capabilities = order.capabilities or self._prove()
            self.transient = TransientKeys(self.capabilities)
            self._refresh = threading.Lock()
            self.generation = 0
            self.read_keys()
        except CryptokiError as error:
            raise SignerStartError(str(error)) from error

    def _prove(self) -> Capabilities:
        keys = read_keys(self._login_session, self.info.serial).keys
        mechanisms = self.module.mechanisms(self.info.slot_id)
        return prove(self._open_session, mechanisms, {key.type for key in keys})

    def opened(self) -> Opened:
        """What the gateway wants to know first."""
        slots = [
            SlotReport(s.slot_id, s.slot_description, s.label, s.serial, s.manufacturer, s.model, s == self.info)
            for s in self._slots
        ]
        return Opened(self.module.description, slots, self.capabilities, self._listed)

    def read_keys(self) -> Keys:
        """Read the key table again. Raises CryptokiError, or TokenLost where the login is gone.

        A lost login makes private keys invisible, so nothing that is read without one may pass for a table.
        """
        with self._refresh:
            started = time.monotonic()
            table = read_keys(self._login_session, self.info.serial)
            wrapping = self.transient.read_ids(self._login_session)
            notes = read_notes(self._login_session)
            if not self._login_session.is_logged_in():
                raise TokenLost("the login is gone")
            self.keys: KeyTable = table
            self.generation += 1
            self._read_at = time.monotonic()
            keys = [structs.replace(key, notes=notes.get(key.kid, key.notes)) for key in table.keys]
            self._listed = Keys(keys, wrapping, self._read_at - started)
            return self._listed

    def read_keys_if_old(self) -> None:
        """Read the key table again, unless that was done just now."""
        if time.monotonic() - self._read_at >= REFRESH_PAUSE_SECONDS:
            self.read_keys()

    def _open_session(self) -> Session:
        return Session(self.module, self.info.slot_id)

    def work_session(self) -> Session:
        """A session to sign with. Raises TokenLost where none can be opened or the login is gone."""
        try:
            session = self._open_session()
            logged_in = session.is_logged_in()
        except CryptokiError as error:
            raise TokenLost(f"no session: {error}") from error
        if not logged_in:
            raise TokenLost("the login is gone")
        return session


def _choose(tokens: list[TokenInfo], uri: TokenURI) -> TokenInfo:
    matches = [token for token in tokens if uri.matches(token)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        serials = ", ".join(sorted(token.serial for token in matches))
        raise TokenMisconfigured(
            f"{uri.text} matches {len(matches)} tokens (serials {serials}); add ;serial=… to the uri"
        )
    there = ", ".join(sorted(f"'{token.label}'" for token in tokens)) or "none"
    # Not a TokenMisconfigured: a token may be away for a while, and SoftHSM overlooks one now and then when processes
    # start at once.
    raise SignerStartError(f"{uri.text} matches no token; there is: {there}")


def _login(session: Session, pin: str) -> None:
    try:
        session.login(pin)
    except CryptokiError as error:
        if classify(error.ckr) is Failure.PIN:
            raise PinRefused(f"the token refused the PIN ({ckr_name(error.ckr)}); it was tried once") from error
        raise
