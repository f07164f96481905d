"""The module: loading it, finding its token, and calling it.

python-pkcs11 loads the module and lists its slots. Everything that needs a session is called directly, through the
function list, because a gateway needs what python-pkcs11 does not give: the numeric return value of every call,
C_GetSessionInfo, one C_Sign per signature into a buffer of the right size, and templates that cannot fail halfway.
Calls release the GIL.

Functions: PKCS#11 3.2, section 5 and pkcs11f.h.
"""

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import pkcs11
from pkcs11 import _pkcs11

from hsmgate.domain.ckr import CKR_CRYPTOKI_ALREADY_INITIALIZED, CKR_OK, ckr_name
from hsmgate.domain.uri import TokenInfo
from hsmgate.signer.structs import ULONG, Attribute, InitializeArgs, Mechanism, SessionInfo, TokenState

CKF_OS_LOCKING_OK = 0x02


class CryptokiError(Exception):
    """A PKCS#11 function returned something else than CKR_OK."""

    def __init__(self, function: str, ckr: int) -> None:
        super().__init__(f"{function} gave {ckr_name(ckr)}")
        self.function = function
        self.ckr = ckr


class ModuleError(Exception):
    """The module cannot be loaded or will not start."""


_POINTER = ctypes.c_void_p
_SIZE = ctypes.POINTER(ULONG)

# Every function of CK_FUNCTION_LIST up to the last that we call, in its order; None for those that we do not call.
_FUNCTIONS: dict[str, tuple[Any, ...] | None] = {
    "C_Initialize": (_POINTER,),
    "C_Finalize": None,
    "C_GetInfo": None,
    "C_GetFunctionList": None,
    "C_GetSlotList": None,
    "C_GetSlotInfo": None,
    "C_GetTokenInfo": (ULONG, ctypes.POINTER(TokenState)),
    "C_GetMechanismList": (ULONG, _POINTER, _SIZE),
    "C_GetMechanismInfo": None,
    "C_InitToken": (ULONG, ctypes.c_char_p, ULONG, ctypes.c_char_p),
    "C_InitPIN": (ULONG, ctypes.c_char_p, ULONG),
    "C_SetPIN": None,
    "C_OpenSession": (ULONG, ULONG, _POINTER, _POINTER, _SIZE),
    "C_CloseSession": (ULONG,),
    "C_CloseAllSessions": None,
    "C_GetSessionInfo": (ULONG, ctypes.POINTER(SessionInfo)),
    "C_GetOperationState": None,
    "C_SetOperationState": None,
    "C_Login": (ULONG, ULONG, ctypes.c_char_p, ULONG),
    "C_Logout": None,
    "C_CreateObject": (ULONG, ctypes.POINTER(Attribute), ULONG, _SIZE),
    "C_CopyObject": None,
    "C_DestroyObject": (ULONG, ULONG),
    "C_GetObjectSize": None,
    "C_GetAttributeValue": (ULONG, ULONG, ctypes.POINTER(Attribute), ULONG),
    "C_SetAttributeValue": (ULONG, ULONG, ctypes.POINTER(Attribute), ULONG),
    "C_FindObjectsInit": (ULONG, ctypes.POINTER(Attribute), ULONG),
    "C_FindObjects": (ULONG, _SIZE, ULONG, _SIZE),
    "C_FindObjectsFinal": (ULONG,),
    "C_EncryptInit": None,
    "C_Encrypt": None,
    "C_EncryptUpdate": None,
    "C_EncryptFinal": None,
    "C_DecryptInit": None,
    "C_Decrypt": None,
    "C_DecryptUpdate": None,
    "C_DecryptFinal": None,
    "C_DigestInit": None,
    "C_Digest": None,
    "C_DigestUpdate": None,
    "C_DigestKey": None,
    "C_DigestFinal": None,
    "C_SignInit": (ULONG, ctypes.POINTER(Mechanism), ULONG),
    "C_Sign": (ULONG, ctypes.c_char_p, ULONG, _POINTER, _SIZE),
    "C_SignUpdate": None,
    "C_SignFinal": None,
    "C_SignRecoverInit": None,
    "C_SignRecover": None,
    "C_VerifyInit": (ULONG, ctypes.POINTER(Mechanism), ULONG),
    "C_Verify": (ULONG, ctypes.c_char_p, ULONG, ctypes.c_char_p, ULONG),
    "C_VerifyUpdate": None,
    "C_VerifyFinal": None,
    "C_VerifyRecoverInit": None,
    "C_VerifyRecover": None,
    "C_DigestEncryptUpdate": None,
    "C_DecryptDigestUpdate": None,
    "C_SignEncryptUpdate": None,
    "C_DecryptVerifyUpdate": None,
    "C_GenerateKey": (ULONG, ctypes.POINTER(Mechanism), ctypes.POINTER(Attribute), ULONG, _SIZE),
    "C_GenerateKeyPair": (
        *(ULONG, ctypes.POINTER(Mechanism)),
        *(ctypes.POINTER(Attribute), ULONG, ctypes.POINTER(Attribute), ULONG),
        *(_SIZE, _SIZE),
    ),
    "C_WrapKey": (ULONG, ctypes.POINTER(Mechanism), ULONG, ULONG, _POINTER, _SIZE),
    "C_UnwrapKey": (
        *(ULONG, ctypes.POINTER(Mechanism), ULONG, ctypes.c_char_p, ULONG),
        *(ctypes.POINTER(Attribute), ULONG, _SIZE),
    ),
    "C_DeriveKey": None,
    "C_SeedRandom": None,
    "C_GenerateRandom": (ULONG, _POINTER, ULONG),
}


