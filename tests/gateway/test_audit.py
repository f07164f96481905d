"""The audit log as it is written: files, a full disk, syncs together."""

import asyncio
import contextlib
import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest

from hsmgate.config import Audit
from hsmgate.domain.audit.records import NO_HASH, Call, Close, Open, encode, time_text
from hsmgate.domain.policy import Grant
from hsmgate.errors import AuditError, BadItem, ItemError
from hsmgate.gateway.audit.batches import run_recorded
from hsmgate.gateway.audit.chain import Chain
from hsmgate.gateway.audit.entries import Caller, batch_record
from hsmgate.gateway.audit.files import OTHERS_AT_MOST, ChainFile, others_in
from hsmgate.gateway.audit.log import AuditLog
from hsmgate.gateway.audit.verify import examine, verify
from hsmgate.gateway.auth import App
from hsmgate.gateway.batch import Batch, Result
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.wire import SignItem
from hsmgate.ipc.messages import Failure
from tests.small_disk import small_disk


def call(length: int = 1) -> Call:
    return Call(
        time=time_text(0), action="import", request="r" * length, app="a", app_name="a", address="unix", status=201
    )


def new_log(folder: Path, **words: Any) -> AuditLog:
    section = Audit(folder=str(folder), **{"fsync": "never", **words})
    chain = Chain(folder, section.rotate_size, None, withhold=section.when_full == "refuse")
    return AuditLog(chain, section)


APP = App("5d1e1f52-0000-4000-8000-000000000000", "app", Grant.of(["*"], ["sign"]))
CALLER = Caller(APP, "request", "unix")
SIGNED = SignItem(data=b"data")


