"""What PKCS#11's return values mean to a signing gateway.

Numbers and names: PKCS#11 3.2, pkcs11t.h. A class says what is to be done; it is the signer that does it.
"""

from enum import Enum, auto


class Failure(Enum):
    """What kind of failure a return value is, by what helps against it."""

    REFUSED = auto()
    """The token dislikes the request; nothing else is wrong."""
    UNSUPPORTED = auto()
    """The token cannot do this at all."""
    POLICY = auto()
    """The key or the token does not allow it."""
    KEY_GONE = auto()
    """The object handle is dead: the key was deleted, or the login is lost."""
    SESSION_DEAD = auto()
    """Another session may do it."""
    LOGIN_LOST = auto()
    """The process is not logged in any more."""
    TOKEN_GONE = auto()
    """No token in the slot."""
    LIBRARY_DEAD = auto()
    """The module must be loaded afresh."""
    BUSY = auto()
    """The token is out of something that will come back."""
    PIN = auto()
    """The PIN is wrong or used up. Never to be tried again by itself."""
    UNKNOWN = auto()
    """It says only that something failed."""


FATAL = frozenset({Failure.LOGIN_LOST, Failure.TOKEN_GONE, Failure.LIBRARY_DEAD, Failure.PIN})
"""What only a fresh process can mend."""


CKR_OK = 0x00
CKR_SESSION_CLOSED = 0xB0
CKR_SESSION_HANDLE_INVALID = 0xB3
RECONNECTED = frozenset({CKR_SESSION_CLOSED, CKR_SESSION_HANDLE_INVALID})
"""A session that we did not close is gone: somebody reconnected underneath, and object handles may mean other keys."""

CKR_CRYPTOKI_ALREADY_INITIALIZED = 0x191

