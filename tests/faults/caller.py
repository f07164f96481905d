"""A process that calls the faulty module: it reads an order a line, and writes what came of it.

A module is one for a whole process, and some faults end it, so no test can call it in its own.
"""

import contextlib
import ctypes
import functools
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from hsmgate.domain import cka
from hsmgate.domain.ckm import CKM_ECDSA
from hsmgate.signer.cryptoki import CryptokiError, Module
from hsmgate.signer.sessions import Session
from hsmgate.signer.structs import mechanism
from tests.faults.module import build

# Places in CK_FUNCTION_LIST.
FINALIZE, GET_TOKEN_INFO = 1, 6


class Caller:
    """Its methods are the orders."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._module = Module(str(build()))
        self._slot_id = next(token.slot_id for token in self._module.tokens() if token.label == "hsmgate-demo")
        self.open()

    def open(self) -> None:
        """Go on in a new session. The old one stays open."""
        self._session = Session(self._module, self._slot_id)

    def close(self) -> None:
        self._session.close()

    def login(self, pin: str) -> None:
        self._session.login(pin)

    def is_logged_in(self) -> bool:
        return self._session.is_logged_in()

    def find(self, label: str) -> list[int]:
        """The private keys of that label."""
        return self._session.find({cka.CKA_CLASS: cka.CKO_PRIVATE_KEY, cka.CKA_LABEL: label.encode()})

    def label(self, handle: int) -> str:
        return self._session.read(handle, (cka.CKA_LABEL,))[cka.CKA_LABEL].decode()

    def create(self, label: str) -> int:
        """A data object that goes with the session."""
        return self._session.create({cka.CKA_CLASS: cka.CKO_DATA, cka.CKA_LABEL: label.encode()})

    def destroy(self, handle: int) -> None:
        self._session.destroy(handle)

    def sign(self, handle: int, digest: str) -> str:
        """An ECDSA signature; both in hex."""
        return self._session.sign(handle, mechanism(CKM_ECDSA), bytes.fromhex(digest), 256).hex()

    def sign_at_once(self, handle: int, digest: str, count: int) -> float:
        """Sign in so many sessions, each with a thread. In how many seconds that is done."""
        sessions = [Session(self._module, self._slot_id) for _ in range(count)]
        started = time.monotonic()
        arguments = (handle, mechanism(CKM_ECDSA), bytes.fromhex(digest), 256)
        _at_once([functools.partial(session.sign, *arguments) for session in sessions])
        return time.monotonic() - started

    def open_at_once(self, count: int) -> int:
        """Open so many sessions, each in a thread. How many were to be had."""
        opened: list[Session] = []

        def open_one() -> None:
            with contextlib.suppress(CryptokiError):
                opened.append(Session(self._module, self._slot_id))

        _at_once([open_one] * count)
        return len(opened)

    def token_flags(self) -> int:
        info = ctypes.create_string_buffer(208)  # CK_TOKEN_INFO
        assert self._function(GET_TOKEN_INFO)(ctypes.c_ulong(self._slot_id), info) == 0
        return ctypes.c_ulong.from_buffer(info, 96).value

    def restart(self) -> None:
        """C_Finalize, and begin again."""
        assert self._function(FINALIZE)(None) == 0
        self._start()

    @staticmethod
    def _function(place: int) -> Callable[..., int]:
        """A function that hsmgate does not call."""
        functions = ctypes.POINTER(ctypes.c_void_p)()
        ctypes.CDLL(str(build())).C_GetFunctionList(ctypes.byref(functions))
        # The version, with its padding, is as large as a pointer.
        function: Callable[..., int] = ctypes.CFUNCTYPE(ctypes.c_ulong)(functions[1 + place] or 0)
        return function


def _at_once(functions: list[Callable[[], Any]]) -> None:
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    caller = Caller()
    for line in sys.stdin:
        order, *arguments = json.loads(line)
        try:
            answer = {"gave": getattr(caller, order)(*arguments)}
        except CryptokiError as error:
            answer = {"ckr": error.ckr}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
