"""`hsmgate check`: opens every token once and tells what is there."""

from collections.abc import Iterator
from pathlib import Path

from hsmgate import config
from hsmgate.domain.capabilities import Capabilities
from hsmgate.domain.ckm import ckm_name
from hsmgate.domain.model import KeyInfo, KeyType
from hsmgate.errors import ConfigError, SignerStartError
from hsmgate.gateway.audit.opening import check_audit
from hsmgate.gateway.keyring import Keyring
from hsmgate.gateway.pin import take_variables
from hsmgate.gateway.pin_file import PinFile
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.preflight import check_address, exposed_files
from hsmgate.gateway.supervisor import start_patiently
from hsmgate.gateway.tls import Tls
from hsmgate.ipc.messages import Opened


async def check(loaded: config.Config) -> bool:
    """Print each token's slots, keys, capabilities and problems. True if `serve` could start with this config."""
    keyring = Keyring()
    take_variables(token.pin_source for token in loaded.token)
    good = await _check_listening(loaded)
    for token in loaded.token:
        try:
            opened = await _open(token, loaded.folder)
        except SignerStartError as error:
            print(f"token {token.name}: {error}")
            good = False
            continue
        _print_token(token, opened)
        keyring.update(TokenPool(token.name, token.sessions, lambda pool, keys: None), opened.keys)
    for problem in keyring.problems():
        print(f"problem: {problem}")
    try:
        check_audit(loaded, keyring)
    except ConfigError as error:
        print(f"problem: {error}")
        good = False
    return good


async def _check_listening(loaded: config.Config) -> bool:
    """Print what is wrong with the HTTP side, and with the files of secrets. True if it could listen."""
    for warning in exposed_files(loaded):
        print(f"warning: {warning}")
    try:
        await check_address(loaded, loaded.server.listen)
        Tls.of(loaded)
    except ConfigError as error:
        print("\n".join(error.problems))
        return False
    return True


async def _open(token: config.Token, folder: Path) -> Opened:
    process = await start_patiently(token, folder, PinFile())
    await process.stop()
    return process.opened


def _print_token(token: config.Token, opened: Opened) -> None:
    print(f"token {token.name}: {opened.library}")
    for slot in opened.slots:
        mark = "*" if slot.chosen else " "
        print(f"  {mark} slot {slot.slot_id}: '{slot.label}', serial {slot.serial}, {slot.manufacturer} {slot.model}")
    _print_capabilities(opened.capabilities)
    for key in sorted(opened.keys.keys, key=lambda key: (key.name or "", key.kid)):
        remark = "; ".join(_remarks(key))
        print(f"  key {key.kid} '{key.name or ''}' {_kind(key)}{f': {remark}' if remark else ''}")


def _print_capabilities(token: Capabilities) -> None:
    """What was shown; of the token's own PSS, with two hashes each, only how much."""
    pss = {name for name in token.shown if name.startswith("RSA PSS")}
    print(f"  {'was seen to do' if token.tried else 'lists'}: {', '.join(sorted(token.shown - pss)) or 'nothing'}")
    both = sum(name.split()[2] == name.split()[4] for name in pss)
    print(f"    its own RSA PSS: {both} hashes with themselves in MGF1, {len(pss) - both} pairs of different ones")
    print(f"  takes as inline keys: {', '.join(sorted(token.inline)) or 'none'}")


def _kind(key: KeyInfo) -> str:
    return (
        key.variant
        if key.type is KeyType.EC and key.variant
        else f"{key.type} {key.bits or key.variant or ''}".rstrip()
    )


def _remarks(key: KeyInfo) -> Iterator[str]:
    """Why it cannot be used, or not like others."""
    if not key.may_sign:
        yield "it may not sign (CKA_SIGN is false)"
    if key.always_authenticate:
        yield "it gets the PIN at every signature (CKA_ALWAYS_AUTHENTICATE)"
    if key.mechanisms is not None:
        names = ", ".join(ckm_name(number) for number in sorted(key.mechanisms))
        yield f"it allows {names} (CKA_ALLOWED_MECHANISMS)"
    if key.type is KeyType.OTHER or (key.type is KeyType.EC and key.variant is None):
        yield "its type or curve is not known here"
