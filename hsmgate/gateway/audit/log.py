"""The audit log of this process: what is recorded, when it counts as recorded, and what follows where it cannot be."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from hsmgate import config
from hsmgate.domain.audit.records import Record
from hsmgate.errors import NoSigner
from hsmgate.gateway.audit.chain import Chain, Tally
from hsmgate.gateway.audit.files import ChainFile
from hsmgate.gateway.audit.heads import Heads

EVERY_SECONDS = 1.0
"""How often files are synced with `fsync = "second"`, and writing is tried again where it failed."""


class AuditLog:
    """Records, in the order in which they come.

    chain: where they go. heads: signs its end, None where nobody does.
    syncs: whether it sees to it that records get to the disk.
    refused_calls: how many were refused, since nothing could be recorded.
    synced_at: when all that was written before was on the disk last, in seconds since 1970.
    """

    def __init__(self, chain: Chain, section: config.Audit, heads: Heads | None = None) -> None:
        self.chain = chain
        self.heads = heads
        self.syncs = section.fsync != "never"
        self.refused_calls = 0
        self.synced_at = time.time()
        self._section = section
        self._thread = ThreadPoolExecutor(1, "audit")
        self._waiting: list[asyncio.Future[bool]] = []
        self._syncing: asyncio.Task[None] | None = None
        self._synced = 0
        self._settled = Tally()

    @property
    def unsynced(self) -> int:
        """How many records may not be on the disk yet."""
        return self.chain.seq - self._synced

    @property
    def refuses(self) -> bool:
        """Whether nothing may be done now, because it could not be recorded."""
        return self.chain.trouble is not None and self._section.when_full == "refuse"

    def refusal(self) -> NoSigner | None:
        """Why a call may not be done now, None where it may."""
        if not self.refuses:
            return None
        self.refused_calls += 1
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
            elif (harm := self.chain.file.harm()) is not None:
                self.chain.fail(harm, new_file=True)
            elif not self.syncs:
                for file in self.chain.take_retired():
                    file.close()
            elif self._synced != self.chain.seq:
                await self._on_disk()
            else:
                self.synced_at = time.time()

    async def close(self) -> None:
        """Sync what is to be synced, and write no more."""
        if self.syncs:
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
        """Sync for all who wait; what nobody thought of is raised to them."""
        waiting: list[asyncio.Future[bool]] = []
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                good = await self._sync_once()
                for waiter in waiting:
                    if not waiter.done():
                        waiter.set_result(good)
        except Exception as error:  # noqa: BLE001
            for waiter in (*waiting, *self._waiting):
                if not waiter.done():
                    waiter.set_exception(error)
            self._waiting = []

    async def _sync_once(self) -> bool:
        seq, written, now, retired = self.chain.seq, self.chain.written, time.time(), self.chain.take_retired()
        files = [*retired, self.chain.file]
        error = await asyncio.get_running_loop().run_in_executor(self._thread, _sync_all, files)
        for file in retired:
            file.close()
        if error is None:
            self._synced, self.synced_at = seq, now
        else:
            self.chain.fail(error, new_file=True)
            self.chain.count_lost(written.minus(self._settled), answered=self._section.fsync != "batch")
        self._settled = written
        return error is None


def _sync_all(files: list[ChainFile]) -> OSError | None:
    try:
        for file in files:
            file.sync()
    except OSError as error:
        return error
    return None
