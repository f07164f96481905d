"""A config file that changes while the gateway serves: noticed, checked in full, taken over at once or not at all."""

import asyncio
import logging
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from hsmgate.config import Config
from hsmgate.errors import ConfigError
from hsmgate.gateway.loads import Loads

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
    unable: whether a config's part is beyond what can be taken while serving, so that it needs a restart.
    """

    words: frozenset[str]
    prepare: Callable[[Config], Takeover]
    unable: Callable[[Config], bool] = lambda config: False


class SlowParty(Protocol):
    """A party that takes long to prepare, and is asked when all others agree."""

    words: frozenset[str]

    async def prepare(self, config: Config) -> Takeover:
        """As a Party's, in the event loop. Cancelled, it may keep what it has begun for the next config."""

    async def give_up(self) -> None:
        """The config is not taken over: undo what was begun for it."""


@dataclass(frozen=True, slots=True)
class _New:
    """A config that all parties agree to, what takes it over, and the key paths that changed and that must wait."""

    config: Config
    takeovers: Sequence[Takeover]
    changed: Sequence[str]
    waiting: Sequence[str]


class Reloader:
    """Tells the parties when the config's file has changed. What none of them goes by needs a restart, and is named."""

    def __init__(
        self,
        config: Config,
        parties: Sequence[Party],
        slow: SlowParty | None = None,
        on_done: Callable[[], None] = lambda: None,
        share: Callable[[Config], Config] = lambda config: config,
        *,
        loads: Loads | None = None,
        on_taken: Callable[[Config, Sequence[str]], None] = lambda config, waiting: None,
    ) -> None:
        """on_done: called when a load that was asked for is over, whether or not it was taken over.

        share: what of a config is for this process.
        loads: where it is noted what has come of it.
        on_taken: called with a config that was taken over, and the key paths of what in it waits for a restart.
        """
        self._started = config
        self._config = config
        self._parties = parties
        self._slow = slow
        self._on_done = on_done
        self._share = share
        self._loads = loads or Loads()
        self._on_taken = on_taken
        self._wanted = asyncio.Event()
        self._requests = 0
        self._loaded: Signature = None

    def ask(self) -> None:
        """Load the file now, changed or not, and have every party take it: what it names may have changed.

        Those who ask while another load is under way share the next.
        """
        self._requests += 1
        self._wanted.set()

    async def watch(self) -> None:
        """Load the file when somebody asks or it has changed, for ever."""
        looking = asyncio.create_task(self._look())
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                await self._load()
        finally:
            looking.cancel()

    async def _look(self) -> None:
        """Look at the file, for ever. The first look has it loaded: it may have changed since it was read at start."""
        before: Signature = None
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = await asyncio.to_thread(_signature, self._config.file)
            if now == before and now != self._loaded:
                self._wanted.set()
            before = now

    async def _load(self) -> None:
        """Load the file, for all who have asked up to now."""
        requests, self._requests = self._requests, 0
        if not await self._load_for(requests):
            self._requests += requests
        elif requests:
            self._on_done()

    async def _load_for(self, requests: int) -> bool:
        """Whether it is over; else a newer config goes before it."""
        self._loaded = await asyncio.to_thread(_signature, self._config.file)
        problems: Sequence[str] = ()
        new: _New | None = None
        try:
            new = await asyncio.to_thread(self._prepare, asked=requests > 0)
            slowly = await self._prepare_slowly(new.config) if new else _nothing
        except ConfigError as error:
            problems = error.problems
        except Exception as error:  # noqa: BLE001 - whatever it is, the old config serves on
            problems = (type(error).__name__,)  # its own text may quote the file
        else:
            if slowly is None:
                return False
            if new is not None:
                self._take(new, slowly, requests)
                return True
        if self._slow is not None:
            await self._slow.give_up()
        if problems:
            self._loads.refuse(problems)
        else:
            self._loads.hold()
        for problem in problems:
            log.error("the config is not taken over%s: %s", _for_all(requests), problem)
        return True

    async def _prepare_slowly(self, config: Config) -> Takeover | None:
        """What the slow party is to do; None where meanwhile the next load is wanted. Raises ConfigError."""
        if self._slow is None:
            return _nothing
        prepared = asyncio.ensure_future(self._slow.prepare(config))
        wanted = asyncio.ensure_future(self._wanted.wait())
        try:
            await asyncio.wait((prepared, wanted), return_when=asyncio.FIRST_COMPLETED)
            return prepared.result() if prepared.done() else None
        finally:
            prepared.cancel()
            wanted.cancel()
            await asyncio.gather(prepared, wanted, return_exceptions=True)

    def _take(self, new: "_New", slowly: Takeover, requests: int) -> None:
        for takeover in (slowly, *new.takeovers):
            takeover()
        self._config = new.config
        self._loads.take()
        self._on_taken(new.config, new.waiting)
        log.info("the config is taken over%s, changed: %s", _for_all(requests), ", ".join(new.changed) or "nothing")
        if new.waiting:
            log.warning("the config has changes that need a restart: %s", ", ".join(new.waiting))

    def _prepare(self, *, asked: bool) -> "_New | None":
        """What is new; None where nothing is and nobody asked. Raises ConfigError with the problems of all parties."""
        file = self._config.file
        if file.exists() and not file.is_file():
            raise ConfigError([f"{file}: not a file that could be read again"])
        config = self._share(Config.load(file))
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
        taken = [party.words for party in self._parties if not party.unable(config)]
        taken += [self._slow.words] if self._slow is not None else []
        waiting = [path for path in _changes(self._started, config) if not any(map(partial(_covers, path), taken))]
        return _New(config, takeovers, changed, waiting)


def in_force(started: Config, new: Config, waiting: Sequence[str]) -> Config:
    """What is in force when a new config was taken over, but for the key paths that wait for a restart."""
    words = (path.removeprefix("server.") for path in waiting if path.startswith("server."))
    server = new.server.model_copy(update={word: getattr(started.server, word) for word in words})
    old_audit = any(path.partition(".")[0] == "audit" for path in waiting)
    return new.model_copy(update={"server": server, "audit": started.audit if old_audit else new.audit})


def _nothing() -> None:
    """Take over nothing."""


def _covers(path: str, words: frozenset[str]) -> bool:
    return path in words or path.partition(".")[0].partition("[")[0] in words


def _for_all(requests: int) -> str:
    """How many asked for it, where that were several at once."""
    return f" for {requests} requests" if requests > 1 else ""


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
