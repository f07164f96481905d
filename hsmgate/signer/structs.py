"""The C structures of PKCS#11 that we fill or read (PKCS#11 3.2, section 3 and pkcs11t.h)."""

import ctypes

from hsmgate.domain.plans import ContextParameter, EddsaParameter, Parameter, PssParameter

ULONG = ctypes.c_ulong


class Mechanism(ctypes.Structure):
    """CK_MECHANISM. Made by `mechanism`, which keeps the parameter alive."""

    _fields_ = (("mechanism", ULONG), ("pParameter", ctypes.c_void_p), ("ulParameterLen", ULONG))


class Attribute(ctypes.Structure):
    """CK_ATTRIBUTE."""

    _fields_ = (("type", ULONG), ("pValue", ctypes.c_void_p), ("ulValueLen", ULONG))


class SessionInfo(ctypes.Structure):
    """CK_SESSION_INFO."""

    _fields_ = (("slotID", ULONG), ("state", ULONG), ("flags", ULONG), ("ulDeviceError", ULONG))


class TokenState(ctypes.Structure):
    """CK_TOKEN_INFO, of which only the names and the flags are read."""

    _fields_ = (
        *(("label", ctypes.c_char * 32), ("manufacturerID", ctypes.c_char * 32)),
        *(("model", ctypes.c_char * 16), ("serialNumber", ctypes.c_char * 16)),
        ("flags", ULONG),
        ("counts", ULONG * 10),
        *(("hardwareVersion", ctypes.c_ubyte * 2), ("firmwareVersion", ctypes.c_ubyte * 2)),
        ("utcTime", ctypes.c_char * 16),
    )


class InitializeArgs(ctypes.Structure):
    """CK_C_INITIALIZE_ARGS."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("CreateMutex", "DestroyMutex", "LockMutex", "UnlockMutex")),
        ("flags", ULONG),
        ("pReserved", ctypes.c_char_p),
    )


def mechanism(number: int, parameter: Parameter = None) -> Mechanism:
    """A CK_MECHANISM with its parameter, which lives as long as the struct."""
    made = Mechanism(number, None, 0)
    if parameter is not None:
        packed = _pack(parameter)
        # Attributes of ours, beside the C fields: they keep what is pointed to.
        made.parameter = packed
        made.pParameter, made.ulParameterLen = ctypes.addressof(packed), ctypes.sizeof(packed)
    return made


def _pack(parameter: PssParameter | EddsaParameter | ContextParameter) -> ctypes.Structure:
    match parameter:
        case PssParameter(digest, mgf, salt_size):
            return _PssParams(digest, mgf, salt_size)
        case EddsaParameter(prehash):
            return _EddsaParams(prehash, 0, None)
        case ContextParameter(hedge, context, digest):
            packed = _SignContext() if digest is None else _HashSignContext(hash=digest)
            packed.hedge = hedge
            if context:
                packed.keep = ctypes.create_string_buffer(context, len(context))
                packed.context, packed.size = ctypes.addressof(packed.keep), len(context)
            return packed


class _PssParams(ctypes.Structure):
    """CK_RSA_PKCS_PSS_PARAMS."""

    _fields_ = (("hashAlg", ULONG), ("mgf", ULONG), ("sLen", ULONG))


class _EddsaParams(ctypes.Structure):
    """CK_EDDSA_PARAMS."""

    _fields_ = (("phFlag", ctypes.c_ubyte), ("ulContextDataLen", ULONG), ("pContextData", ctypes.c_void_p))


class _SignContext(ctypes.Structure):
    """CK_SIGN_ADDITIONAL_CONTEXT."""

    _fields_ = (("hedge", ULONG), ("context", ctypes.c_void_p), ("size", ULONG))


class _HashSignContext(ctypes.Structure):
    """CK_HASH_SIGN_ADDITIONAL_CONTEXT."""

    _fields_ = (*_SignContext._fields_, ("hash", ULONG))