class OneThatFails:
    """A signer that has signed the first item when it fails."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    async def run(self, batch: Batch, items: Any, app: App) -> NoReturn:
        batch.kids[0] = "kid"
        batch.put([0], [b"signature"], "CKM_ECDSA")
        raise self._error


@pytest.mark.parametrize(
    ("error", "missing"),
    [(asyncio.CancelledError(), 499), (RuntimeError("attack at dawn"), 500), (ItemError(), 500), (SystemExit(1), 500)],
)
async def test_however_a_batch_ends_it_is_on_record(tmp_path: Path, error: BaseException, missing: int) -> None:
    log = new_log(tmp_path)
    signer = cast("BatchSigner", OneThatFails(error))
    with pytest.raises(type(error)):
        await run_recorded(log, signer, Batch(2, 60.0), [SIGNED, SIGNED], CALLER, verify=False)
    await log.close()
    (batch,) = lines(tmp_path)[1:]
    assert [entry["status"] for entry in batch["items"]] == [200, missing]
    assert b"dawn" not in log.chain.file.path.read_bytes()


async def test_items_beyond_a_limit_are_short() -> None:
    batch = Batch(1001, 60.0)
    batch.kids[0] = "kid"
    results: list[Result] = [b"signature", *[Failure(429, "this app may have one item in flight; try again")] * 1000]
    items = [SIGNED] * 1000 + [BadItem("no object")]
    line = encode(batch_record(CALLER, items, batch, results, verify=False))
    entries = json.loads(line)["items"]
    assert entries[0].keys() > {"kid", "sha256", "ms"}
    assert entries[1:] == [{"status": 429}] * 1000
    assert len(line) < 17_000


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_bytes().splitlines()]


def judged(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[bool, str]:
    good = verify(sorted(folder.glob("*.jsonl")), [])
    return good, capsys.readouterr().out


async def test_of_each_item_what_came_first_counts() -> None:
    batch = Batch(4, 60.0)
    batch.put([1, 2], [b"s", b"s"], "CKM_ECDSA")
    batch.put([2, 0], [b"again", b"s"], "CKM_EDDSA")
    batch.over = True
    batch.put([3], [b"late"], "CKM_DSA")
    assert batch.so_far() == [b"s", b"s", b"s", None]
    assert [mechanism for mechanism, _ in batch.histories()] == ["CKM_EDDSA", "CKM_ECDSA", "CKM_ECDSA", None]
    assert all(0 <= milliseconds < 60_000 for _, milliseconds in batch.histories())


def test_a_chain_takes_note_of_the_others(tmp_path: Path) -> None:
    first = Chain(tmp_path, 4096, None, withhold=True)
    first.append(call(200_000))  # longer than what is read at a time
    (tmp_path / "of-somebody-else.jsonl").write_text("x\n")
    (tmp_path / "empty.000001.jsonl").touch()
    (tmp_path / "short.000001.jsonl").write_text("x")
    os.mkfifo(tmp_path / "pipe.000001.jsonl")
    (tmp_path / "folder.000001.jsonl").mkdir()
    for number in range(OTHERS_AT_MOST):
        (tmp_path / f"z{number:03d}.000001.jsonl").write_text("newer by name\n")
    (seen,) = others_in(tmp_path)
    assert (seen.chain, seen.file, seen.seq, seen.hash) == (first.id, 1, 2, first.hash)
    first.append(call())
    with first.file.path.open("ab") as file:
        file.write(b'{"torn')
    (seen,) = others_in(tmp_path)
    assert (seen.file, seen.seq, seen.hash) == (2, 4, first.hash)
    (tmp_path / f"{first.id}.000003.jsonl").touch()  # as a process leaves it that dies when it begins it
    (tmp_path / f"{first.id}.000004.jsonl").touch()
    assert others_in(tmp_path) == [seen]
    second = Chain(tmp_path, 4096, None, withhold=True)
    assert [other["chain"] for other in lines_of(second)[0]["others"]] == [first.id]
    for chain in (first, second):
        chain.close()


def lines_of(chain: Chain) -> list[dict[str, Any]]:
    return [json.loads(line) for line in chain.file.path.read_bytes().splitlines()]


async def test_a_file_that_was_removed_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsmgate.gateway.audit.log.EVERY_SECONDS", 0.01)
    log = new_log(tmp_path)
    log.chain.file.path.unlink()
    keeping = asyncio.create_task(log.keep())
    async with asyncio.timeout(10):
        while log.chain.file.harm() is not None or log.chain.trouble is not None:
            await asyncio.sleep(0.01)
    keeping.cancel()
    assert await log.record(call())
    assert [(line["type"], line["seq"]) for line in lines(tmp_path)] == [("open", 2), ("gap", 3), ("call", 4)]
    await log.close()


@pytest.mark.parametrize("size", [0, 100, 100_000])
async def test_a_file_that_others_cut_or_add_to_is_left(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hsmgate.gateway.audit.log.EVERY_SECONDS", 0.01)
    log = new_log(tmp_path)
    assert await log.record(call())
    first = log.chain.file.path
    os.truncate(first, size)
    keeping = asyncio.create_task(log.keep())
    async with asyncio.timeout(10):
        while log.chain.file.path == first or log.chain.trouble is not None:
            await asyncio.sleep(0.01)
    keeping.cancel()
    assert await log.record(Close(time=time_text(0)))
    await log.close()
    assert [(line["type"], line.get("reason")) for line in lines_of(log.chain)] == [
        ("open", None),
        ("gap", "EBADMSG"),
        ("close", None),
    ]
    assert first.stat().st_size == size
    good, said = judged(tmp_path, capsys)
    assert good is (size > 100), said  # only then no line is missing


def test_what_was_cut_outside_is_not_filled_up_when_a_line_is_taken_back(tmp_path: Path) -> None:
    file = ChainFile(tmp_path / "a.000001.jsonl")
    file.append(b"x" * 4000)
    os.truncate(file.path, 0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            file.append(b"y" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.torn
    assert file.path.read_bytes() == b"y" * 1000
    file.close()


async def test_only_the_process_that_began_a_chain_is_writing_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = new_log(tmp_path)
    assert await log.record(call())
    good, said = judged(tmp_path, capsys)
    assert good
    assert "is being written" in said
    assert await log.record(Close(time=time_text(0)))
    await log.close()
    file = log.chain.file.path
    assert judged(tmp_path, capsys)[0]
    os.truncate(file, len(file.read_bytes().splitlines()[0]) + 1)
    with locked_by_another(file):
        good, said = judged(tmp_path, capsys)
    assert not good
    assert "the chain is not closed" in said


@contextlib.contextmanager
def locked_by_another(file: Path) -> Iterator[None]:
    hold = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate()


async def test_older_files_and_chains_are_missed_unless_they_are_kept_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chains = []
    for _ in range(2):
        log = new_log(tmp_path, rotate_size=4096)
        for _ in range(30):
            assert await log.record(call())
        assert await log.record(Close(time=time_text(0)))
        await log.close()
        chains.append(log.chain.id)
    good, said = judged(tmp_path, capsys)
    assert good, said
    last = sorted(tmp_path.glob(f"{chains[1]}*"))
    rest = last[1:]
    for files, problem in (
        (last, "chains that others saw are not among the files"),
        (rest, "file 1 of the chain is missing before it"),
    ):
        assert not verify(files, [])
        assert f"note: {problem}" not in (said := capsys.readouterr().out)
        assert problem in said
        assert said.splitlines()[-1] == "1 problem"
        assert examine(files, []).members()["good"] is False
        assert verify(files, [], partial=True)
        assert capsys.readouterr().out.splitlines()[-1] == "all is well"
        assert examine(files, [], partial=True).members()["good"] is True


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(AuditError, match="no regular file"):
        verify([tmp_path / "pipe.jsonl"], [])


def test_files_are_for_their_owner_alone_and_never_written_by_two(tmp_path: Path) -> None:
    file = ChainFile(tmp_path / "a.000001.jsonl")
    assert file.path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        ChainFile(file.path)
    file.close()


async def test_rotation_keeps_the_chain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = new_log(tmp_path, rotate_size=4096, fsync="second")
    for _ in range(100):
        assert await log.record(call())
    assert await log.record(Close(time=time_text(0)))
    await log.close()
    assert len([*tmp_path.glob("*.jsonl")]) > 5
    assert [line["seq"] for line in lines(tmp_path)] == [*range(1, len(lines(tmp_path)) + 1)]
    good, said = judged(tmp_path, capsys)
    assert good, said


@pytest.mark.parametrize("policy", ["refuse", "continue"])
async def test_where_no_new_file_can_be_made_the_old_one_takes_more(
    tmp_path: Path,
    policy: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = new_log(tmp_path, rotate_size=4096, when_full=policy)
    monkeypatch.setattr("hsmgate.gateway.audit.chain.ROTATE_AGAIN_SECONDS", 0.0)  # tried with every record
    with no_more_descriptors():
        for _ in range(60):
            assert await log.record(call())
            assert log.refusal() is None
    assert [line["type"] for line in lines(tmp_path)] == ["open"] + ["call"] * 60
    assert await log.record(call())
    assert lines(tmp_path)[-2]["type"] == "open"
    assert await log.record(Close(time=time_text(0)))
    await log.close()
    said = [record.getMessage() for record in caplog.records]
    assert [text.split(" (")[0] for text in said] == [
        "the audit log's next file cannot be made",
        f"the audit log's next file is made: {log.chain.file.path.name}",
    ]
    good, judgement = judged(tmp_path, capsys)
    assert good, judgement


async def test_a_new_file_is_not_tried_with_every_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = new_log(tmp_path, rotate_size=4096)
    monkeypatch.setattr("hsmgate.gateway.audit.chain.ROTATE_AGAIN_SECONDS", 3600.0)
    with no_more_descriptors():
        for _ in range(60):
            assert await log.record(call())
    assert await log.record(call())
    assert {line["type"] for line in lines(tmp_path)[1:]} == {"call"}
    await log.close()


@contextlib.contextmanager
def no_more_descriptors() -> Iterator[None]:
    """Files that are open may be written, and none can be opened (EMFILE)."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.open("/", os.O_RDONLY)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("policy", ["refuse", "continue"])
