"""Items that sessions' threads sign together, each taking the next one, in C (`loop.c`).

Between two signatures there is no Python: it would wait for the interpreter's lock, which all sessions share, and the
module leaves the processor's caches cold, so that what takes a microsecond by itself takes several there.
"""

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hsmgate.ipc.messages import Urgency
from hsmgate.signer.cryptoki import CryptokiError
from hsmgate.signer.sessions import Session
from hsmgate.signer.structs import ULONG, Mechanism

_NOT_SIGNED = ULONG(-1).value

# Of `enum end`: from UNFIT on it is about an item, and the last two have a CK_RV.
_UNFIT = 2
_FAILED = {4: "C_SignInit", 5: "C_Sign"}


SignedTogether = tuple[int, bytes, bytes]
"""Which item, what C_Sign got for it, and what it gave."""


@dataclass(frozen=True, slots=True)
class Alone:
    """An item that is to be looked at alone, and what the token had against it, if it was that."""

    at: int
    error: CryptokiError | None = None


class _Items(ctypes.Structure):
    """`struct items`."""

    _fields_ = (
        *(("count", ULONG), ("next", ULONG), ("deadline", ctypes.c_double)),
        *(("data", ctypes.c_void_p), ("data_sizes", ctypes.c_void_p)),
        *(("signatures", ctypes.c_void_p), ("signature_size", ULONG), ("signature_sizes", ctypes.c_void_p)),
    )


class _Signer(ctypes.Structure):
    """`struct signer`."""

    _fields_ = (
        *(("init", ctypes.c_void_p), ("sign", ctypes.c_void_p)),
        *(("session", ULONG), ("mechanism", ctypes.c_void_p), ("key", ULONG)),
    )


class Bell(ctypes.Structure):
    """`struct bell`: what calls threads away that have something to do.

    urgent: how urgent the most urgent is that waits.
    socket: its descriptor; what comes there may be more urgent.
    heard: not 0 from when one thread was told that something has come until that is read.
    """

    _fields_ = (("urgent", ULONG), ("socket", ctypes.c_int), ("heard", ctypes.c_int))

    def rings(self, urgency: Urgency) -> bool:
        """Whether this thread should leave what it does, which is so urgent."""
        return bool(_rings(ctypes.byref(self), urgency))


class _LeaveFields(ctypes.Structure):
    """`struct leave`."""

    _fields_ = (
        *(("bell", ctypes.c_void_p), ("urgency", ULONG), ("at_least", ULONG)),
        ("give_way_at", ctypes.c_double),
    )


class Leave:
    """When a thread leaves what it does: when the bell rings for something more urgent than that.

    at_least: but not before it has done so many items.
    at: where the structure is, for C.
    """

    def __init__(self, bell: Bell, urgency: Urgency, at_least: int, *, gives_way: bool = False) -> None:
        """gives_way: whether others may have its core when it looks, once a millisecond at most."""
        self.at_least = at_least
        self._bell = bell  # to which the structure points
        self._fields = _LeaveFields(ctypes.addressof(bell), urgency, at_least, 0.0 if gives_way else math.inf)
        self.at = ctypes.byref(self._fields)

    def now(self) -> bool:
        """Look whether the bell rings."""
        return bool(_leaves(self.at))


class _Stop(ctypes.Structure):
    """`struct stop`."""

    _fields_ = (("item", ULONG), ("ckr", ULONG))


_Prepared = tuple[Sequence[bytes | None], "ctypes.Array[ctypes.c_char]", "ctypes.Array[ULONG]"]
"""What C_Sign gets for each item, and where its signatures and their sizes are."""


class Items:
    """So many items, of which each is taken once. Threads may use them together."""

    def __init__(self, count: int, deadline: float) -> None:
        """deadline: when nobody waits for them any more, by CLOCK_MONOTONIC."""
        self._items = _Items(count, 0, deadline)
        self._at = ctypes.byref(self._items)
        self._prepared: _Prepared | None = None

    @property
    def left(self) -> bool:
        """Whether there are some that nobody has taken."""
        return bool(self._items.next < self._items.count)

    def take(self) -> Alone | None:
        """The next one, to be looked at alone; None if none is left."""
        at = _take(self._at)
        return Alone(at) if at < self._items.count else None

    def prepare(self, to_sign: Sequence[bytes | None], signature_size: int) -> None:
        """Say what C_Sign gets for each, None where that must be found out, and for how many bytes there must be room.

        Once, and before any is signed.
        """
        count = self._items.count
        sizes = (ULONG * count)(*[_NOT_SIGNED] * count)
        data = (ctypes.c_char_p * count)(*to_sign)
        data_sizes = (ULONG * count)(*[0 if one is None else len(one) for one in to_sign])
        signatures = ctypes.create_string_buffer(count * signature_size)
        items = self._items
        items.data, items.data_sizes = ctypes.addressof(data), ctypes.addressof(data_sizes)
        items.signatures, items.signature_size = ctypes.addressof(signatures), signature_size
        items.signature_sizes = ctypes.addressof(sizes)
        self._pointed_to = data, data_sizes
        self._prepared = to_sign, signatures, sizes

    def sign(self, session: Session, key: int, mechanism: Mechanism, leave: Leave | None) -> Alone | None:
        """Take items and sign them, until none is left, one is to be looked at alone, or it is time to leave."""
        signer = _Signer(*session.signing, session.handle, ctypes.addressof(mechanism), key)
        stop = _Stop()
        end = _sign(ctypes.byref(signer), self._at, None if leave is None else leave.at, ctypes.byref(stop))
        if end < _UNFIT:
            return None
        failed = _FAILED.get(end)
        return Alone(stop.item, CryptokiError(failed, stop.ckr) if failed else None)

    def signed(self) -> list[SignedTogether]:
        """Which were signed by `sign`. When all threads are done with them."""
        if self._prepared is None:
            return []
        to_sign, signatures, sizes = self._prepared
        raw, room = signatures.raw, self._items.signature_size
        places = zip(range(0, len(raw), room), sizes, to_sign, strict=True)
        return [
            (at, data, raw[place : place + size])
            for at, (place, size, data) in enumerate(places)
            if size != _NOT_SIGNED and data is not None
        ]


def _load() -> ctypes.CDLL:
    """`loop.c`, as it was compiled when hsmgate was installed. Raises OSError."""
    library = ctypes.CDLL(str(Path(__file__).with_name("_loop.so")))
    pointer = ctypes.c_void_p
    library.hsmgate_take.argtypes, library.hsmgate_take.restype = (pointer,), ULONG
    library.hsmgate_rings.argtypes = (pointer, ULONG)
    library.hsmgate_leaves.argtypes = (pointer,)
    library.hsmgate_sign.argtypes = (pointer, pointer, pointer, pointer)
    return library


_library = _load()
_take, _sign = _library.hsmgate_take, _library.hsmgate_sign
_rings, _leaves = _library.hsmgate_rings, _library.hsmgate_leaves
