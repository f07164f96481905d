"""Several gateway processes on one address."""

import asyncio
import json
import os
import re
import shutil
import signal
from pathlib import Path

import aiohttp
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.test_several_tokens import clone_of
from tests.e2e.with_workers import with_workers
from tests.keepalive_load import load
from tests.secrets_scan import NOTES
from tests.token_tool import Demo

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_worker_that_is_killed_is_replaced_while_the_other_serves(demo: Demo, tmp_path: Path) -> None:
    async with with_workers(demo, tmp_path) as running:
        one, other = running.workers()
        assert [len(worker.children()) for worker in (one, other)] == [1, 1]  # the two signers, shared out
        async with load(running.url, demo) as tally:
            await tally.reach(100)
            one.send_signal(signal.SIGKILL)
            await tally.reach(100)
            async with asyncio.timeout(60):
                while running.log.read_text().count(" is ready\n") < 6:  # workers and signers, and one of each again
                    await asyncio.sleep(0.05)
            assert {worker.pid for worker in running.workers()} > {other.pid}
            assert tally.failed.total() == tally.recovered <= 8, tally.failed

            failed = tally.failed.total()
            running.process.send_signal(signal.SIGHUP)
            await running.manager.hears("RELOADING=1")
            await running.manager.hears("READY=1")
            async with asyncio.timeout(20):  # twice, once in each; a thread of theirs writes it, a little later
                while running.log.read_text().count("the config is taken over, changed: nothing") < 2:
                    await asyncio.sleep(0.05)
            await tally.reach(100)
        assert tally.failed.total() == failed
        await _look_at_metrics(running.url, tally.signed)
        await _look_at_status(running.url)
        family = psutil.Process(running.process.pid).children(recursive=True)
        assert len(family) == 4
        os.kill(running.process.pid, signal.SIGKILL)
        await running.process.wait()
        _, alive = await asyncio.to_thread(psutil.wait_procs, family, 30)
        assert not alive  # workers end when their arbiter does, and signers when their worker does


async def test_a_worker_begins_with_what_the_others_took_over(demo: Demo, tmp_path: Path) -> None:
    pin = tmp_path / "pin"
    shutil.copy(demo.folder / "pin", pin)
    clone = clone_of(demo, tmp_path / "clone").replace('"file:pin"', json.dumps(f"file:{pin}"))
    async with with_workers(demo, tmp_path, clone) as running:
        config = demo.folder / "workers.toml"
        assert await _tokens_up(running.url) == {"demo", "clone"}
        pin.unlink()
        config.write_text(
            config.read_text().replace(clone, "").replace("[server]\n", '[server]\nlog_level = "debug"\n')
        )
        running.process.send_signal(signal.SIGHUP)
        await running.logs("the config is taken over", 2)
        await running.replace_worker()
        assert "pin_source" not in running.log.read_text()
        config.write_text("[")
        await running.logs("the config is not taken over", 2)
        await running.replace_worker()
        assert await _tokens_up(running.url) == {"demo"}
        # Those that took a dead worker's place count on in its files.
        metrics = next(tmp_path.glob("hsmgate-*/metrics"))
        assert len([*metrics.glob("counter_*.db")]) == 2
        async with load(running.url, demo) as tally:
            await tally.reach(20)


@pytest.mark.skipif(shutil.which("systemd-tmpfiles") is None, reason="systemd is not installed")
async def test_who_tidies_up_leaves_the_common_folder_alone(demo: Demo, tmp_path: Path) -> None:
    for name in ("hsmgate-of-nobody", "hsmgate-of-nobody/metrics"):
        (tmp_path / name).mkdir()
    rules = tmp_path / "tmpfiles.conf"
    rules.write_text(f"e {tmp_path} - - - 0s\nx {tmp_path}/*.log\n")
    async with with_workers(demo, tmp_path):
        tidying = await asyncio.create_subprocess_exec("systemd-tmpfiles", "--clean", str(rules))
        assert await tidying.wait() == 0
        (left,) = tmp_path.glob("hsmgate-*")
        assert [*left.glob("metrics/*.db")]


async def _tokens_up(url: str) -> set[str]:
    async with aiohttp.request("GET", f"{url}/metrics") as response:
        return {*re.findall(r'hsmgate_token_up\{token="(\w+)"\} 1', await response.text())}


async def _look_at_status(url: str) -> None:
    """Whoever is asked says who it is. It may be either, so each is waited for."""
    seen: dict[str, dict[str, int]] = {}
    async with asyncio.timeout(60):
        while len(seen) < 2:
            async with aiohttp.request("GET", f"{url}/status.json") as response:
                answer = await response.json()
            seen[answer["instance"]] = answer["process"]
            await asyncio.sleep(0.05)
    assert sorted(process["number"] for process in seen.values()) == [1, 2]
    assert {process["of"] for process in seen.values()} == {2}


async def _look_at_metrics(url: str, signed: int) -> None:
    """Whoever is asked answers for all, also for the one that was killed, but for its last second."""
    await asyncio.sleep(1.5)
    async with aiohttp.ClientSession() as client, client.get(f"{url}/metrics") as response:
        text = await response.text()
    NOTES.sight("/metrics", text)
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    counted = sum(one.value for one in samples if one.name == "hsmgate_items_total" and one.labels["status"] == "200")
    ready = sum(one.value for one in samples if one.name == "hsmgate_signers" and one.labels["state"] == "ready")
    assert signed / 2 < counted < signed * 1.1
    assert ready == 2