class _FunctionList(ctypes.Structure):
    """CK_FUNCTION_LIST, as far as we use it."""

    _fields_ = (("version", ctypes.c_ubyte * 2), *((name, _POINTER) for name in _FUNCTIONS))


class _Library(_pkcs11.lib):
    """python-pkcs11's library over a module that is initialised already.

    Its own C_Initialize(NULL) says "single-threaded", and then two threads inside crash the process.
    """

    def initialize(self) -> None:
        """Leave the module as it is."""


class Module:
    """A loaded and initialised module. It is never finalised or unloaded: its process ends instead.

    call: its functions, by their names. signing: where C_SignInit and C_Sign are, for C to call.
    """

    def __init__(self, path: str, init_args: str = "") -> None:
        """Load the module. Raises ModuleError, for the operator to read, where it will not load or start."""
        try:
            self._functions = self._function_list(path)
            self.call = {name: self._bind(name) for name, arguments in _FUNCTIONS.items() if arguments}
            self.signing = (self._functions.C_SignInit, self._functions.C_Sign)
            self._initialize(init_args)
            self._library = _Library(path)  # held for ever: slots and tokens point into it
        except (OSError, AttributeError, pkcs11.PKCS11Error) as error:
            raise ModuleError(f"cannot load {path}: {error}") from error
        except CryptokiError as error:
            raise ModuleError(f"{path} does not start: {error}") from error

    @staticmethod
    def _function_list(path: str) -> _FunctionList:
        functions = ctypes.POINTER(_FunctionList)()
        get_function_list = ctypes.CDLL(path).C_GetFunctionList
        get_function_list.restype = ULONG
        ckr = get_function_list(ctypes.byref(functions))
        if ckr != CKR_OK:
            raise CryptokiError("C_GetFunctionList", ckr)
        return functions.contents

    def _bind(self, name: str) -> Callable[..., int]:
        arguments = _FUNCTIONS[name] or ()
        prototype = ctypes.CFUNCTYPE(ULONG, *arguments)
        function: Callable[..., int] = prototype(getattr(self._functions, name))
        return function

    def _initialize(self, init_args: str) -> None:
        reserved = init_args.encode() or None
        arguments = InitializeArgs(None, None, None, None, CKF_OS_LOCKING_OK, reserved)
        ckr = self.call["C_Initialize"](ctypes.byref(arguments))
        if ckr not in (CKR_OK, CKR_CRYPTOKI_ALREADY_INITIALIZED):
            raise CryptokiError("C_Initialize", ckr)

    @property
    def description(self) -> str:
        """What the module calls itself, with its version."""
        library = self._library
        major, minor = library.library_version
        return f"{library.library_description} {major}.{minor} ({library.manufacturer_id})"

    def tokens(self) -> list[TokenInfo]:
        """All initialised tokens."""
        return [info for info, initialised in self._slots() if initialised]

    def free_slots(self) -> list[TokenInfo]:
        """The slots whose token is not initialised yet."""
        return [info for info, initialised in self._slots() if not initialised]

    def _slots(self) -> Iterator[tuple[TokenInfo, bool]]:
        """Every slot with a token, and whether that is initialised; one that cannot be read is another's trouble."""
        for slot in self._library.get_slots(token_present=True):
            try:
                token = slot.get_token()
            except pkcs11.PKCS11Error:
                continue
            yield _token_info(slot, token), pkcs11.TokenFlag.TOKEN_INITIALIZED in token.flags

    def state(self, slot_id: int) -> TokenState:
        """What the token in a slot says of itself now. Raises CryptokiError."""
        state = TokenState()
        self.check("C_GetTokenInfo", slot_id, ctypes.byref(state))
        return state

    def mechanisms(self, slot_id: int) -> frozenset[int]:
        """The CKM_… numbers that the token lists."""
        count = ULONG()
        self.check("C_GetMechanismList", slot_id, None, ctypes.byref(count))
        numbers = (ULONG * count.value)()
        self.check("C_GetMechanismList", slot_id, numbers, ctypes.byref(count))
        return frozenset(numbers[: count.value])

    def check(self, function: str, *arguments: Any) -> None:
        """Call a function. Raises CryptokiError unless it gives CKR_OK."""
        ckr = self.call[function](*arguments)
        if ckr != CKR_OK:
            raise CryptokiError(function, ckr)


def _token_info(slot: Any, token: Any) -> TokenInfo:
    serial = token.serial
    return TokenInfo(
        slot_id=slot.slot_id,
        slot_description=slot.slot_description,
        label=token.label,
        serial=serial.decode("utf-8", "replace") if isinstance(serial, bytes) else str(serial),
        manufacturer=token.manufacturer_id,
        model=token.model,
    )
