"""The loop in C, with functions in C_SignInit's and C_Sign's places that say what they were called with."""

import ctypes
import math
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from hsmgate.ipc.messages import Urgency
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.items import Alone, Bell, Items, Leave
from hsmgate.signer.sessions import Session
from hsmgate.signer.structs import ULONG, Mechanism, mechanism

SIZE = 8
SESSION, KEY = 11, 22
CKM = 0x1041
RINGING = Bell(Urgency.ORDINARY, -1, 0)

INIT = ctypes.CFUNCTYPE(ULONG, ULONG, ctypes.POINTER(Mechanism), ULONG)
BYTES, SIZE_OUT = ctypes.POINTER(ctypes.c_char), ctypes.POINTER(ULONG)
SIGN = ctypes.CFUNCTYPE(ULONG, ULONG, BYTES, ULONG, BYTES, SIZE_OUT)


class Token:
    """A session of a token that signs with the bytes themselves, the other way round.

    claims: how many bytes it says a signature has beyond those that it has.
    fail_init, fail_sign: what they give, the latter by what is to be signed.
    """

    def __init__(self) -> None:
        self.handle = SESSION
        self.inits = 0
        self.signed: list[bytes] = []
        self.claims = 0
        self.fail_init = 0
        self.fail_sign: Callable[[bytes], int] = lambda data: 0
        self._functions = INIT(self._init), SIGN(self._sign)
        self.signing = tuple(ctypes.cast(function, ctypes.c_void_p).value for function in self._functions)

    def _init(self, session: int, packed: Any, key: int) -> int:
        assert (session, packed[0].mechanism, key) == (SESSION, CKM, KEY)
        self.inits += 1
        return self.fail_init

    def _sign(self, session: int, data: Any, size: int, signature: Any, length: Any) -> int:
        assert (session, length[0]) == (SESSION, SIZE)
        signed: bytes = data[:size]
        ckr = self.fail_sign(signed)
        if not ckr:
            self.signed.append(signed)
            ctypes.memmove(signature, signed[::-1], size)
            length[0] = size + self.claims
        return ckr


@pytest.fixture
def token() -> Token:
    return Token()


def items_of(*to_sign: bytes | None, deadline: float = math.inf) -> Items:
    items = Items(len(to_sign), deadline)
    items.prepare(to_sign, SIZE)
    return items


def sign(items: Items, token: Token, leave: Leave | None = None) -> Alone | None:
    return items.sign(cast(Session, token), KEY, mechanism(CKM), leave)


def test_signatures_are_as_long_as_they_were_given_and_in_the_order_of_the_items(token: Token) -> None:
    items = items_of(b"ab", b"", b"12345678")
    assert sign(items, token) is None
    assert items.signed() == [(0, b"ab", b"ba"), (1, b"", b""), (2, b"12345678", b"87654321")]
    assert not items.left


def test_a_signature_has_no_more_bytes_than_there_was_room_for(token: Token) -> None:
    items = items_of(b"12345678", b"abcdefgh")
    token.claims = 1
    assert sign(items, token) is None
    assert [signature for _, _, signature in items.signed()] == [b"87654321", b"hgfedcba"]


def test_something_urgent_ends_it_after_at_least_so_many(token: Token) -> None:
    items = items_of(*[b"%d" % n for n in range(9)])
    assert sign(items, token, Leave(RINGING, Urgency.LONG, 4)) is None
    assert token.inits == 4
    assert items.left
    assert sign(items, token, Leave(RINGING, Urgency.LONG, 9)) is None
    assert len(items.signed()) == 9


def test_something_that_is_as_urgent_does_not_end_it(token: Token) -> None:
    items = items_of(*[b"%d" % n for n in range(9)])
    assert sign(items, token, Leave(RINGING, Urgency.ORDINARY, 1)) is None
    assert not items.left


def test_what_has_come_ends_it_for_one_of_the_threads(token: Token) -> None:
    items = items_of(*[b"%d" % n for n in range(9)])
    ours, theirs = socket.socketpair()
    with ours, theirs:
        bell = Bell(0, ours.fileno(), 0)
        leave = Leave(bell, Urgency.ORDINARY, 3)
        assert sign(items_of(*[b"nothing has come"[:8]] * 4), token, leave) is None
        theirs.send(b"something")
        assert sign(items, token, leave) is None
        assert (token.inits, bell.heard) == (4 + 3, 1)
        assert sign(items, token, leave) is None
        assert len(items.signed()) == 9, "as one was told already"


COUNT_YIELDS = """
#include <sched.h>
int yields = 0;
int sched_yield(void) { return yields++, 0; }
"""
LOOK_SO_AND_SO = """
import ctypes, os, time
from hsmgate.ipc.messages import Urgency
from hsmgate.signer.items import Bell, Leave
yields = ctypes.c_int.in_dll(ctypes.CDLL(os.environ["LD_PRELOAD"]), "yields")
for gives_way in (False, True):
    leave = Leave(Bell(0, -1, 0), Urgency.LONG, 1, gives_way=gives_way)
    for _ in range(2):
        print(leave.now(), yields.value)
        time.sleep(0.002)
"""


def test_others_may_have_the_core_of_who_gives_way_and_looks(tmp_path: Path) -> None:
    source, counter = tmp_path / "count.c", tmp_path / "count.so"
    source.write_text(COUNT_YIELDS)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", counter, source], check=True)
    looked = subprocess.run(
        [sys.executable, "-c", LOOK_SO_AND_SO],
        env=os.environ | {"LD_PRELOAD": str(counter)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert looked.stdout.split("\n") == [f"False {yields}" for yields in (0, 0, 1, 2)] + [""]


def test_what_cannot_be_right_comes_back_untried(token: Token) -> None:
    items = items_of(b"a", None, b"c")
    assert sign(items, token) == Alone(1)
    assert sign(items, token) is None
    assert items.signed() == [(0, b"a", b"a"), (2, b"c", b"c")]


def test_what_is_late_comes_back_untried(token: Token) -> None:
    items = items_of(b"a", b"b", deadline=time.monotonic() - 0.001)
    assert [sign(items, token), sign(items, token), sign(items, token)] == [Alone(0), Alone(1), None]
    assert not token.inits
    assert items.signed() == []


def test_what_failed_comes_back_with_what_the_token_said(token: Token) -> None:
    items = items_of(b"a", b"bad", b"c", b"d")
    token.fail_sign = lambda data: 0x30 if data == b"bad" else 0
    failed = sign(items, token)
    assert failed is not None
    assert failed.at == 1
    assert isinstance(failed.error, CryptokiError)
    assert (failed.error.function, failed.error.ckr) == ("C_Sign", 0x30)
    token.fail_init = 0xB3
    failed = sign(items, token)
    assert failed is not None
    assert failed.at == 2
    assert isinstance(failed.error, CryptokiError)
    assert (failed.error.function, failed.error.ckr) == ("C_SignInit", 0xB3)
    assert items.signed() == [(0, b"a", b"a")]
    assert items.take() == Alone(3)
    assert items.take() is None


def test_nothing_was_signed_of_what_was_not_prepared() -> None:
    items = Items(2, math.inf)
    assert [items.take(), items.take(), items.take()] == [Alone(0), Alone(1), None]
    assert items.signed() == []


def test_many_threads_sign_each_item_once() -> None:
    data = [b"%d" % n for n in range(20_000)]
    items = items_of(*data)
    tokens = [Token() for _ in range(8)]
    threads = [threading.Thread(target=sign, args=(items, token)) for token in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(one for token in tokens for one in token.signed) == sorted(data)
    assert [signature[::-1] for _, _, signature in items.signed()] == data
