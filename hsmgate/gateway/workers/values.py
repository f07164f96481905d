"""The folder of the metrics that workers count together, as prometheus_client wants it for several processes."""

import os
import shutil
import tempfile
from pathlib import Path

_WORD = "PROMETHEUS_MULTIPROC_DIR"

MEMORY = Path("/dev") / "shm"


class Values:
    """A fresh folder of our own, unless the environment names one; it must be there before the library is imported."""

    def __init__(self) -> None:
        self._own: str | None = None
        if _WORD not in os.environ:
            self._own = tempfile.mkdtemp(prefix="hsmgate-metrics-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
            os.environ[_WORD] = self._own

    def forget(self, pid: int) -> None:
        """That process is gone: what it counted stays, what it was does not."""
        from prometheus_client import multiprocess  # noqa: PLC0415 - it looks for the folder when it is imported

        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Nobody counts any more."""
        if self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)
