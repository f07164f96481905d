"""A folder that only the gateway's own user can look into, for what its workers have in common as files."""

import os
import shutil
import tempfile
from pathlib import Path

from hsmgate.gateway.pin_file import Pins

_METRICS = "PROMETHEUS_MULTIPROC_DIR"


class CommonFolder:
    """The folder, made afresh. In it are the metrics, unless the environment names another folder for them.

    pins: tells a worker of PINs that were refused to another.
    """

    def __init__(self) -> None:
        self._path = Path(tempfile.mkdtemp(prefix="hsmgate-"))
        (self._path / "pins").mkdir()
        (self._path / "metrics").mkdir()
        self.pins = SharedPins(self._path / "pins")
        os.environ.setdefault(_METRICS, str(self._path / "metrics"))  # to be there before the library is imported

    def forget(self, pid: int) -> None:
        """That process is gone: what it counted stays, what it was does not."""
        from prometheus_client import multiprocess  # noqa: PLC0415 - it looks for the folder when it is imported

        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]

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
