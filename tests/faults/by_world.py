"""What happens to tokens apart from their module: files, PINs, keys, and one token of two."""

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import AsyncIterator
from signal import SIGKILL

from tests.faults.fault import Fault, by_rules, lasting
from tests.faults.scene import Scene


def take_files_away(there: Scene) -> None:
    """The token's files are somewhere else."""
    folder = there.token.demo.folder
    (folder / "tokens").rename(folder / "tokens.away")


def put_files_back(there: Scene) -> None:
    """The token's files are where they were."""
    folder = there.token.demo.folder
    (folder / "tokens.away").rename(folder / "tokens")


def lose_token(there: Scene) -> None:
    """Files and signers at once, as when an HSM is unplugged."""
    take_files_away(there)
    there.signal_signers(SIGKILL)


@contextlib.asynccontextmanager
async def pin_changed(there: Scene) -> AsyncIterator[None]:
    """The token gets another PIN, then a signer dies; it ends when the PIN file has the new one."""
    demo, pin = there.token.demo, "".join(secrets.choice("0123456789") for _ in range(12))
    await asyncio.to_thread(demo.tool, "-l", "--change-pin", "--new-pin", pin)
    there.token.break_by()
    there.signal_signers(SIGKILL, 1)
    yield
    _expect_one_login(there)
    (demo.folder / "pin").write_text(f"{pin}\n")


@contextlib.asynccontextmanager
async def pin_refused(there: Scene) -> AsyncIterator[None]:
    """The token says that the PIN is wrong, to a signer that starts. Nobody may find out whether it still does."""
    there.token.break_by("C_Login rv 0xa0")
    there.signal_signers(SIGKILL, 1)
    yield
    _expect_one_login(there)
    there.token.mend()


def _expect_one_login(there: Scene) -> None:
    """A wrong PIN may not be tried twice: that locks tokens."""
    tries = there.token.logins()
    if tries != 1:
        there.problems.append(f"the PIN was tried {tries} times")
    there.figures["logins"] = str(tries)


@contextlib.asynccontextmanager
async def keys_come_and_go(there: Scene) -> AsyncIterator[None]:
    """Others make keys on the token and delete keys that nobody signs with."""

    async def change() -> None:
        demo = there.token.demo
        for number in itertools.count():
            await asyncio.to_thread(demo.make_key, f"new{number}", "EC:secp256r1", secrets.token_hex(16))
            old = ("p521", "secp256k1")[number] if number < 2 else f"new{number - 2}"
            await asyncio.to_thread(demo.delete_key, old)

    changing = asyncio.create_task(change())
    yield
    changing.cancel()
    await asyncio.wait((changing,))
    if not changing.cancelled():
        there.problems.append(f"the keys could not be changed: {changing.exception()!r}")


FAULTS = (
    Fault(
        "token's files moved away",
        "The folder of SoftHSM's token is renamed, and named back after 3 s.",
        lasting(take_files_away, put_files_back),
        seconds=3,
        back_off=True,
    ),
    Fault(
        "token lost",
        "The token's files are moved away and its signers killed; after 3 s the files are back.",
        lasting(lose_token, put_files_back),
        seconds=3,
        back_off=True,
    ),
    Fault(
        "second token lost",
        "Of two tokens with the same keys, one loses its files and its signers; after 3 s the files are back.",
        lasting(lose_token, put_files_back),
        seconds=3,
        tokens=2,
        back_off=True,
        errors_at_most=0,
    ),
    Fault(
        "second token hangs",
        "Of two tokens with the same keys, one hangs in all calls for 4 s; `operation_timeout` is 1.5 s.",
        by_rules("* hang"),
        seconds=4,
        tokens=2,
        token={"operation_timeout": 1.5},
        back_off=True,
        errors_at_most=0,
    ),
    Fault(
        "second token fails",
        "Of two tokens with the same keys, one answers CKR_DEVICE_ERROR to all calls for 3 s.",
        by_rules("* rv 0x30"),
        seconds=3,
        tokens=2,
        back_off=True,
        errors_at_most=0,
    ),
    Fault(
        "PIN changed",
        "The PIN is changed on the token, then a signer killed; after 3 s the PIN file has the new PIN.",
        pin_changed,
        seconds=3,
    ),
    Fault(
        "CKR_PIN_INCORRECT",
        "C_Login refuses a starting signer's PIN, which is not tried again; the other signer goes on alone.",
        pin_refused,
        seconds=3,
        errors_at_most=0,
        lasts=True,
    ),
    Fault(
        "keys come and go",
        "Another process makes keys on the token and deletes others, all the time.",
        keys_come_and_go,
        seconds=4,
        errors_at_most=0,
    ),
)
