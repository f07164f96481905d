"""Compiles the signers' loop (hsmgate/signer/loop.c) whenever hsmgate is built or installed from its source.

It is a library of C alone, so one wheel is for every Python on the same kind of machine.
"""

import os
import shlex
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = "hsmgate/signer/loop.c"
LIBRARY = "hsmgate/signer/_loop.so"
OPTIONS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-fvisibility=hidden", "-shared")


class LoopBuilder(BuildHookInterface[Any]):
    """Hatchling's way to add something to a wheel; an editable install is one too."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say which machines the wheel is for. Raises OSError or CalledProcessError."""
        if self.target_name != "wheel":
            return
        _compile(Path(self.root))
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["artifacts"].append(LIBRARY)


def _compile(root: Path) -> None:
    """Put the library in its place whole: a signer may be about to load it."""
    part = root / f"{LIBRARY}.{os.getpid()}.part"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    try:
        subprocess.run([*compiler, *OPTIONS, "-o", part, SOURCE], cwd=root, check=True)  # noqa: S603 - words of ours
        part.replace(root / LIBRARY)
    except FileNotFoundError as error:
        text = f"there is no C compiler {compiler[0]!r}: install one (Debian: gcc libc6-dev), or say CC=…"
        raise FileNotFoundError(text) from error
    finally:
        part.unlink(missing_ok=True)
