"""Attacks by another user of the same machine."""

import asyncio
import shutil

from tests.attacks.stage import Stage, attack

NOBODY = 65534
TRY = """
import ctypes, os, sys
got = []
for pid in map(int, sys.argv[2:]):
    for name in ("environ", "mem", "maps", "fd", "cwd", "io", "stack"):
        try:
            path = f"/proc/{pid}/{name}"
            got.append((pid, name, os.listdir(path) if name == "fd" else open(path, "rb").read(1)))
        except OSError:
            pass
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, pid, 0, 0) == 0:
        got.append((pid, "ptrace"))
    try:
        os.kill(pid, 0)
        got.append((pid, "kill"))
    except OSError:
        pass
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        try:
            got.append(open(os.path.join(folder, name), "rb").read(1) and name)
        except OSError:
            pass
print(got)
"""


@attack("Another user of the machine: memory, environment, ptrace, signals of all processes; PIN, API key, log")
async def local_user(stage: Stage) -> str:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return "not tried: no setpriv here"
    words = (
        setpriv,
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
        "--no-new-privs",
        "/usr/bin/env",
        "-i",
    )
    pids = [str(pid) for pid in (stage.gateway.process.pid, *stage.gateway.signers())]
    for place in (stage.demo.folder, stage.audit):
        process = await asyncio.create_subprocess_exec(
            *words, "python3", "-I", "-c", TRY, str(place), *pids,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await process.communicate()
        if process.returncode:
            return "not tried: this user may not become another"
        assert said.strip() == b"[]", said
    return "nothing: EACCES or EPERM for all of it"
