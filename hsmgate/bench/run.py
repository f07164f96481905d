"""Pools of one size after the other, on one token of the config. No key is made there or taken away."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from hsmgate.bench.load import ItemSource, Load
from hsmgate.bench.rows import Row
from hsmgate.config import Config, Token
from hsmgate.domain.model import KeyInfo
from hsmgate.domain.policy import Grant
from hsmgate.errors import CommandError, PinRefused, SignerStartError, TokenMisconfigured
from hsmgate.gateway.auth import App
from hsmgate.gateway.current import Current
from hsmgate.gateway.keyring import Keyring, is_kid
from hsmgate.gateway.pin import take_variables
from hsmgate.gateway.pin_file import Pins
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.supervisor import Supervisor

FIRST_TIMES = 5
OTHERS_SECONDS = 10.0
"""How long the other signers may take to be there: this, and so many times what the first took, for each of them."""

_BENCH = App("hsmgate bench", "hsmgate bench", Grant.of(["*"], ["sign"]))


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured.

    sizes: signers and sessions of each pool, in this order.
    seconds: for each of them.
    """

    config: Config
    token: Token
    key: str
    hash_name: str | None
    padding: str | None
    sizes: Sequence[tuple[int, int]]
    seconds: float


def choose_token(config: Config, name: str | None) -> Token:
    """The token of that name, or the only one. Raises CommandError."""
    named = [token for token in config.token if name in (None, token.name)]
    if len(named) != 1:
        names = ", ".join(token.name for token in config.token)
        raise CommandError(f"--token: one of {names}")
    return named[0]


async def measure(plan: Plan, on_row: Callable[[Row], None]) -> KeyInfo:
    """Tell of each size when it is measured; return the key. Raises CommandError, SignerStartError or ItemError."""
    take_variables([plan.token.pin_source])
    found: KeyInfo | None = None
    for signers, sessions in plan.sizes:
        token = plan.token.model_copy(update={"signers": signers, "sessions": sessions})
        try:
            async with _pool(plan, token) as (supervisor, keyring, took):
                key = _find(plan, keyring)
                load = Load(
                    BatchSigner(keyring, [supervisor.pool], Current(plan.config.server)),
                    ItemSource(key, plan.hash_name, plan.padding),
                    _BENCH,
                )
                if found is None:
                    await load.sign_one()
                found = key
                on_row(await _row(load, supervisor, token, took, plan.seconds))
        except (PinRefused, TokenMisconfigured):
            raise
        except SignerStartError as error:
            if found is None:
                raise
            on_row(Row(signers, sessions, failed=str(error)))
    if found is None:
        raise CommandError("nothing was to be measured")
    return found


@contextlib.asynccontextmanager
async def _pool(plan: Plan, token: Token) -> AsyncIterator[tuple[Supervisor, Keyring, float]]:
    """Its first signer is there, which took so many seconds."""
    keyring = Keyring()
    supervisor = Supervisor(token, plan.config.folder, keyring.update, Pins())
    started = time.monotonic()
    try:
        await supervisor.start()
        yield supervisor, keyring, time.monotonic() - started
    finally:
        await supervisor.stop()


async def _row(load: Load, supervisor: Supervisor, token: Token, first_seconds: float, seconds: float) -> Row:
    signers = supervisor.pool.signers
    end = time.monotonic() + (OTHERS_SECONDS + FIRST_TIMES * first_seconds) * token.signers
    while len(signers) < token.signers and supervisor.pool.fault is None and time.monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.02)  # a pool tells nobody of a signer that joins it
    if len(signers) < token.signers:
        return Row(token.signers, token.sessions, failed=f"only {len(signers)} of its signers could be started")
    before = {signer.process.pid for signer in signers}
    figures = await load.measure(token.signers * token.sessions, seconds)
    failed = None
    if figures.failed:
        failed = f"{figures.failed} items failed: {figures.reason}"
    elif before != {signer.process.pid for signer in signers}:
        failed = "a signer died"
    return Row(token.signers, token.sessions, figures.items_per_second, figures.median_ms, figures.p99_ms, failed)


def _find(plan: Plan, keyring: Keyring) -> KeyInfo:
    """The key. Raises ItemError, or CommandError for the one that signs audit logs, and nothing else."""
    found = keyring.by_kid(plan.key, _BENCH) if is_kid(plan.key) else keyring.by_name(plan.key, _BENCH)
    audit = plan.config.audit
    if audit is not None and audit.head_key in (found.info.kid, found.info.name):
        raise CommandError("--key: it signs the heads of the audit log, and nothing else")
    return found.info
