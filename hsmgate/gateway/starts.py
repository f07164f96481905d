"""Starting a token's first signer, and how long to wait before anything that failed is tried again."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

from hsmgate import config
from hsmgate.domain.capabilities import Capabilities
from hsmgate.errors import PinRefused, SignerStartError, TokenMisconfigured
from hsmgate.gateway.pin import read_pin
from hsmgate.gateway.pin_file import PinFile
from hsmgate.gateway.signer_process import SignerProcess

FIRST_START_TRIES = 3
"""SoftHSM fails a few starts in a hundred when processes start at once, and succeeds the next time."""


class Backoff:
    """How long to wait before the next try.

    Not at all, then FIRST_SECONDS, then twice as long each time, up to LONGEST_SECONDS.
    """

    FIRST_SECONDS = 0.1
    LONGEST_SECONDS = 5.0
    JITTER = 0.1

    def __init__(self) -> None:
        self._next = 0.0

    def reset(self) -> None:
        """All is well again."""
        self._next = 0.0

    def next_seconds(self) -> float:
        """Count one more failure and say how long to wait."""
        now = self._next
        self._next = min(self.LONGEST_SECONDS, max(self.FIRST_SECONDS, 2 * now))
        return now * random.uniform(1 - self.JITTER, 1 + self.JITTER)  # noqa: S311 - no secret


async def start_patiently(
    token: config.Token,
    folder: Path,
    pin_file: PinFile,
    able: Capabilities | None = None,
    on_failed: Callable[[SignerStartError], None] = lambda error: None,
) -> SignerProcess:
    """A token's first signer, tried again where that may help. able: what the token can do, if that is known.

    on_failed: gets what was wrong with a try that is not the last.
    Raises PinRefused, TokenMisconfigured or, after FIRST_START_TRIES, SignerStartError.
    """
    backoff = Backoff()
    tries = 1
    while True:
        try:
            pin = await read_pin(token.pin_source, folder)
            return await SignerProcess.start(token, folder, pin, pin_file, able)
        except (PinRefused, TokenMisconfigured):
            raise
        except SignerStartError as error:
            if tries == FIRST_START_TRIES:
                raise
            on_failed(error)
        tries += 1
        await asyncio.sleep(backoff.next_seconds())
