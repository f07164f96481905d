"""What a process gives up of its own accord (prctl(2), setrlimit(2))."""

import contextlib
import ctypes
import os
import resource
import signal
from collections.abc import Collection

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38

_FIRST_AFTER_STDERR = 3


def leave_no_core() -> None:
    """Dump no core, whatever happens: it would hold PINs and keys.

    Others of the same user can then neither trace the process nor read its environment in /proc.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)  # where cores go to a program, the limit does not count


def confine(*descriptors: int) -> None:
    """Make this process, which is to load a vendor's module, one with no more than it needs.

    It keeps the standard streams and these descriptors, whatever it inherited; the files that it makes are its user's
    alone; no program that it starts gets more rights than it has; it ends when the thread that started it does.
    """
    _close_all_but(descriptors)
    leave_no_core()
    os.umask(0o077)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def give_way() -> None:
    """Let who runs go on for a time slice when this process wakes up on the same processor (sched(7), SCHED_BATCH).

    Where that is not allowed, all is as before.
    """
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _close_all_but(kept: Collection[int]) -> None:
    for number in [int(name) for name in os.listdir("/proc/self/fd")]:  # noqa: PTH208 - names, not paths
        if number >= _FIRST_AFTER_STDERR and number not in kept:
            with contextlib.suppress(OSError):  # the listing's own is gone by now
                os.close(number)


def _prctl(option: int, value: int) -> None:
    """Raises OSError where the kernel refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), f"prctl({option})")
