"""The audit log, from the start of a gateway to its end."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

from hsmgate.config import Config
from hsmgate.domain.audit.records import Close, time_text
from hsmgate.errors import AuditError, ConfigError
from hsmgate.gateway.audit.chain import Chain
from hsmgate.gateway.audit.files import ChainFile
from hsmgate.gateway.audit.heads import Heads, find_head_key
from hsmgate.gateway.audit.log import AuditLog
from hsmgate.gateway.keyring import Keyring
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.vital import Vital

log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def audit_log(config: Config, signer: BatchSigner, vital: Vital) -> AsyncIterator[AuditLog | None]:
    """The log that the config asks for, begun with a signed head and closed with one; None where it asks for none.

    vital: for what goes on while it is written.
    Raises ConfigError where it cannot be written, or its heads cannot be signed.
    """
    section = config.audit
    if section is None:
        yield None
        return
    chain = None
    try:
        key = None if section.head_key is None else find_head_key(signer.keyring, section.head_key)
        folder = _make_folder(config.path(section.folder))
        chain = Chain(folder, section.rotate_size, key.kid if key else None, withhold=section.when_full == "refuse")
        heads = None if key is None else Heads(chain, signer, key, section.head_interval)
        if heads is not None:
            await heads.sign()
    except OSError as error:
        raise _cannot_write(error) from None
    except AuditError as error:
        if chain is not None:
            chain.close()
        raise _cannot_sign(error) from None
    audit = AuditLog(chain, section, heads)
    tasks = [vital.start(audit.keep(), "looking after the audit log")]
    if heads is not None:
        tasks.append(vital.start(heads.keep(), "signing the audit log's heads"))
    try:
        yield audit
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _close(audit, heads)


async def _close(audit: AuditLog, heads: Heads | None) -> None:
    """The last line but one says that nothing is missing, the last is signed."""
    if not audit.chain.append(Close(time=time_text(time.time()))):
        log.error("the audit log could not be closed: its end is not on record")
    elif heads is not None:
        try:
            await heads.sign()
        except AuditError as error:
            log.error("the audit log's last head is not signed: %s", error)
    await audit.close()


def check_audit(config: Config, keyring: Keyring) -> None:
    """Raise ConfigError where `audit_log` would, as far as can be told without signing."""
    if config.audit is None:
        return
    try:
        ChainFile(_make_folder(config.path(config.audit.folder)) / f".check-{secrets.token_hex(8)}").discard()
        if config.audit.head_key is not None:
            find_head_key(keyring, config.audit.head_key)
    except OSError as error:
        raise _cannot_write(error) from None
    except AuditError as error:
        raise _cannot_sign(error) from None


def _make_folder(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _cannot_write(error: OSError) -> ConfigError:
    return ConfigError([f"audit.folder: {error.filename or 'a file in it'}: {error.strerror or error}"])


def _cannot_sign(error: AuditError) -> ConfigError:
    return ConfigError([f"audit.head_key: {error}"])
