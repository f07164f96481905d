"""What a module can do besides returning a value: lie, hang, forget, die."""

import contextlib
import os
from collections.abc import AsyncIterator

from tests.faults.fault import Fault, by_rules
from tests.faults.items import Mixer
from tests.faults.judge import Asked
from tests.faults.scene import Scene
from tests.gateway_process import b64

VERIFY_ALL = {"verify_signatures": "always"}
HANGS = {"operation_timeout": 1.5}
POISON_BATCH = 1000
POISON_PLACES = (0, POISON_BATCH // 2, POISON_BATCH - 1)


def poisoned_batch(mixer: Mixer) -> tuple[list[Asked], list[str]]:
    """A batch, and the digests in it, in hex, that are to kill the module."""
    batch = mixer.batch_of("p256", POISON_BATCH)
    digests = [os.urandom(32) for _ in POISON_PLACES]
    for place, digest in zip(POISON_PLACES, digests, strict=True):
        key = batch[place][1]["key"]
        batch[place] = "p256", {"key": key, "hash_alg": "SHA256", "hash": b64(digest)}
    return batch, [digest.hex() for digest in digests]


@contextlib.asynccontextmanager
async def poison_items(there: Scene) -> AsyncIterator[None]:
    """Three items of a thousand kill the module whenever it is to sign them."""
    batch, digests = poisoned_batch(there.load.mixer)
    # At its usual pace, with a fair share of the token alone, the batch would take longer than it may.
    there.token.break_by(*(f"C_Sign segv input={digest}" for digest in digests), slowness_ms=0)
    verdict = await there.load.post(batch)
    got = f"{verdict.verified} signatures, {verdict.errors.total()} errors"
    if got != f"{POISON_BATCH - len(digests)} signatures, {len(digests)} errors":
        there.problems.append(f"the poisoned batch got {got}: {dict(verdict.texts)}")
    there.figures["poisoned batch"] = got
    yield
    there.token.mend()


FAULTS = (
    Fault(
        "lost reply",
        "5 % of the signatures are made, but the module says CKR_DEVICE_ERROR (`C_Sign lostreply 0x30 p=0.05`).",
        by_rules("C_Sign lostreply 0x30 p=0.05"),
    ),
    Fault(
        "delay",
        "Every tenth signature takes 300 ms (`C_Sign delay 300 p=0.1`).",
        by_rules("C_Sign delay 300 p=0.1"),
        seconds=3,
        errors_at_most=0,
    ),
    Fault(
        "a call hangs",
        "One C_Sign does not return; `operation_timeout` is 1.5 s (`C_Sign hang count=1`).",
        by_rules("C_Sign hang count=1"),
        seconds=4,
        token=HANGS,
        errors_at_most=0,
    ),
    Fault(
        "all calls hang",
        "No call of the module returns for 5 s; `operation_timeout` is 1.5 s (`* hang`).",
        by_rules("* hang"),
        seconds=5,
        token=HANGS,
        back_off=True,
    ),
    Fault(
        "abort",
        "abort() in 5 calls (`C_Sign abort after=20 p=0.02 count=5`).",
        by_rules("C_Sign abort after=20 p=0.02 count=5"),
    ),
    Fault(
        "segfault",
        "A segmentation fault in 5 calls (`C_Sign segv after=20 p=0.02 count=5`).",
        by_rules("C_Sign segv after=20 p=0.02 count=5"),
    ),
    Fault(
        "exit(5)",
        "exit(5) in 5 calls (`C_Sign exit 5 after=20 p=0.02 count=5`).",
        by_rules("C_Sign exit 5 after=20 p=0.02 count=5"),
    ),
    Fault(
        "abort at start",
        "Signers die in C_Initialize for 3 s, after one that ran was aborted (`C_Initialize abort`).",
        by_rules("C_Initialize abort", "C_Sign abort scope=process count=1"),
        seconds=3,
        back_off=True,
    ),
    Fault(
        "sessions closed",
        "All sessions of a signer are closed before 8 of the signatures (`C_SignInit closeall p=0.05 count=8`).",
        by_rules("C_SignInit closeall p=0.05 count=8"),
        errors_at_most=0,
    ),
    Fault(
        "logged out",
        "A signer is logged out before 8 of the signatures (`C_SignInit logout p=0.05 count=8`).",
        by_rules("C_SignInit logout p=0.05 count=8"),
        errors_at_most=0,
    ),
    Fault(
        "signature bits flipped",
        'A bit is flipped in 5 % of the signatures; `verify_signatures = "always"` (`C_Sign badsig p=0.05`).',
        by_rules("C_Sign badsig p=0.05"),
        server=VERIFY_ALL,
        back_off=True,
    ),
    Fault(
        "broken until C_Finalize",
        "In both signers, one signature fails with CKR_DEVICE_ERROR, and then every call until the module is finalised "
        "(`C_Sign rv 0x30 until=finalize count=2`).",
        by_rules("C_Sign rv 0x30 until=finalize count=2"),
    ),
    Fault(
        "handles renumbered",
        "All sessions are closed, and handles then stand for other keys, before 4 of the signatures "
        "(`C_SignInit renumber p=0.05 count=4`).",
        by_rules("C_SignInit renumber p=0.05 count=4"),
    ),
    Fault(
        "handles shuffled",
        "Handles stand for other keys before 4 of the signatures, while the sessions stay; "
        '`verify_signatures = "always"` (`C_SignInit shuffle p=0.05 count=4`).',
        by_rules("C_SignInit shuffle p=0.05 count=4"),
        server=VERIFY_ALL,
    ),
    Fault(
        "out of sessions",
        "The token has no more than one session for a signer, and 2 % of the signatures lose theirs "
        "(`C_OpenSession limit 1`, `C_Sign rv 0xb0 p=0.02`).",
        by_rules("C_OpenSession limit 1", "C_Sign rv 0xb0 p=0.02"),
        back_off=True,
    ),
    Fault(
        "poison items",
        "A batch of 1,000 in which 3 items kill the module whenever it gets to them: 997 signatures, 3 errors "
        "(`C_Sign segv input=...`).",
        poison_items,
        seconds=0,
        server={"request_timeout": 30.0},
        errors_at_most=len(POISON_PLACES),
        back_off=True,
    ),
)
