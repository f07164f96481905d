"""`hsmgate check`: opens every token once and finds out what is there."""

from pathlib import Path

from hsmgate import config
from hsmgate.errors import ConfigError, SignerStartError
from hsmgate.gateway.audit.opening import check_audit
from hsmgate.gateway.check_report import Report, TokenReport
from hsmgate.gateway.keyring import Keyring
from hsmgate.gateway.pin import take_variables
from hsmgate.gateway.pin_file import PinFile
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.preflight import check_address, exposed_files
from hsmgate.gateway.starts import start_patiently
from hsmgate.gateway.tls import Tls
from hsmgate.ipc.messages import Opened


async def check(loaded: config.Config) -> Report:
    """Each token's slots, keys, capabilities and problems, and whether `serve` would be ready with this config."""
    report = Report()
    keyring = Keyring()
    take_variables(token.pin_source for token in loaded.token)
    await _check_listening(loaded, report)
    for token in loaded.token:
        try:
            opened = await _open(token, loaded.folder)
        except SignerStartError as error:
            report.tokens.append(TokenReport(token.name, str(error)))
            report.good = report.good and not token.required
            continue
        report.tokens.append(TokenReport(token.name, opened))
        keyring.update(TokenPool(token.name, token.sessions, lambda pool, keys: None), opened.keys)
    report.good = report.good and any(isinstance(token.opened, Opened) for token in report.tokens)
    report.problems += keyring.problems()
    try:
        check_audit(loaded, keyring)
    except ConfigError as error:
        report.problems += error.problems
        report.good = False
    return report


async def _check_listening(loaded: config.Config, report: Report) -> None:
    """Note what is wrong with the HTTP side, and with the files of secrets."""
    report.warnings += exposed_files(loaded)
    try:
        await check_address(loaded, loaded.server.listen)
        Tls.of(loaded)
    except ConfigError as error:
        report.listening += error.problems
        report.good = False


async def _open(token: config.Token, folder: Path) -> Opened:
    process = await start_patiently(token, folder, PinFile())
    await process.stop()
    return process.opened
