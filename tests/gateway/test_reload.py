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
from hsmgate.gateway.reload import Party, Reloader, Takeover
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


class Watched:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.apps = Apps()
        file.write_text(TOKEN + APP)
        parties = [Party(frozenset({"app", "server.max_items"}), self.apps.prepare)]
        self.reloader = Reloader(Config.load(file), parties)

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