async def test_a_full_disk(tmp_path: Path, policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    with small_disk(tmp_path / "disk") as disk:
        log = new_log(disk.folder, when_full=policy)
        disk.leave(8192)
        answers = [await log.record(call(1000)) for _ in range(20)]
        assert answers[0] is True
        assert answers[-1] is (policy == "continue")
        assert (log.refusal() is None) is (policy == "continue")
        assert all(line["type"] in ("open", "call") for line in lines(disk.folder)), "half a line stayed"
        assert not log.chain.recover()
        disk.free()
        assert log.chain.recover()
        assert log.refusal() is None
        assert await log.record(call())
        assert await log.record(Close(time=time_text(0)))
        await log.close()
        (gap,) = [line for line in lines(disk.folder) if line["type"] == "gap"]
        assert gap["reason"] == "ENOSPC"
        assert gap["records"] == answers.count(False) or policy == "continue"
        good, said = judged(disk.folder, capsys)
        assert good is (policy == "refuse"), said
        assert f"{gap['records']} records of 0 items" in said


async def test_writing_waits_for_room_for_what_did_not_fit(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        log = new_log(disk.folder)
        disk.leave(16 * 4096)
        assert not await log.record(call(100_000))
        assert not log.chain.recover(), "a short line would fit, but the next long one would not"
        disk.free()
        assert log.chain.recover()
        assert await log.record(call(100_000))
        await log.close()


async def test_a_file_that_may_not_grow_is_followed_by_another(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        written = 0
        while await log.record(call(1000)):
            written += 1
        assert 4 < written < 8
        assert await log.record(call(1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    await log.close()
    assert [line["type"] for line in lines(tmp_path)][-3:] == ["open", "gap", "call"]


async def test_one_sync_serves_all_who_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = new_log(tmp_path, fsync="batch")
    syncs = 0
    sync = ChainFile.sync

    def counted(file: ChainFile) -> None:
        nonlocal syncs
        syncs += 1
        sync(file)

    monkeypatch.setattr(ChainFile, "sync", counted)
    assert all(await asyncio.gather(*(log.record(call()) for _ in range(200))))
    assert syncs <= 2
    await log.close()


@pytest.mark.parametrize("policy", ["refuse", "continue"])
async def test_a_sync_that_fails_counts_as_not_written(
    tmp_path: Path, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = new_log(tmp_path, fsync="batch", when_full=policy)
    assert await log.record(call())
    with broken_syncs(monkeypatch):
        assert await log.record(call()) is (policy == "continue")
    assert (log.refusal() is None) is (policy == "continue")
    assert log.chain.recover()
    assert await log.record(call())
    await log.close()
    assert [line["type"] for line in lines(tmp_path)] == ["open", "call", "call", "open", "gap", "call"]
    gap = lines(tmp_path)[-2]
    assert (gap["records"], gap["reason"], gap["withheld"]) == (1, "EIO", policy == "refuse")
    assert log.chain.lost.records == 1


async def test_what_was_answered_before_a_sync_failed_is_not_said_to_be_withheld(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hsmgate.gateway.audit.log.EVERY_SECONDS", 0.01)
    log = new_log(tmp_path, fsync="second")
    for _ in range(3):
        assert await log.record(call())
    with broken_syncs(monkeypatch):
        keeping = asyncio.create_task(log.keep())
        async with asyncio.timeout(10):
            while not log.chain.lost.records:
                await asyncio.sleep(0.001)
        keeping.cancel()
    assert log.chain.recover()
    assert await log.record(Close(time=time_text(0)))
    await log.close()
    good, said = judged(tmp_path, capsys)
    assert not good
    assert "lost: 3 records of 0 items" in said


@contextlib.contextmanager
def broken_syncs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def broken(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        yield


async def test_an_error_that_nobody_thought_of_is_raised_to_all_who_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hsmgate.gateway.audit.log.EVERY_SECONDS", 0.01)
    log = new_log(tmp_path, fsync="batch")

    def broken(fd: int) -> None:
        raise ValueError

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        outcomes = await asyncio.gather(*(log.record(call()) for _ in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ValueError] * 3
        with pytest.raises(ValueError):  # noqa: PT011 - it has no text
            await asyncio.wait_for(log.keep(), 10)
    assert await log.record(call())
    await log.close()


async def test_who_keeps_it_syncs_each_second_and_tries_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsmgate.gateway.audit.log.EVERY_SECONDS", 0.01)
    log = new_log(tmp_path, fsync="second")
    synced = asyncio.Event()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(ChainFile, "sync", lambda file: loop.call_soon_threadsafe(synced.set))
    keeping = asyncio.create_task(log.keep())
    await asyncio.wait_for(synced.wait(), 10)
    log.chain.fail(OSError(errno.ENOSPC, "no space"))
    async with asyncio.timeout(10):
        while log.chain.trouble is not None:
            await asyncio.sleep(0.01)
    keeping.cancel()
    await log.close()
    assert lines(tmp_path)[-1]["type"] == "gap"


def test_what_a_file_says_of_itself_is_printed_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for at, name in enumerate(("a\nall is well", "b\x1b[2J", "c/../d", "e\0", "f" * 300)):
        record = Open(
            seq=1, prev=NO_HASH, time=time_text(0), format=1, chain=name, file=1, host="h", pid=1, version="1"
        )
        (tmp_path / f"{at}.jsonl").write_bytes(encode(record) + b"\n")
    good, said = judged(tmp_path, capsys)
    assert not good
    assert all(line.isprintable() for line in said.splitlines())
    assert "all is well" not in said.splitlines()
    assert said.count("the chain is not closed") == 5
