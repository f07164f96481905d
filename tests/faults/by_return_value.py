"""Return values of the module: each class of hsmgate/domain/ckr.py, as tokens bring it about."""

from hsmgate.domain.ckr import ckr_name
from tests.faults.fault import Fault, by_rules

SOME = "p=0.05"


def _returns(ckr: int, what: str, *rules: str, back_off: bool = False) -> Fault:
    """The fault that a rule with that value makes; `{}` stands for the value."""
    lines = [rule.format(f"{ckr:#x}") for rule in rules]
    return Fault(
        ckr_name(ckr), f"{what[0].upper()}{what[1:]} (`{'`, `'.join(lines)}`).", by_rules(*lines), back_off=back_off
    )


_ALL_CALLS_FAIL = "every call fails for 2 s"
_TOKEN_IS_OUT = "every call fails until the token is back after 2 s"

FAULTS = (
    # bad request
    _returns(0x21, "the data is refused in 5 % of the signatures", f"C_Sign rv {{}} {SOME}"),
    _returns(0x07, "the arguments are refused in 5 % of the signatures", f"C_Sign rv {{}} {SOME}"),
    # unsupported
    _returns(0x70, "the mechanism is refused in 5 % of the signatures", f"C_SignInit rv {{}} {SOME}"),
    # policy
    _returns(0x68, "the key may not sign, in 5 % of the signatures", f"C_SignInit rv {{}} {SOME}"),
    # key gone
    _returns(0x82, "object handles are invalid for 2 s", "C_SignInit rv {}"),
    _returns(0x60, "key handles are invalid in 5 % of the signatures", f"C_SignInit rv {{}} {SOME}"),
    # session dead
    _returns(0xB3, "session handles are invalid in 5 % of the signatures", f"C_SignInit rv {{}} {SOME}"),
    _returns(0xB0, "sessions are closed in the middle of 5 % of the signatures", f"C_Sign rv {{}} {SOME}"),
    _returns(0x90, "an operation is active already, in 5 % of the signatures", f"C_SignInit rv {{}} {SOME}"),
    _returns(0x91, "the operation is gone in 5 % of the signatures", f"C_Sign rv {{}} {SOME}"),
    # login lost
    _returns(0x101, "nobody is logged in, says every signature for 2 s", "C_SignInit rv {}"),
    # token gone
    _returns(0xE0, _TOKEN_IS_OUT, "* rv {}", back_off=True),
    _returns(0x32, _TOKEN_IS_OUT, "* rv {}", back_off=True),
    # library dead
    _returns(0x190, "both signers' libraries are not initialised any more", "C_SignInit rv {} until=finalize count=2"),
    # busy
    _returns(0xB1, "no session is to be had for 2 s", "C_OpenSession rv {}", f"C_Sign rv 0xb0 {SOME}", back_off=True),
    _returns(0x31, "the token is out of memory in 20 % of the signatures", "C_Sign rv {} p=0.2"),
    _returns(0x02, "the host is out of memory in 20 % of the signatures", "C_Sign rv {} p=0.2"),
    # unknown
    _returns(0x05, _ALL_CALLS_FAIL, "* rv {}", back_off=True),
    _returns(0x30, _ALL_CALLS_FAIL, "* rv {}", back_off=True),
    _returns(0x06, "5 % of the signatures fail", f"C_Sign rv {{}} {SOME}"),
    _returns(0x80000001, "a vendor's own value in 5 % of the signatures", f"C_Sign rv {{}} {SOME}"),
    Fault(
        "1 % CKR_GENERAL_ERROR",
        "One signature in a hundred fails (`C_Sign rv 0x5 p=0.01`).",
        by_rules("C_Sign rv 0x5 p=0.01"),
        seconds=4,
    ),
)
