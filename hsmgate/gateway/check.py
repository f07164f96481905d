"""`hsmgate check`: opens every token once and tells what is there."""

from pathlib import Path

from hsmgate import config
from hsmgate.domain.mechanisms import CKM_NAMES
from hsmgate.domain.model import KeyInfo, KeyType
from hsmgate.errors import SignerStartError
from hsmgate.gateway.keyring import Keyring
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.supervisor import start_patiently
from hsmgate.ipc.messages import Keys, Opened


async def check(loaded: config.Config) -> bool:
    """Print each token's slots, keys, capabilities and problems. True if `serve` could start with this config."""
    keyring = Keyring()
    good = True
    for token in loaded.token:
        try:
            opened = await _open(token, loaded.folder)
        except SignerStartError as error:
            print(f"token {token.name}: {error}")
            good = False
            continue
        _print_token(token, opened)
        keyring.update(
            TokenPool(token.name, token.sessions, lambda pool, keys: None), Keys(opened.keys, opened.seconds)
        )
    for problem in keyring.problems():
        print(f"problem: {problem}")
    return good


async def _open(token: config.Token, folder: Path) -> Opened:
    process = await start_patiently(token, folder)
    await process.stop()
    return process.opened


def _print_token(token: config.Token, opened: Opened) -> None:
    print(f"token {token.name}: {opened.library}")
    for slot in opened.slots:
        mark = "*" if slot.chosen else " "
        print(f"  {mark} slot {slot.slot_id}: '{slot.label}', serial {slot.serial}, {slot.manufacturer} {slot.model}")
    for number, name in CKM_NAMES.items():
        print(f"  {'has' if number in opened.mechanisms else 'lacks'} {name}")
    for key in sorted(opened.keys, key=lambda key: (key.name or "", key.kid)):
        problem = _problem(key)
        print(f"  key {key.kid} '{key.name or ''}' {_kind(key)}{f': {problem}' if problem else ''}")


def _kind(key: KeyInfo) -> str:
    return key.curve or f"{key.type.value} {key.bits or ''}".rstrip()


def _problem(key: KeyInfo) -> str | None:
    """Why it cannot be used, None where it can."""
    if not key.may_sign:
        return "it may not sign (CKA_SIGN is false)"
    if key.always_authenticate:
        return "it wants its PIN at every signature (CKA_ALWAYS_AUTHENTICATE)"
    if key.type is KeyType.OTHER or (key.type is KeyType.EC and key.curve is None):
        return "its type or curve is not served"
    return None
