"""A config file that changes while the gateway serves: noticed, checked in full, taken over at once or not at all."""

import asyncio
import logging
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsmgate.config import Config
from hsmgate.errors import ConfigError

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""A file is read when it has looked the same twice: who writes it in several steps should be done."""

Takeover = Callable[[], None]
Signature = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody who goes by a part of the config, and takes a new one while serving.

    words: what it goes by, as key paths: "app" for all of [[app]], "server.max_items" for one word.
    prepare: looks at a new config, in a thread, and changes nothing. Raises ConfigError. What it returns takes the new
    config over: it is called in the event loop if all parties agree, and cannot fail.
    """

    words: frozenset[str]
    prepare: Callable[[Config], Takeover]


@dataclass(frozen=True, slots=True)
class _New:
    """A config that all parties agree to, what takes it over, and the key paths that changed and that must wait."""

    config: Config
    takeovers: Sequence[Takeover]
    changed: Sequence[str]
    waiting: Sequence[str]


class Reloader:
    """Tells the parties when the config's file has changed. What none of them goes by needs a restart, and is named."""

    def __init__(self, config: Config, parties: Sequence[Party], on_done: Callable[[], None] = lambda: None) -> None:
        """on_done: called when a load that was asked for is over, whether or not it was taken over."""
        self._started = config
        self._config = config
        self._parties = parties
        self._on_done = on_done
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Load the file now, changed or not, and have every party take it: what it names may have changed."""
        self._asked.set()

    async def watch(self) -> None:
        """Look at the file, for ever. The first look loads it: it may have changed since it was read at start."""
        taken: Signature = None
        before: Signature = None
        while True:
            asked = await self._pause()
            now = await asyncio.to_thread(_signature, self._config.file)
            if asked or (now == before and now != taken):
                taken = now
                await self._load(asked=asked)
            if asked:
                self._on_done()
            before = now

    async def _pause(self) -> bool:
        """Whether it ended because somebody asked."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    async def _load(self, *, asked: bool) -> None:
        try:
            new = await asyncio.to_thread(self._prepare, asked=asked)
        except ConfigError as error:
            for problem in error.problems:
                log.error("the config is not taken over: %s", problem)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the old config serves on
            # Its own text may quote the file.
            log.error("the config is not taken over: %s", type(error).__name__)
            return
        if new is None:
            return
        for takeover in new.takeovers:
            takeover()
        self._config = new.config
        log.info("the config is taken over, changed: %s", ", ".join(new.changed) or "nothing")
        if new.waiting:
            log.warning("the config has changes that need a restart: %s", ", ".join(new.waiting))

    def _prepare(self, *, asked: bool) -> "_New | None":
        """What is new; None where nothing is and nobody asked. Raises ConfigError with the problems of all parties."""
        file = self._config.file
        if file.exists() and not file.is_file():
            raise ConfigError([f"{file}: not a file that could be read again"])
        config = Config.load(file)
        changed = [*_changes(self._config, config)]
        if not changed and not asked:
            return None
        takeovers: list[Takeover] = []
        problems: list[str] = []
        for party in self._parties:
            try:
                takeovers.append(party.prepare(config))
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems)
        waiting = [path for path in _changes(self._started, config) if not self._has_party(path)]
        return _New(config, takeovers, changed, waiting)

    def _has_party(self, path: str) -> bool:
        section = path.partition(".")[0].partition("[")[0]
        return any(path in party.words or section in party.words for party in self._parties)


def _signature(file: Path) -> Signature:
    """What changes when the file does. None where there is no file, or a pipe, which can be read only once."""
    try:
        status = file.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def _changes(old: Config, new: Config) -> Iterator[str]:
    """The key paths of what differs; no values."""
    before, after = old.model_dump(), new.model_dump()
    for section, value in after.items():
        yield from _differences(section, before[section], value)


def _differences(path: str, old: Any, new: Any) -> Iterator[str]:
    """As deep as server.listen and token[0].signers."""
    if old == new:
        return
    if isinstance(new, dict) and path.count(".") == 0:
        for word, value in new.items():
            yield from _differences(f"{path}.{word}", old[word], value)
    elif isinstance(new, list) and "." not in path and len(old) == len(new):
        for index, value in enumerate(new):
            yield from _differences(f"{path}[{index}]", old[index], value)
    else:
        yield path
