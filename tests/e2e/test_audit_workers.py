"""The audit log of several workers: a chain for each, and none breaks another's."""

import asyncio
import base64
import contextlib
import shutil
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256

from tests.e2e.audited import ITEM, files, good_signature, head_key, judge, records, records_of, run
from tests.e2e.with_workers import Running, with_workers
from tests.gateway_process import BATCH_SIGN
from tests.keepalive_load import load
from tests.token_tool import Demo


@pytest.mark.asyncio(loop_scope="session")
async def test_a_worker_that_is_killed_breaks_no_chain(demo: Demo, tmp_path: Path) -> None:
    folder, copied = tmp_path / "audit", tmp_path / "copied"
    key, pem = head_key(demo, "p384")
    section = "[audit]", f'folder = "{folder}"', 'head_key = "p384"', "head_interval = 0.2"
    async with with_workers(demo, tmp_path, *section) as running:
        one, _ = running.workers()
        async with load(running.url, demo) as tally:
            signed = await sign_until_all_have(running, demo, folder, 2)
            one.send_signal(signal.SIGKILL)
            signed += await sign_until_all_have(running, demo, folder, 3)
            await tally.reach(100)
            good, said = judge(files(folder), pem)
            assert good, said
            assert said.count(" is being written\n") == 2
            assert said.count(" is not closed, its process died; chain ") == 1
            shutil.copytree(folder, copied)
        assert tally.failed.total() == tally.recovered, tally.failed
        running.process.terminate()
        assert await asyncio.wait_for(running.process.wait(), 40) == 0
    code, said = run("audit", "verify", "--key", pem, *files(folder))
    assert (code, said.splitlines()[-1]) == (0, "all is well"), said
    assert len(records(folder, "open")) == 3
    assert len(records(folder, "close")) == 2
    for head in records(folder, "head"):
        words = (head[name] for name in ("chain", "covers", "hash", "time", "kid", "algorithm"))
        text = " ".join(["hsmgate audit head", *map(str, words)])
        key.verify(base64.b64decode(head["signature"]), text.encode(), ECDSA(SHA256()))
    entries = [entry for batch in records(folder, "batch") for entry in batch["items"]]
    assert sum(entry["status"] == 200 for entry in entries) >= tally.signed + tally.recovered + signed
    look_at_the_copy(copied, pem)


async def sign_until_all_have(running: Running, demo: Demo, folder: Path, chains: int) -> int:
    """Sign, by a connection for each batch, until so many chains have batches. How many items were signed."""
    signed = 0
    async with asyncio.timeout(60):
        while len([file for file in files(folder) if records_of([file])]) < chains:
            await asyncio.sleep(0.1)
            with contextlib.suppress(aiohttp.ClientError):  # it was with the one that is killed
                answers = await sign(running.url + BATCH_SIGN, demo.api_key, [ITEM] * 10)
                assert {answer["status"] for answer in answers} == {200}
                good_signature(demo, answers[-1]["body"]["signature"])
                signed += len(answers)
    return signed


async def sign(url: str, api_key: str, items: list[Any]) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Basic {api_key}"}
    async with aiohttp.request("POST", url, json=items, headers=headers) as response:
        answers: list[dict[str, Any]] = await response.json()
        return answers


def look_at_the_copy(copied: Path, pem: Path) -> None:
    """What was copied while it was written has no end, and is vouched for up to a head."""
    code, said = run("audit", "verify", "--key", pem, *files(copied))
    assert code == 1
    assert said.count(": the chain is not closed: ") == 2
    assert said.splitlines()[-1] == "2 problems"
    code, said = run("audit", "verify", "--open", "--key", pem, *files(copied))
    assert (code, said.splitlines()[-1]) == (0, "all is well"), said
    assert said.count(" is not closed: it is vouched for up to line ") == 2
