"""Initialise the NSS token of softhsm/nss.sh: nss_pin.py DIR.

NSS makes its database when it starts. A new one takes an empty PIN for its security officer's, once.
"""

import secrets
import sys
from pathlib import Path

from hsmgate.signer.cryptoki import Module
from hsmgate.signer.sessions import Session

folder = Path(sys.argv[1])
module = Module(
    str(folder / "lib" / "libsoftokn3.so"),
    f"configdir='sql:{folder}/db' certPrefix='' keyPrefix='' secmod='secmod.db' flags=",
)
# The other slot, NSS Generic Crypto Services, counts as initialised: it has no PIN and keeps nothing.
(slot,) = module.free_slots()
pin = secrets.token_hex(16)
Session(module, slot.slot_id).initialise_pin("", pin)

unfinished = folder / "pin.new"
unfinished.touch(mode=0o600)
unfinished.write_text(pin)
unfinished.replace(folder / "pin")
