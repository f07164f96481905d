"""What a process could give away: descriptors, environment, rights, cores."""

import asyncio
import contextlib
import errno
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hsmgate import config
from hsmgate.confinement import give_way
from tests.gateway_process import Gateway, serving
from tests.token_tool import Demo

SHOW = """
import ctypes, json, os, resource, sys
from hsmgate.confinement import confine
confine(int(sys.argv[1]))
get = ctypes.CDLL(None).prctl
signal = ctypes.c_int()
get(2, ctypes.byref(signal))
umask = os.umask(0)
said = [get(3), resource.getrlimit(resource.RLIMIT_CORE), get(39, 0, 0, 0, 0), signal.value, umask]
there = [number for number in range(100) if os.path.exists(f"/proc/self/fd/{number}")]
print(json.dumps([said, there]))
"""


@pytest.fixture
async def with_a_variable(own_demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    """A gateway that has its PIN from a variable, and one more that is nobody's business."""
    monkeypatch.setenv("HSMGATE_TEST_PIN", own_demo.pin)
    monkeypatch.setenv("HSMGATE_TEST_OTHER", "s3cret")
    text = own_demo.config.read_text()
    own_demo.config.write_text(text.replace("file:pin", "env:HSMGATE_TEST_PIN"))
    async with serving(own_demo.config, own_demo.api_key, tmp_path / "log") as running:
        yield running


async def ready(gateway: Gateway) -> list[int]:
    """Signers that have opened the token; others may not have come to confine themselves."""
    async with asyncio.timeout(10):  # the log is written a little later than what it tells happens
        while not (pids := re.findall(r"signer (\d+) is ready", gateway.log.read_text())):
            await asyncio.sleep(0.01)
    return [*map(int, pids)]


def test_what_is_given_up_is_gone() -> None:
    kept, extra = socket.socketpair()
    with kept, extra:
        numbers = (kept.fileno(), extra.fileno())
        done = subprocess.run(
            [sys.executable, "-c", SHOW, str(kept.fileno())],
            pass_fds=numbers,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    # Not dumpable, no core, no new privileges, SIGKILL at the parent's death, files of one's own.
    assert done.stdout.strip() == f"[[0, [0, 0], 1, 9, 63], [0, 1, 2, {numbers[0]}]]"


async def test_a_signer_has_no_more_than_it_needs(with_a_variable: Gateway, own_demo: Demo) -> None:
    assert (await with_a_variable.sign_one({"key": {"name": "p256"}, "hash_alg": "SHA256", "data": "AA=="}))["status"]
    for pid in (with_a_variable.process.pid, *with_a_variable.signers()):
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert [line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core")] == [["0", "0"]]
    for pid in await ready(with_a_variable):
        assert "NoNewPrivs:\t1\n" in Path(f"/proc/{pid}/status").read_text()
        with contextlib.suppress(PermissionError):  # only root may look
            variables = dict(
                line.split("=", 1) for line in Path(f"/proc/{pid}/environ").read_text().split("\0") if line
            )
            assert not [name for name in variables if name.startswith("HSMGATE_TEST")]
            assert own_demo.pin not in variables.values()
            assert variables["GLIBC_TUNABLES"] == "glibc.malloc.tcache_count=127"
            descriptors = [str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()]
            assert sum(name.startswith("socket:") for name in descriptors) == 1
            files = [
                name for name in descriptors if not name.startswith(("socket:", "/dev/null", "/memfd:hsmgate-pin"))
            ]
            assert all(name == str(with_a_variable.log) or name.startswith(str(own_demo.folder)) for name in files)


async def test_a_signer_does_not_interrupt_the_gateway(demo: Demo, tmp_path: Path) -> None:
    async with serving(demo.config, demo.api_key, tmp_path / "log") as gateway:
        threads = [int(path.name) for pid in await ready(gateway) for path in Path(f"/proc/{pid}/task").iterdir()]
        assert {os.sched_getscheduler(thread) for thread in threads} == {os.SCHED_BATCH}
        assert os.sched_getscheduler(gateway.process.pid) == os.SCHED_OTHER


def test_where_giving_way_is_not_allowed_all_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, policy: int, param: object) -> None:
        raise PermissionError(errno.EPERM, "as under a filter for system calls")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    give_way()
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


async def test_a_signer_ends_with_its_gateway_while_its_module_hangs(demo: Demo, tmp_path: Path) -> None:
    """It cannot see that its socket has closed: it is stopped, as if inside a call."""
    async with serving(demo.config, demo.api_key, tmp_path / "log") as gateway:
        signers = await ready(gateway)
        for pid in signers:
            os.kill(pid, signal.SIGSTOP)
        gateway.process.kill()
        await gateway.process.wait()
        async with asyncio.timeout(10):
            while any(Path(f"/proc/{pid}").exists() for pid in signers):
                await asyncio.sleep(0.02)


async def test_a_command_tells_the_pin_to_a_gateway(own_demo: Demo, tmp_path: Path) -> None:
    text = own_demo.config.read_text().replace("file:pin", "command:cat pin")
    own_demo.config.write_text(text)
    assert config.Config.load(own_demo.config).token[0].pin_source == "command:cat pin"
    async with serving(own_demo.config, own_demo.api_key, tmp_path / "log") as gateway:
        assert (await gateway.client.get(gateway.url + "/sys/v1/health")).status == 204
