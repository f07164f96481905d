"""The audit log of a gateway that really signs, where it cannot be written as it should be."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.audited import ITEM, SECRET, audited, call, files, good_signature, judge, records
from tests.gateway_process import Gateway
from tests.small_disk import small_disk
from tests.token_tool import Demo


@pytest.mark.asyncio(loop_scope="session")
async def test_without_room_nothing_is_signed_until_there_is_some(own_demo: Demo, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        async with audited(own_demo, disk.folder) as gateway:
            await one_goes_away(gateway, disk.folder)
            disk.leave(8192)
            texts: set[str | None] = set()
            for _ in range(6):
                texts |= {answer.get("error") for answer in await gateway.sign([ITEM] * 20 + [1])}
            assert (await gateway.sign_one(ITEM))["status"] == 503
            assert "the audit log could not be written, so the result is withheld; try again" in texts
            assert "the audit log cannot be written, so nothing is signed; try again" in texts
            await call(gateway, "POST", "/crypto/v1/keys", {"name": "n", "obj_type": "RSA", "key_size": 2048}, 503)
            disk.free()
            async with asyncio.timeout(20):
                while (await gateway.sign_one(ITEM))["status"] != 200:
                    await asyncio.sleep(0.05)
            assert await gateway.stop() == 0
        good, said = judge(files(disk.folder))
        assert good, said
        assert "withheld from the callers: 1 records of 21 items" in said


@pytest.mark.asyncio(loop_scope="session")
async def test_without_room_it_goes_on_and_counts_where_that_is_wanted(own_demo: Demo, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        async with audited(own_demo, disk.folder, 'when_full = "continue"') as gateway:
            disk.leave(8192)
            for _ in range(6):
                answers = await gateway.sign([ITEM] * 20)
                assert {answer["status"] for answer in answers} == {200}
                good_signature(own_demo, answers[-1]["body"]["signature"])
            async with gateway.client.get(f"{gateway.url}/readyz") as response:
                assert response.status == 200
            lost = await lost_records(gateway)
            assert lost >= 1
            disk.free()
            answered = 6 * 20
            async with asyncio.timeout(20):
                while not records(disk.folder, "gap"):
                    assert (await gateway.sign_one(ITEM))["status"] == 200
                    answered += 1
                    await asyncio.sleep(0.05)
            assert await gateway.stop() == 0
        (gap,) = records(disk.folder, "gap")
        written = sum(len(batch["items"]) for batch in records(disk.folder, "batch"))
        assert written + gap["items"] == answered
        assert (gap["reason"], gap["withheld"], gap["records"] >= lost) == ("ENOSPC", False, True)
        good, said = judge(files(disk.folder))
        assert not good
        assert f"lost: {gap['records']} records of {gap['items']} items" in said
        assert said.splitlines()[-1] == "1 problem"


async def lost_records(gateway: Gateway) -> float:
    async with gateway.client.get(f"{gateway.url}/metrics") as response:
        families = text_string_to_metric_families(await response.text())
        return sum(
            one.value for family in families for one in family.samples if one.name == "hsmgate_audit_lost_records_total"
        )


@pytest.mark.asyncio(loop_scope="session")
async def test_without_a_place_for_a_new_file_the_old_one_takes_more(own_demo: Demo, tmp_path: Path) -> None:
    folder, away = tmp_path / "audit", tmp_path / "away"
    async with audited(own_demo, folder, 'rotate_size = "4KiB"', 'fsync = "never"') as gateway:
        folder.rename(away)
        for _ in range(20):
            assert {answer["status"] for answer in await gateway.sign([ITEM] * 10)} == {200}
            async with gateway.client.get(f"{gateway.url}/readyz") as response:
                assert response.status == 200
        assert len(files(away)) == 1
        away.rename(folder)
        async with asyncio.timeout(20):
            while len(files(folder)) == 1:
                assert (await gateway.sign_one(ITEM))["status"] == 200
                await asyncio.sleep(0.05)
        assert await gateway.stop() == 0
        assert gateway.log.read_text().count("the audit log's next file cannot be made") == 1
    good, said = judge(files(folder))
    assert good, said
    assert not records(folder, "gap")


WITHOUT_KEEPER = """
import asyncio, sys
from hsmgate.cli import main
from hsmgate.gateway.audit.log import AuditLog

async def keep(log):
    await asyncio.sleep(1)
    raise ValueError("attack at dawn, but quietly")

AuditLog.keep = keep
sys.exit(main())
"""


def test_a_gateway_that_nobody_keeps_the_log_of_ends(own_demo: Demo, tmp_path: Path) -> None:
    config = own_demo.folder / "unkept.toml"
    config.write_text("\n".join([own_demo.config.read_text(), "[audit]", f'folder = "{tmp_path}"', ""]))
    serve = (sys.executable, "-c", WITHOUT_KEEPER, "serve", "--config", config, "--listen", "127.0.0.1:0")
    done = subprocess.run(serve, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "hsmgate serves on" in done.stdout
    assert " CRITICAL " in done.stderr
    assert "looking after the audit log has failed, so the gateway ends\n" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("hsmgate: ended by a bug")
    assert SECRET.decode() not in done.stderr
    good, said = judge(files(tmp_path))
    assert good, said


async def one_goes_away(gateway: Gateway, folder: Path) -> None:
    """What was signed for who has gone is on record too."""
    slow = ITEM | {"key": {"name": "rsa4096"}}
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(gateway.sign([slow] * 300), 0.4)
    async with asyncio.timeout(20):
        while not records(folder, "batch"):
            await asyncio.sleep(0.05)
    (batch,) = records(folder, "batch")
    statuses = [entry["status"] for entry in batch["items"]]
    assert len(statuses) == 300
    assert {499} <= set(statuses) <= {200, 499}
