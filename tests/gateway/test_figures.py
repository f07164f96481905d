"""What is counted of items and tokens, and what becomes of it in labels."""

import errno
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hsmgate.config import Audit, Server
from hsmgate.domain.audit.records import Call
from hsmgate.domain.model import KeyInfo, KeyType
from hsmgate.errors import ConfigError, DeadlinePassed
from hsmgate.gateway.audit.chain import Chain
from hsmgate.gateway.audit.heads import Heads
from hsmgate.gateway.audit.log import AuditLog
from hsmgate.gateway.batch import Batch
from hsmgate.gateway.calls import Calls
from hsmgate.gateway.connections import Connections
from hsmgate.gateway.current import Current
from hsmgate.gateway.figures import BOUNDS_SECONDS, Durations, ItemFigures
from hsmgate.gateway.keyring import Keyring
from hsmgate.gateway.loads import Loads
from hsmgate.gateway.metrics import Metrics, Outside
from hsmgate.gateway.readiness import Readiness
from hsmgate.gateway.signing import BatchSigner
from hsmgate.ipc.messages import Action, Failure
from tests.gateway.played import SLOW, Caller, new_pool, with_signer


def test_a_duration_is_in_the_first_bucket_that_it_fits() -> None:
    durations = Durations()
    for seconds, count in ((0.0, 1), (0.0005, 2), (0.00051, 4), (60.0, 8), (60.1, 16)):
        durations.add(seconds, count)
    counts, total = durations.take()
    assert (counts[0], counts[1], counts[-2], counts[-1]) == (3, 4, 8, 16)
    assert len(counts) == len(BOUNDS_SECONDS) + 1
    assert total == pytest.approx(0.001 + 4 * 0.00051 + 480 + 16 * 60.1)
    assert durations.take() == ([0] * len(counts), 0.0)


async def test_each_item_is_counted_once_by_what_came_first() -> None:
    figures = ItemFigures()
    batch = Batch(5, 0.0, Action.VERIFY)
    batch.put([0, 1], [True, False], "CKM_ECDSA", "EC")
    batch.put([1, 2], [True, Failure(422, "no")], "CKM_RSA_PKCS", "RSA", "hsm")
    batch.put([3], [Failure(400, "bad")])
    batch.give_up()
    figures.note(batch, await batch.wait(lambda: DeadlinePassed("late")))
    assert figures.counts.take() == {
        ("verify", 200, "EC", "CKM_ECDSA"): 2,
        ("verify", 422, "RSA", "CKM_RSA_PKCS"): 1,
        ("verify", 400, "none", "none"): 1,
        ("verify", 504, "none", "none"): 1,
    }
    assert figures.failures == {(422, "hsm"): 1, (400, ""): 1, (504, ""): 1}
    assert sum(figures.seconds.counts) == 5
    assert not figures.counts.take()


async def test_what_a_caller_did_not_wait_for_is_499() -> None:
    figures = ItemFigures()
    batch = Batch(2, 60.0)
    batch.put([1], [b"s"], "CKM_EDDSA", "Ed25519")
    figures.note(batch, batch.so_far())
    assert figures.counts.take() == {("sign", 200, "Ed25519", "CKM_EDDSA"): 1, ("sign", 499, "none", "none"): 1}


async def test_a_token_counts_items_as_they_go_and_come() -> None:
    pool, process, _ = with_signer()
    pool.figures.waited.take()
    pool.figures.in_signer.take()
    pool.figures.signed_at = 0.0
    caller = Caller(b"a", b"b", key=SLOW)
    pool.submit(caller.runs)
    process.answer_all()
    assert await caller.results() == [b"signed a", b"signed b"]
    assert {arrival[-1] for arrival in caller.batch.arrivals} == {pool.name}
    assert (sum(pool.figures.waited.take()[0]), sum(pool.figures.in_signer.take()[0])) == (2, 2)
    assert pool.figures.unsigned_seconds() < 60


def new_metrics(audit: AuditLog | None = None) -> tuple[Metrics, BatchSigner, Calls]:
    current = Current(Server())
    signer, calls = BatchSigner(Keyring(), [new_pool()], current), Calls()
    metrics = Metrics(signer, calls, Readiness(signer, Connections(current), audit), audit, Outside(Loads()))
    return metrics, signer, calls


async def test_what_a_signer_says_of_itself_is_no_label() -> None:
    metrics, signer, _ = new_metrics()
    for results in ([b"s"], [Failure(299, "odd")]):
        batch = Batch(1, 60.0)
        batch.put([0], results, "a mechanism of its own", "EC")
        signer.figures.note(batch, results)
    text = metrics.text().decode()
    assert 'hsmgate_items_total{key_type="EC",mechanism="other",operation="sign",status="200"} 1.0' in text
    assert 'hsmgate_items_total{key_type="EC",mechanism="other",operation="sign",status="500"} 1.0' in text
    assert "mechanism of its own" not in text


async def test_who_asks_again_at_once_gets_the_same() -> None:
    metrics, _, calls = new_metrics()
    first = metrics.text()
    calls.counts["GET", "/livez", 200] += 1
    assert metrics.text() is first


@pytest.mark.parametrize("folder", ["", "/dev/null", "/nowhere/at/all"])
async def test_the_folder_of_all_processes_must_be_one(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", folder)
    with pytest.raises(ConfigError, match="PROMETHEUS_MULTIPROC_DIR"):
        new_metrics()


async def test_the_audit_log_counts_what_it_loses_and_refuses(tmp_path: Path) -> None:
    section = Audit(folder=str(tmp_path), fsync="second")
    audit = AuditLog(Chain(tmp_path, section.rotate_size, None, withhold=True), section)
    audit.heads = SimpleNamespace(signed_at=5.0, overdue=lambda: True)  # type: ignore[assignment]
    metrics, _, _ = new_metrics(audit)
    call = Call(time="", action="import", request="r", app="a", app_name="a", address="unix", status=201)
    audit.chain.append(call)
    audit.chain.file.append = fail  # type: ignore[method-assign]
    audit.chain.append(call)
    audit.chain.recover = lambda: False  # type: ignore[method-assign]
    audit.chain.append(call)
    assert audit.refusal() is not None
    text = metrics.text().decode()
    for line in (
        "hsmgate_audit_records_total 2.0",
        "hsmgate_audit_lost_records_total 2.0",
        "hsmgate_audit_refused_calls_total 1.0",
        "hsmgate_audit_writable 0.0",
        "hsmgate_audit_unsynced_records 2.0",
        "hsmgate_audit_last_head_timestamp_seconds 5.0",
        "hsmgate_audit_head_overdue 1.0",
        "hsmgate_ready 0.0",
    ):
        assert f"\n{line}\n" in text, line
    audit.chain.close()


def fail(line: bytes) -> None:
    raise OSError(errno.ENOSPC, "full")


async def test_a_head_is_overdue_when_records_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    chain = SimpleNamespace(seq=0)
    key = KeyInfo(b"k" * 16, "kid", "head", KeyType.EC, "NistP256", 256, None)
    signer = BatchSigner(Keyring(), [], Current(Server()))
    heads = Heads(cast("Chain", chain), signer, key, 10.0)
    assert not heads.overdue()
    chain.seq = 1
    assert not heads.overdue()
    now += 20.0
    assert not heads.overdue()
    now += 1.0
    assert heads.overdue()
    chain.seq = 0
    assert not heads.overdue()
