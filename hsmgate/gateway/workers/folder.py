"""A folder that only the gateway's own user can look into, for what its workers have in common as files."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from hsmgate.gateway.pin_file import Pins
from hsmgate.gateway.workers.taken import TakenConfig

_METRICS = "PROMETHEUS_MULTIPROC_DIR"


class CommonFolder:
    """The folder, made afresh: where systemd has made one for such things, or in /tmp.

    In it are the metrics, unless the environment names another folder for them. Whoever tidies up /tmp leaves a folder
    alone that is locked (tmpfiles.d(5)).

    pins: tells a worker of PINs that were refused to another. taken: the config that is in force.
    """

    def __init__(self) -> None:
        runtime = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        place = runtime if os.access(runtime, os.W_OK | os.X_OK) else None
        self._path = Path(tempfile.mkdtemp(prefix="hsmgate-", dir=place))
        self._lock = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        (self._path / "pins").mkdir()
        (self._path / "metrics").mkdir()
        self.pins = SharedPins(self._path / "pins")
        self.taken = TakenConfig(self._path / "config")
        self._gateway = os.getpid()
        os.environ.setdefault(_METRICS, str(self._path / "metrics"))  # to be there before the library is imported

    def become(self, index: int) -> None:
        """From now on this process is the worker with that index, and counts on where the one before it ended."""
        from hsmgate.gateway import shared_metrics  # noqa: PLC0415 - the library looks for the folder

        shared_metrics.count_as(self._name(index))

    def forget(self, index: int) -> None:
        """That worker is gone: what it counted stays, what it was does not."""
        from hsmgate.gateway import shared_metrics  # noqa: PLC0415 - likewise

        shared_metrics.forget(self._name(index))

    def _name(self, index: int) -> str:
        """The worker's among those of all gateways, which may have one folder for metrics."""
        return f"{self._gateway}-{index}"

    def remove(self) -> None:
        """Nobody needs it any more."""
        shutil.rmtree(self._path, ignore_errors=True)


class SharedPins(Pins):
    """What is known of refused PINs, in files that all workers open: one for each PIN, named by its keyed hash.

    The key is in the memory of the workers only.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def _make(self, digest: bytes) -> int:
        """The file of that PIN, with what other workers know. What is written goes to its end."""
        return os.open(self._folder / digest.hex(), os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def _keep(self, digest: bytes, refusals: bytes) -> None:
        """They are in the file."""
