"""`hsmgate serve`: opens the tokens, listens, and stops in good order."""

import asyncio
import contextlib
import gc
import logging
import signal
import ssl
from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from hsmgate.config import Config
from hsmgate.errors import ConfigError, PinRefused, SignerStartError, TokenMisconfigured
from hsmgate.gateway.app import make_app
from hsmgate.gateway.connections import CONNECTIONS
from hsmgate.gateway.keyring import Keyring
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.supervisor import Supervisor

log = logging.getLogger(__name__)

LAST_SECONDS = 1.0
"""For what is still in flight when the time to drain is up: its errors are sent, the rest is cut off."""

COLLECT_AFTER_OBJECTS = 20_000
"""New objects that hold others, after which the garbage collector looks through the new ones."""

LINGER_SECONDS = 2.0
"""For who is still sending when it has its answer, to see it before the connection ends."""

KEEPALIVE_SECONDS = 120.0
"""Clients that do not retry a POST want the server to be the last to hang up."""


async def serve(config: Config, listen: str) -> None:
    """Serve until SIGTERM or SIGINT; what is in flight then is answered first.

    Prints one line with the address once it can sign. Raises SignerStartError or ConfigError where it cannot start.
    """
    logging.getLogger("aiohttp.server").addFilter(_without_traceback)
    tls = _tls(config)
    stop = asyncio.Event()
    async with _signer(config) as signer:
        app = make_app(config, signer)
        runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=KEEPALIVE_SECONDS,
            shutdown_timeout=LAST_SECONDS,
            lingering_time=LINGER_SECONDS,
            handler_cancellation=True,  # nobody waits for what a caller asked who has gone
        )
        await runner.setup()
        try:
            address = await _listen(runner, listen, tls)
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            print(f"hsmgate serves on {address}", flush=True)
            _spare_the_collector()
            watch = asyncio.create_task(app[CONNECTIONS].watch(_server_of(runner)))
            await stop.wait()
            watch.cancel()
            await asyncio.gather(*(site.stop() for site in runner.sites))
            await app[CONNECTIONS].drain(config.server.drain_timeout)
            signer.stop()
            await app[CONNECTIONS].drain(LAST_SECONDS)
        finally:
            await runner.cleanup()


def _spare_the_collector() -> None:
    """What is there now stays: do not look through it again for every few hundred objects that requests make.

    A look through everything takes longer than signing does, and would show in the latency.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS)


def _server_of(runner: web.AppRunner) -> web.Server:
    if runner.server is None:
        raise RuntimeError("the runner was not set up")
    return runner.server


def _without_traceback(record: logging.LogRecord) -> bool:
    """What a caller sent stays out of the log: aiohttp's traceback of a malformed request quotes its headers."""
    record.exc_info = None
    return True


@contextlib.asynccontextmanager
async def _signer(config: Config) -> AsyncIterator[BatchSigner]:
    """All tokens opened, and their signers ended at the end."""
    keyring = Keyring()
    supervisors = [Supervisor(token, config.folder, keyring.update) for token in config.token]
    try:
        await _start(supervisors)
        yield BatchSigner(keyring, [supervisor.pool for supervisor in supervisors], config.server)
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


async def _listen(runner: web.AppRunner, listen: str, tls: ssl.SSLContext | None) -> str:
    """Start to listen. Returns the address as a URL, or the socket's path."""
    site: web.BaseSite
    if listen.startswith("unix:"):
        site = web.UnixSite(runner, listen.removeprefix("unix:"), ssl_context=tls)
    else:
        host, _, port = listen.rpartition(":")
        site = web.TCPSite(runner, host.strip("[]"), int(port), ssl_context=tls)
    try:
        await site.start()
    except OSError as error:
        raise ConfigError([f"cannot listen on {listen}: {error.strerror or error}"]) from None
    if listen.startswith("unix:"):
        return listen
    host, port = runner.addresses[0][:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _tls(config: Config) -> ssl.SSLContext | None:
    """The TLS side of the listener, None for plain http. Raises ConfigError."""
    server = config.server
    if server.tls_certificate is None or server.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(config.path(server.tls_certificate), config.path(server.tls_key))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError([f"server.tls_certificate, server.tls_key: {error.strerror or error}"]) from None
    if server.client_ca is not None:
        try:
            context.load_verify_locations(config.path(server.client_ca))
        except (OSError, ssl.SSLError) as error:
            raise ConfigError([f"server.client_ca: {error.strerror or error}"]) from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context