_TABLE: dict[int, tuple[str, Failure]] = {
    0x02: ("CKR_HOST_MEMORY", Failure.BUSY),
    0x03: ("CKR_SLOT_ID_INVALID", Failure.TOKEN_GONE),
    0x05: ("CKR_GENERAL_ERROR", Failure.UNKNOWN),
    0x06: ("CKR_FUNCTION_FAILED", Failure.UNKNOWN),
    0x07: ("CKR_ARGUMENTS_BAD", Failure.REFUSED),
    0x0A: ("CKR_CANT_LOCK", Failure.BUSY),
    0x10: ("CKR_ATTRIBUTE_READ_ONLY", Failure.REFUSED),
    0x11: ("CKR_ATTRIBUTE_SENSITIVE", Failure.POLICY),
    0x12: ("CKR_ATTRIBUTE_TYPE_INVALID", Failure.REFUSED),
    0x13: ("CKR_ATTRIBUTE_VALUE_INVALID", Failure.REFUSED),
    0x1B: ("CKR_ACTION_PROHIBITED", Failure.POLICY),
    0x20: ("CKR_DATA_INVALID", Failure.REFUSED),
    0x21: ("CKR_DATA_LEN_RANGE", Failure.REFUSED),
    0x30: ("CKR_DEVICE_ERROR", Failure.UNKNOWN),
    0x31: ("CKR_DEVICE_MEMORY", Failure.BUSY),
    0x32: ("CKR_DEVICE_REMOVED", Failure.TOKEN_GONE),
    0x50: ("CKR_FUNCTION_CANCELED", Failure.BUSY),
    0x54: ("CKR_FUNCTION_NOT_SUPPORTED", Failure.UNSUPPORTED),
    0x60: ("CKR_KEY_HANDLE_INVALID", Failure.KEY_GONE),
    0x62: ("CKR_KEY_SIZE_RANGE", Failure.REFUSED),
    0x63: ("CKR_KEY_TYPE_INCONSISTENT", Failure.REFUSED),
    0x65: ("CKR_KEY_CHANGED", Failure.KEY_GONE),
    0x68: ("CKR_KEY_FUNCTION_NOT_PERMITTED", Failure.POLICY),
    0x69: ("CKR_KEY_NOT_WRAPPABLE", Failure.POLICY),
    0x6A: ("CKR_KEY_UNEXTRACTABLE", Failure.POLICY),
    0x70: ("CKR_MECHANISM_INVALID", Failure.UNSUPPORTED),
    0x71: ("CKR_MECHANISM_PARAM_INVALID", Failure.REFUSED),
    0x82: ("CKR_OBJECT_HANDLE_INVALID", Failure.KEY_GONE),
    0x90: ("CKR_OPERATION_ACTIVE", Failure.SESSION_DEAD),
    0x91: ("CKR_OPERATION_NOT_INITIALIZED", Failure.SESSION_DEAD),
    0xA0: ("CKR_PIN_INCORRECT", Failure.PIN),
    0xA1: ("CKR_PIN_INVALID", Failure.PIN),
    0xA2: ("CKR_PIN_LEN_RANGE", Failure.PIN),
    0xA3: ("CKR_PIN_EXPIRED", Failure.PIN),
    0xA4: ("CKR_PIN_LOCKED", Failure.PIN),
    0xB0: ("CKR_SESSION_CLOSED", Failure.SESSION_DEAD),
    0xB1: ("CKR_SESSION_COUNT", Failure.BUSY),
    0xB3: ("CKR_SESSION_HANDLE_INVALID", Failure.SESSION_DEAD),
    0xB4: ("CKR_SESSION_PARALLEL_NOT_SUPPORTED", Failure.UNSUPPORTED),
    0xB5: ("CKR_SESSION_READ_ONLY", Failure.POLICY),
    0xB7: ("CKR_SESSION_READ_ONLY_EXISTS", Failure.BUSY),
    0xD0: ("CKR_TEMPLATE_INCOMPLETE", Failure.REFUSED),
    0xD1: ("CKR_TEMPLATE_INCONSISTENT", Failure.REFUSED),
    0xE0: ("CKR_TOKEN_NOT_PRESENT", Failure.TOKEN_GONE),
    0xE1: ("CKR_TOKEN_NOT_RECOGNIZED", Failure.TOKEN_GONE),
    0xE2: ("CKR_TOKEN_WRITE_PROTECTED", Failure.POLICY),
    0x100: ("CKR_USER_ALREADY_LOGGED_IN", Failure.UNKNOWN),
    0x101: ("CKR_USER_NOT_LOGGED_IN", Failure.LOGIN_LOST),
    0x102: ("CKR_USER_PIN_NOT_INITIALIZED", Failure.PIN),
    0x103: ("CKR_USER_TYPE_INVALID", Failure.PIN),
    0x104: ("CKR_USER_ANOTHER_ALREADY_LOGGED_IN", Failure.PIN),
    0x105: ("CKR_USER_TOO_MANY_TYPES", Failure.PIN),
    0x130: ("CKR_DOMAIN_PARAMS_INVALID", Failure.REFUSED),
    0x140: ("CKR_CURVE_NOT_SUPPORTED", Failure.UNSUPPORTED),
    0x150: ("CKR_BUFFER_TOO_SMALL", Failure.SESSION_DEAD),
    0x190: ("CKR_CRYPTOKI_NOT_INITIALIZED", Failure.LIBRARY_DEAD),
    CKR_CRYPTOKI_ALREADY_INITIALIZED: ("CKR_CRYPTOKI_ALREADY_INITIALIZED", Failure.UNKNOWN),
    0x1A0: ("CKR_MUTEX_BAD", Failure.LIBRARY_DEAD),
    0x1A1: ("CKR_MUTEX_NOT_LOCKED", Failure.LIBRARY_DEAD),
    0x1B6: ("CKR_FIPS_SELF_TEST_FAILED", Failure.LIBRARY_DEAD),
    0x1B7: ("CKR_LIBRARY_LOAD_FAILED", Failure.LIBRARY_DEAD),
    0x1B8: ("CKR_PIN_TOO_WEAK", Failure.PIN),
    0x1B9: ("CKR_PUBLIC_KEY_INVALID", Failure.REFUSED),
    0x200: ("CKR_FUNCTION_REJECTED", Failure.POLICY),
    0x201: ("CKR_TOKEN_RESOURCE_EXCEEDED", Failure.BUSY),
    0x202: ("CKR_OPERATION_CANCEL_FAILED", Failure.SESSION_DEAD),
    0x203: ("CKR_KEY_EXHAUSTED", Failure.POLICY),
    0x207: ("CKR_OPERATION_NOT_VALIDATED", Failure.POLICY),
    0x208: ("CKR_TOKEN_NOT_INITIALIZED", Failure.TOKEN_GONE),
    0x209: ("CKR_PARAMETER_SET_NOT_SUPPORTED", Failure.UNSUPPORTED),
}


def ckr_name(ckr: int) -> str:
    """The CKR_… name, or the number where there is none (vendors' own codes)."""
    entry = _TABLE.get(ckr)
    return entry[0] if entry else f"CKR 0x{ckr:08X}"


def classify(ckr: int) -> Failure:
    """The class of a return value; UNKNOWN for what the standard does not name."""
    entry = _TABLE.get(ckr)
    return entry[1] if entry else Failure.UNKNOWN
