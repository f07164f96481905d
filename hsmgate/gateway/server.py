"""`hsmgate serve`: opens the tokens, serves, and ends both in good order."""

import asyncio
import contextlib
import gc
import importlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Protocol

import hsmgate
from hsmgate.config import Config
from hsmgate.gateway import logs
from hsmgate.gateway.audit.opening import audit_log
from hsmgate.gateway.loads import Loads
from hsmgate.gateway.pin import take_variables
from hsmgate.gateway.preflight import check_address, check_inherited, exposed_files
from hsmgate.gateway.reload import Party, Reloader, Takeover
from hsmgate.gateway.service_manager import ServiceManager, take_sockets
from hsmgate.gateway.tls import Tls
from hsmgate.gateway.tokens import ALONE, Common, Tokens
from hsmgate.gateway.vital import Vital

log = logging.getLogger(__name__)

COLLECT_AFTER_OBJECTS = 20_000
"""New objects that hold others, after which the garbage collector looks through the new ones."""


STARTING_SECONDS = 1.0
"""How often it is said that tokens are being opened."""


class Overseer(Protocol):
    """Who wants to know how this process is."""

    def starting(self) -> None:
        """It is not ready yet, but at it."""

    def ready(self, address: str) -> None:
        """It can sign, on that address."""

    def reloading(self) -> None:
        """It loads its config again."""

    def reloaded(self) -> None:
        """It has."""

    def took(self, config: Config, waiting: Sequence[str]) -> None:
        """It has taken that config over, but for the key paths that wait for a restart."""

    def stopping(self) -> None:
        """It lets nobody in any more."""

    async def reassure(self) -> None:
        """Give signs of life, for ever."""


async def serve(config: Config, listen: str) -> None:
    """Serve until SIGTERM or SIGINT; what is in flight then is answered first. SIGHUP loads the config anew.

    Prints one line with the address once it can sign. Sockets that a service manager hands over go before `listen`.
    Raises SignerStartError or ConfigError where it cannot start, GatewayBroken where it cannot go on.
    """
    take_variables(token.pin_source for token in config.token)
    manager, inherited = ServiceManager.take(), take_sockets()
    await check_place(config, listen, inherited)
    await serve_on(config, listen, inherited, manager)


async def check_place(config: Config, listen: str, inherited: Sequence[socket.socket]) -> None:
    """Raise ConfigError where nobody should listen there, and warn of files that others may read."""
    if inherited:
        check_inherited(config, inherited)
    else:
        await check_address(config, listen)
    for warning in exposed_files(config):
        log.warning("%s", warning)


async def serve_on(
    config: Config,
    listen: str,
    inherited: Sequence[socket.socket],
    overseer: Overseer,
    *,
    common: Common = ALONE,
    share: Callable[[Config], Config] = lambda config: config,
) -> None:
    """Serve there, as one process of perhaps several, until SIGTERM or SIGINT. Raises GatewayBroken, likewise drained.

    common: what several processes know together.
    share: what of a config is for this one.
    """
    config = share(config)
    tls = Tls.of(config)
    stop = asyncio.Event()
    vital = Vital(stop.set)
    # The HTTP side takes as long to load as a token to open, so both are done at the same time.
    loading = asyncio.create_task(asyncio.to_thread(importlib.import_module, "hsmgate.gateway.listener"))
    async with (
        logs.written_in_a_thread(),
        _meanwhile(asyncio.create_task(overseer.reassure())),
        _tokens(config, common, overseer) as tokens,
        audit_log(config, tokens.signer, vital) as audit,
    ):
        await loading
        from hsmgate.gateway.listener import Listener  # noqa: PLC0415

        loads = Loads()
        listener = Listener(config, tokens.signer, audit, loads, tls)
        parties = [*listener.parties, _LOG, _warnings(config)]
        reloader = Reloader(config, parties, tokens, overseer.reloaded, share, loads=loads, on_taken=overseer.took)
        try:
            address = await listener.open(listen, inherited, vital, common.counts)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop.set)
            loop.add_signal_handler(signal.SIGHUP, _reload, reloader, overseer)
            async with _meanwhile(vital.start(reloader.watch(), "looking after the config")):
                log.info("hsmgate %s serves on %s", hsmgate.__version__, address)
                overseer.ready(address)
                _spare_the_collector()
                await stop.wait()
                overseer.stopping()
                await listener.drain()
        finally:
            await listener.close()
        vital.check()


def _reload(reloader: Reloader, overseer: Overseer) -> None:
    overseer.reloading()
    reloader.ask()


def _spare_the_collector() -> None:
    """What is there now stays: do not look through it again for every few hundred objects that requests make.

    A look through everything takes longer than signing does, and would show in the latency.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS)


@contextlib.asynccontextmanager
async def _meanwhile(task: asyncio.Task[None]) -> AsyncIterator[None]:
    """Have that done until it is left."""
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _say_starting(overseer: Overseer) -> None:
    while True:
        overseer.starting()
        await asyncio.sleep(STARTING_SECONDS)


@contextlib.asynccontextmanager
async def _tokens(config: Config, common: Common, overseer: Overseer) -> AsyncIterator[Tokens]:
    """The tokens opened, those that can be, and their signers ended at the end."""
    tokens = Tokens(config, common)
    try:
        async with _meanwhile(asyncio.create_task(_say_starting(overseer))):
            await tokens.start()
        yield tokens
    finally:
        await tokens.stop()


_LOG = Party(frozenset({"server.log_level"}), lambda loaded: partial(logs.set_level, loaded.server.log_level))


def _warnings(config: Config) -> Party:
    """Warns of the files that a new config names, as at the start."""
    warned = set(exposed_files(config))

    def prepare(loaded: Config) -> Takeover:
        return partial(warn, {*exposed_files(loaded)} - warned)

    def warn(warnings: set[str]) -> None:
        warned.update(warnings)
        for warning in sorted(warnings):
            log.warning("%s", warning)

    return Party(frozenset(), prepare)
