"""A config file that changes under a reloader."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hsmgate.config import Config
from hsmgate.errors import ConfigError
from hsmgate.gateway import reload
from hsmgate.gateway.reload import Party, Reloader, Takeover, in_force
from tests.test_config import APP, APP_ID, TOKEN


class Apps:
    """A party that keeps the names of the apps, and takes no app named `bad`."""

    def __init__(self) -> None:
        self.taken: list[list[str]] = []

    def prepare(self, config: Config) -> Takeover:
        names = [app.name for app in config.app]
        if "bad" in names:
            raise ConfigError(["app[0].name: bad"])
        return lambda: self.taken.append(names)


class Tokens:
    """A party that is slow when told so, and keeps how often it was asked and that nothing became of it."""

    words = frozenset({"server.max_waiting"})

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.go.set()
        self.asked = self.given_up = 0
        self.taken: list[int] = []

    async def prepare(self, config: Config) -> Takeover:
        self.asked += 1
        await self.go.wait()
        if config.server.max_waiting == 13:
            raise ConfigError(["server.max_waiting: bad luck"])
        return lambda: self.taken.append(config.server.max_waiting)

    async def give_up(self) -> None:
        self.given_up += 1


class Watched:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.apps = Apps()
        file.write_text(TOKEN + APP)
        self.tokens = Tokens()
        parties = [Party(frozenset({"app", "server.max_items"}), self.apps.prepare)]
        self.reloader = Reloader(Config.load(file), parties, self.tokens)

    async def until(self, names: list[str]) -> None:
        async with asyncio.timeout(10):
            while not self.apps.taken or self.apps.taken[-1] != names:
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def watching(watched: Watched) -> AsyncIterator[None]:
    task = asyncio.create_task(watched.reloader.watch())
    yield
    assert not task.done()
    task.cancel()


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Watched:
    monkeypatch.setattr(reload, "LOOK_SECONDS", 0.02)
    caplog.set_level(logging.INFO)
    return Watched(tmp_path / "hsmgate.toml")


async def test_a_change_is_taken_over_and_what_needs_a_restart_is_named(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    async with watching(watched):
        text = TOKEN.replace("hsmgate-demo", "other") + APP.replace('"demo"', '"new"')
        watched.file.write_text('[server]\nlisten = "127.0.0.1:1"\nmax_items = 7\n' + text)
        await watched.until(["new"])
    taken, waiting = caplog.messages
    assert taken.endswith("changed: server.listen, server.max_items, token[0].uri, app[0].name")
    assert waiting.endswith("restart: server.listen, token[0].uri")
    assert watched.apps.taken == [["new"]]


def test_what_waits_for_a_restart_is_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "hsmgate.toml"
    audit = '[audit]\nfolder = "audit"\n'
    started = Config.parse('[server]\nlisten = "127.0.0.1:1"\nmax_items = 1\n' + TOKEN + APP + audit, file)
    new = Config.parse('[server]\nlisten = "127.0.0.1:2"\nmax_items = 2\n' + TOKEN, file)
    now = in_force(started, new, ["server.listen", "audit"])
    assert (now.server.listen, now.server.max_items, now.app) == ("127.0.0.1:1", 2, [])
    assert (now.audit, now.file, now.text) == (started.audit, file, new.text)
    assert in_force(new, started, ["audit.folder"]).audit is None
    assert in_force(started, new, []) == new


async def test_a_change_between_start_and_the_first_look_is_noticed(watched: Watched) -> None:
    watched.file.write_text(TOKEN)
    async with watching(watched):
        await watched.until([])


async def test_a_file_that_is_wrong_is_refused_in_full_and_the_next_one_taken(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    async with watching(watched):
        for wrong, count in (
            (TOKEN + APP.replace(APP_ID, "x").replace('"demo"', '""'), 2),
            (TOKEN[:-20], 1),
            (TOKEN + APP.replace('"demo"', '"bad"'), 1),
            (None, 1),
        ):
            caplog.clear()
            if wrong is None:
                watched.file.unlink()
            else:
                watched.file.write_text(wrong)
            async with asyncio.timeout(10):
                while len(caplog.messages) < count:
                    await asyncio.sleep(0.01)
            assert len(caplog.messages) == count
            assert all("not taken over" in message for message in caplog.messages)
            assert watched.apps.taken == []
        watched.file.write_text(TOKEN)
        await watched.until([])


async def test_asked_it_loads_though_nothing_changed(watched: Watched) -> None:
    async with watching(watched):
        watched.reloader.ask()
        await watched.until(["demo"])


async def test_the_same_text_in_a_new_file_is_no_change(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    async with watching(watched):
        await asyncio.sleep(0.1)
        part = watched.file.with_suffix(".part")
        part.write_text(TOKEN + APP)
        os.replace(part, watched.file)  # noqa: PTH105
        await asyncio.sleep(0.2)
    assert (watched.apps.taken, caplog.messages) == ([], [])


async def test_a_config_that_came_through_a_pipe_is_not_waited_for(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.file.unlink()
    os.mkfifo(watched.file)
    async with watching(watched):
        await asyncio.sleep(0.1)
        assert caplog.messages == []
        watched.reloader.ask()
        async with asyncio.timeout(10):
            while not caplog.messages:
                await asyncio.sleep(0.01)
    assert "not a file that could be read again" in caplog.messages[0]


async def test_those_who_ask_during_a_load_share_the_next(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    async with watching(watched):
        for _ in range(7):
            watched.reloader.ask()
        await watched.until(["demo"])
        await asyncio.sleep(0.1)
    assert caplog.messages == ["the config is taken over for 7 requests, changed: nothing"]


async def test_a_newer_config_does_not_wait_for_one_that_is_slow(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """Who revokes an app need not wait for a token that opens slowly, but has to take it out."""
    watched.tokens.go.clear()
    async with watching(watched):
        watched.file.write_text(f"[server]\nmax_waiting = 1\n{TOKEN}{APP}")
        watched.reloader.ask()
        async with asyncio.timeout(10):
            while not watched.tokens.asked:
                await asyncio.sleep(0.01)
        watched.file.write_text(f"[server]\nmax_waiting = 2\n{TOKEN}")
        watched.reloader.ask()
        async with asyncio.timeout(10):
            while watched.tokens.asked < 2:
                await asyncio.sleep(0.01)
        assert watched.tokens.taken == []
        watched.tokens.go.set()
        await watched.until([])
    assert watched.tokens.taken == [2]
    assert caplog.messages == ["the config is taken over for 2 requests, changed: server.max_waiting, app"]


async def test_nobody_takes_what_the_slow_party_refuses_and_it_undoes_what_it_did(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    async with watching(watched):
        for text in (f"[server]\nmax_waiting = 13\n{TOKEN}", "[server"):
            before = watched.tokens.given_up
            watched.file.write_text(text)
            watched.reloader.ask()
            async with asyncio.timeout(10):
                while watched.tokens.given_up == before:
                    await asyncio.sleep(0.01)
        await asyncio.sleep(0)
    assert (watched.apps.taken, watched.tokens.taken) == ([], [])
    assert caplog.messages[0] == "the config is not taken over: server.max_waiting: bad luck"
    assert "not taken over" in caplog.messages[-1]
