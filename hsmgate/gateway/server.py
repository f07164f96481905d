"""`hsmgate serve`: opens the tokens, serves, and ends both in good order."""

import asyncio
import contextlib
import gc
import importlib
import logging
import signal
from collections.abc import AsyncIterator, Sequence

from hsmgate.config import Config
from hsmgate.errors import PinRefused, SignerStartError, TokenMisconfigured
from hsmgate.gateway.audit.opening import audit_log
from hsmgate.gateway.current import Current
from hsmgate.gateway.keyring import Keyring
from hsmgate.gateway.pin import take_variables
from hsmgate.gateway.preflight import check_address, check_inherited, exposed_files
from hsmgate.gateway.reload import Reloader
from hsmgate.gateway.service_manager import ServiceManager, take_sockets
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.supervisor import Supervisor
from hsmgate.gateway.tls import Tls

log = logging.getLogger(__name__)

COLLECT_AFTER_OBJECTS = 20_000
"""New objects that hold others, after which the garbage collector looks through the new ones."""


async def serve(config: Config, listen: str) -> None:
    """Serve until SIGTERM or SIGINT; what is in flight then is answered first. SIGHUP loads the config anew.

    Prints one line with the address once it can sign. Sockets that a service manager hands over go before `listen`.
    Raises SignerStartError or ConfigError where it cannot start.
    """
    take_variables(token.pin_source for token in config.token)
    manager, inherited = ServiceManager.take(), take_sockets()
    if inherited:
        check_inherited(config, inherited)
    else:
        await check_address(config, listen)
    tls = Tls.of(config)
    for warning in exposed_files(config):
        log.warning("%s", warning)
    stop = asyncio.Event()
    # The HTTP side takes as long to load as a token to open, so both are done at the same time.
    loading = asyncio.create_task(asyncio.to_thread(importlib.import_module, "hsmgate.gateway.listener"))
    async with _signer(config) as signer, audit_log(config, signer) as audit:
        await loading
        from hsmgate.gateway.listener import Listener  # noqa: PLC0415

        listener = Listener(config, signer, audit)
        parties = [*listener.parties, *([tls.party] if tls else [])]
        reloader = Reloader(config, parties, on_done=manager.ready)
        watches: list[asyncio.Task[None]] = []
        try:
            address = await listener.open(listen, inherited, tls)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop.set)
            loop.add_signal_handler(signal.SIGHUP, _reload, reloader, manager)
            watches += [asyncio.create_task(reloader.watch()), asyncio.create_task(manager.reassure())]
            print(f"hsmgate serves on {address}", flush=True)
            manager.ready()
            _spare_the_collector()
            await stop.wait()
            manager.stopping()
            await listener.drain()
        finally:
            for watch in watches:
                watch.cancel()
            await listener.close()


def _reload(reloader: Reloader, manager: ServiceManager) -> None:
    manager.reloading()
    reloader.ask()


def _spare_the_collector() -> None:
    """What is there now stays: do not look through it again for every few hundred objects that requests make.

    A look through everything takes longer than signing does, and would show in the latency.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS)


@contextlib.asynccontextmanager
async def _signer(config: Config) -> AsyncIterator[BatchSigner]:
    """All tokens opened, and their signers ended at the end."""
    keyring = Keyring()
    supervisors = [Supervisor(token, config.folder, keyring.update) for token in config.token]
    try:
        await _start(supervisors)
        yield BatchSigner(keyring, [supervisor.pool for supervisor in supervisors], Current(config.server))
    finally:
        await asyncio.gather(*(supervisor.stop() for supervisor in supervisors))


async def _start(supervisors: Sequence[Supervisor]) -> None:
    """Start the signers of every token. One that cannot be had is waited for, unless there is no other.

    Raises PinRefused, TokenMisconfigured or SignerStartError.
    """
    away: list[tuple[Supervisor, SignerStartError]] = []
    for supervisor in supervisors:
        try:
            await supervisor.start()
        except (PinRefused, TokenMisconfigured) as error:
            raise type(error)(f"token {supervisor.token.name}: {error}") from error
        except SignerStartError as error:
            away.append((supervisor, error))
    for supervisor, reason in away:
        if len(away) == len(supervisors):
            raise SignerStartError(f"token {supervisor.token.name}: {reason}") from reason
        log.error("token %s: %s; it is tried again while the others serve", supervisor.token.name, reason)
        supervisor.start_later()
