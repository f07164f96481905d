"""The audit log of this process: what is recorded, when it counts as recorded, and what follows where it cannot be."""

import asyncio
import errno
from concurrent.futures import ThreadPoolExecutor

from hsmgate import config
from hsmgate.domain.audit.records import Record
from hsmgate.errors import NoSigner
from hsmgate.gateway.audit.chain import Chain
from hsmgate.gateway.audit.files import ChainFile

EVERY_SECONDS = 1.0
"""How often files are synced with `fsync = "second"`, and writing is tried again where it failed."""


class AuditLog:
    """Records, in the order in which they come.

    chain: where they go.
    """

    def __init__(self, chain: Chain, section: config.Audit) -> None:
        self.chain = chain
        self._section = section
        self._thread = ThreadPoolExecutor(1, "audit")
        self._waiting: list[asyncio.Future[bool]] = []
        self._syncing: asyncio.Task[None] | None = None
        self._synced = 0

    def refusal(self) -> NoSigner | None:
        """Why nothing may be done now, None where it may."""
        if self.chain.trouble is None or self._section.when_full == "continue":
            return None
        return NoSigner("the audit log cannot be written, so nothing is signed; try again")

    async def record(self, record: Record) -> bool:
        """Write it. Whether what it tells of may be answered: it is as safe as the config wants it to be."""
        written = self.chain.append(record)
        if written and self._section.fsync == "batch":
            written = await self._on_disk()
        return written or self._section.when_full == "continue"

    async def keep(self) -> None:
        """Look after the files, for ever."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            if self.chain.trouble is not None:
                self.chain.recover()
            elif self.chain.file.is_gone():
                self.chain.fail(OSError(errno.ENOENT, "its file has been removed"), new_file=True)
            elif self._section.fsync == "never":
                for file in self.chain.take_retired():
                    file.close()
            elif self._synced != self.chain.seq:
                await self._on_disk()

    async def close(self) -> None:
        """Sync what is to be synced, and write no more."""
        if self._section.fsync != "never":
            await self._on_disk()
        self._thread.shutdown()
        self.chain.close()

    async def _on_disk(self) -> bool:
        """Wait until all that was written so far is on the disk. Who comes meanwhile shares the next sync."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(waiter)
        if self._syncing is None or self._syncing.done():
            self._syncing = loop.create_task(self._sync())
        return await waiter

    async def _sync(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            seq, retired = self.chain.seq, self.chain.take_retired()
            files = [*retired, self.chain.file]
            error = await asyncio.get_running_loop().run_in_executor(self._thread, _sync_all, files)
            for file in retired:
                file.close()
            if error is not None:
                self.chain.fail(error, new_file=True)
            self._synced = seq
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(error is None)


def _sync_all(files: list[ChainFile]) -> OSError | None:
    try:
        for file in files:
            file.sync()
    except OSError as error:
        return error
    return None
