"""An open token: the module, the login, the key table, and what is shared by the threads that sign."""

import threading
import time

from msgspec import structs

from hsmgate.domain.capabilities import Capabilities
from hsmgate.domain.ckr import FATAL, classify
from hsmgate.domain.model import KeyInfo
from hsmgate.domain.uri import TokenInfo, TokenURI
from hsmgate.errors import NoSuchKey, SignerStartError, TokenMisconfigured
from hsmgate.ipc.messages import Keys, Open, Opened, SlotReport
from hsmgate.signer.canary import Canary
from hsmgate.signer.cryptoki import CryptokiError, Module, ModuleError
from hsmgate.signer.keys import KeyTable, read_keys
from hsmgate.signer.management import read_notes
from hsmgate.signer.pin import SigningPin, login
from hsmgate.signer.proof import prove
from hsmgate.signer.sessions import Session
from hsmgate.signer.transient import TransientKeys

REFRESH_SHARE = 0.05
"""The part of the time that may go into reading the keys again because some are missing or gone, and in vain."""

READ_AGAIN_SECONDS = (0.02, 0.2)
"""After a failure to read the keys: others may have changed one between two calls."""

CKF_USER_PIN_FINAL_TRY = 0x20000
CKF_USER_PIN_LOCKED = 0x40000


class TokenLost(Exception):
    """Only a fresh process can help: the login, the token or the library is gone."""


class Token:
    """A token that this process is logged in to.

    `keys` is replaced as a whole, so a reader always sees one consistent table. `generation` counts the tables that
    differ: a handle is good for the generation it was found in, and for no other.
    """

    def __init__(self, order: Open, pin_file: int) -> None:
        """Load the module, find the token, log in once, read the keys.

        pin_file: what the signers with this PIN share (see `hsmgate.signer.pin`).
        Raises TokenMisconfigured, PinRefused, or SignerStartError where another try may help.
        """
        try:
            self.module = Module(order.module, order.init_args)
        except ModuleError as error:
            raise TokenMisconfigured(str(error)) from error
        try:
            self._slots = self.module.tokens()
            self.info = _choose(self._slots, TokenURI.parse(order.uri))
            self._check_pin_tries()
            self._login_session = self.open_session()
            login(self._login_session, order.pin, pin_file, self.info)
            self.pin = SigningPin(order.pin, pin_file, self.info)
            self.capabilities = order.capabilities or self._prove()
            self.verify_always = order.verify_always
            self.transient = TransientKeys(self.capabilities)
            self.canary = Canary(self.capabilities)
            if order.capabilities is not None:
                self._check_can_sign()
            self.sessions_open = 0
            self._counting = threading.Lock()
            self._refresh = threading.Lock()
            self.keys = KeyTable({}, {})
            self.generation = 0
            self._found_last = True
            self.read_keys()
        except CryptokiError as error:
            raise SignerStartError(str(error)) from error

    def _prove(self) -> Capabilities:
        keys = read_keys(self._login_session, self.info.serial).keys.values()
        mechanisms = self.module.mechanisms(self.info.slot_id)
        return prove(self.open_session, mechanisms, {key.type for key in keys})

    def _check_pin_tries(self) -> None:
        """Leave the PIN's last try to a person. Raises SignerStartError or CryptokiError."""
        flags = self.module.state(self.info.slot_id).flags
        if flags & CKF_USER_PIN_LOCKED:
            raise SignerStartError("the token says that its user PIN is locked; the PIN is not tried")
        if flags & CKF_USER_PIN_FINAL_TRY:
            raise SignerStartError("the token says that one wrong PIN more locks it; the PIN is not tried")

    def _check_can_sign(self) -> None:
        """See that a token which was tried before has not broken since. Raises SignerStartError or CryptokiError."""
        session = self.open_session()
        if not self.canary.sings(session):
            raise SignerStartError("the token opens, but cannot sign")
        session.close()

    def opened(self) -> Opened:
        """What the gateway wants to know first."""
        slots = [
            SlotReport(s.slot_id, s.slot_description, s.label, s.serial, s.manufacturer, s.model, s == self.info)
            for s in self._slots
        ]
        return Opened(self.module.description, slots, self.capabilities, self._listed)

    def read_keys(self) -> Keys:
        """Read the key table again. Raises CryptokiError, or TokenLost where the login or the token is gone."""
        with self._refresh:
            return self._read_keys()

    def find_key(self, ref: bytes) -> tuple[KeyInfo, int]:
        """A key and its handle, read again where the table does not have it. Raises NoSuchKey or TokenLost.

        Who asks has seen the key listed by another signer. It may be so new that this one does not know it, or gone;
        for keys that are gone the token is not read time and again.
        """
        if ref not in self.keys.handles:
            with self._refresh:
                if ref not in self.keys.handles and (self._found_last or self._is_old()):
                    self._read_keys_or_end()
                    self._found_last = ref in self.keys.handles
        table = self.keys
        handle = table.handles.get(ref)
        if handle is None:
            raise NoSuchKey
        return table.keys[ref], handle

    def read_keys_if_old(self) -> None:
        """Read the key table again, unless that was done just now. Raises TokenLost.

        It begins a new generation where handles have changed.
        """
        with self._refresh:
            if self._is_old():
                self._read_keys_or_end()

    def distrust_handles(self, generation: int) -> None:
        """Begin a new generation, unless one has begun after that one. Raises TokenLost."""
        with self._refresh:
            if self.generation == generation:
                self.keys = KeyTable({}, {})
                self._read_keys_or_end()

    def _is_old(self) -> bool:
        return time.monotonic() - self._read_at >= self._listed.seconds / REFRESH_SHARE

    def _read_keys_or_end(self) -> None:
        try:
            self._read_keys()
        except CryptokiError as error:
            raise TokenLost(f"the keys cannot be read: {error}") from error

    def _read_keys(self) -> Keys:
        for pause_seconds in READ_AGAIN_SECONDS:
            try:
                return self._read_keys_once()
            except CryptokiError as error:
                if classify(error.ckr) in FATAL:
                    raise
            time.sleep(pause_seconds)
        return self._read_keys_once()

    def _read_keys_once(self) -> Keys:
        """A lost login or token makes private keys invisible: what is read without them must not pass for a table."""
        started = time.monotonic()
        table = read_keys(self._login_session, self.info.serial)
        wrapping = self.transient.read_ids(self._login_session)
        notes = read_notes(self._login_session)
        if not self._login_session.is_logged_in():
            raise TokenLost("the login is gone")
        self._check_present()
        if table != self.keys:
            self.keys = table
            self.generation += 1
        self._read_at = time.monotonic()
        keys = [structs.replace(key, notes=notes.get(key.kid, key.notes)) for key in table.keys.values()]
        self._listed = Keys(keys, wrapping, self._read_at - started, started)
        return self._listed

    def _check_present(self) -> None:
        """See that the token in the slot is still the one we opened. Raises TokenLost or CryptokiError."""
        serial = self.module.state(self.info.slot_id).serialNumber.decode("utf-8", "replace")
        if serial.rstrip() != self.info.serial.rstrip():
            raise TokenLost("the token is gone from its slot")

    def open_session(self) -> Session:
        """A new session, which shares the login. Raises CryptokiError."""
        return Session(self.module, self.info.slot_id)

    def count_sessions(self, more: int) -> None:
        """Keep count of the open work sessions, `sessions_open`."""
        with self._counting:
            self.sessions_open += more


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
