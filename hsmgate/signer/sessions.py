"""Sessions: one that is logged in and stays, and work sessions that come and go.

Login belongs to the process and the token, not to a session (PKCS#11 3.2, section 5.6.6): whoever closes the last
session, or logs out, takes the login from all. So the login session is opened first, never closed, and a work session
knows no PIN. A session is used by one thread at a time.
"""

import ctypes
from collections.abc import Callable, Iterable, Mapping
from typing import Union

from hsmgate.domain.ckr import CKR_OK, Failure, classify
from hsmgate.signer.cryptoki import CryptokiError, Module
from hsmgate.signer.structs import ULONG, Attribute, Mechanism, SessionInfo

CKF_RW_SESSION = 0x02
CKF_SERIAL_SESSION = 0x04
CKU_SO = 0
CKU_USER = 1
CKU_CONTEXT_SPECIFIC = 2
CKS_USER_FUNCTIONS = (1, 3)  # CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS
CKR_ATTRIBUTE_SENSITIVE = 0x11
CKR_ATTRIBUTE_TYPE_INVALID = 0x12
CKR_SIGNATURE_INVALID = 0xC0
CKR_SIGNATURE_LEN_RANGE = 0xC1

_UNAVAILABLE = ULONG(-1).value  # CK_UNAVAILABLE_INFORMATION
_FOUND_AT_ONCE = 512

LARGEST_WRAPPED_KEY = 16 * 1024

AttributeValue = Union[bytes, bool, int, "Template"]
"""A CK_ATTRIBUTE's value: bytes, CK_BBOOL, CK_ULONG, or an array of attributes (CKA_UNWRAP_TEMPLATE)."""

Template = Mapping[int, AttributeValue]
"""Attribute types and values."""


class Session:
    """An open session.

    They are read/write, which every vendor has; read-only ones are not to be had everywhere.

    signing: where C_SignInit and C_Sign are.
    """

    def __init__(self, module: Module, slot_id: int) -> None:
        """Open it. Raises CryptokiError."""
        self._module = module
        handle = ULONG()
        module.check("C_OpenSession", slot_id, CKF_SERIAL_SESSION | CKF_RW_SESSION, None, None, ctypes.byref(handle))
        self.handle = handle.value
        self.signing = module.signing

    def login(self, pin: str) -> None:
        """Log the process in as the token's user. Tries once. Raises CryptokiError."""
        secret = pin.encode()
        self._module.check("C_Login", self.handle, CKU_USER, secret, len(secret))

    def login_to_sign(self, pin: bytearray) -> None:
        """Allow the signature that this session has begun (PKCS#11 3.2, section 5.6.6). Raises CryptokiError."""
        secret = (ctypes.c_char * len(pin)).from_buffer(pin)  # no copy
        self._module.check("C_Login", self.handle, CKU_CONTEXT_SPECIFIC, secret, len(pin))

    def initialise_pin(self, so_pin: str, pin: str) -> None:
        """Set the user PIN of a new token, as its security officer. Raises CryptokiError."""
        officer, user = so_pin.encode(), pin.encode()
        self._module.check("C_Login", self.handle, CKU_SO, officer, len(officer))
        self._module.check("C_InitPIN", self.handle, user, len(user))

    def is_logged_in(self) -> bool:
        """Whether the token's user is logged in. Raises CryptokiError."""
        info = SessionInfo()
        self._module.check("C_GetSessionInfo", self.handle, ctypes.byref(info))
        return info.state in CKS_USER_FUNCTIONS

    def random(self, size: int) -> bytes:
        """Bytes from the token's random number generator. Raises CryptokiError."""
        buffer = ctypes.create_string_buffer(size)
        self._module.check("C_GenerateRandom", self.handle, buffer, size)
        return buffer.raw

    def close(self) -> None:
        """Close it, whatever state it is in. Its failure says nothing that the next session would not say too."""
        self._module.call["C_CloseSession"](self.handle)

    def sign(
        self, key: int, mechanism: Mechanism, data: bytes, size: int, allow: "Callable[[Session], None] | None" = None
    ) -> bytes:
        """The signature of `data`, which will have at most `size` bytes.

        Raises CryptokiError; the session may be of no more use after that.

        allow: what the key wants to be done once a signature has begun. Raises CryptokiError.
        """
        self._module.check("C_SignInit", self.handle, mechanism, key)
        if allow is not None:
            allow(self)
        buffer, length = ctypes.create_string_buffer(size), ULONG(size)
        self._module.check("C_Sign", self.handle, data, len(data), buffer, ctypes.byref(length))
        return buffer.raw[: length.value]

    def verify(self, key: int, mechanism: Mechanism, data: bytes, signature: bytes) -> bool:
        """Whether the token takes that for a signature of `data`. Raises CryptokiError where it cannot tell."""
        self._module.check("C_VerifyInit", self.handle, mechanism, key)
        ckr = self._module.call["C_Verify"](self.handle, data, len(data), signature, len(signature))
        if ckr not in (CKR_OK, CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE):
            raise CryptokiError("C_Verify", ckr)
        return ckr == CKR_OK

    def find(self, template: Template) -> list[int]:
        """The handles of all objects that match, each once. Raises CryptokiError."""
        attributes = _pack(template)
        self._module.check("C_FindObjectsInit", self.handle, attributes, len(attributes))
        found: dict[int, None] = {}  # some tokens give one object twice
        handles, count = (ULONG * _FOUND_AT_ONCE)(), ULONG()
        try:
            while True:
                self._module.check("C_FindObjects", self.handle, handles, _FOUND_AT_ONCE, ctypes.byref(count))
                if not count.value:
                    break
                found.update(dict.fromkeys(handles[: count.value]))
        finally:
            self._module.call["C_FindObjectsFinal"](self.handle)
        return list(found)

    def read_all(self, template: Template, types: tuple[int, ...]) -> list[tuple[int, dict[int, bytes]]]:
        """The handles and attributes of all objects that match, without what is deleted while we read.

        Raises CryptokiError.
        """
        objects: list[tuple[int, dict[int, bytes]]] = []
        for handle in self.find(template):
            try:
                objects.append((handle, self.read(handle, types)))
            except CryptokiError as error:
                if classify(error.ckr) is not Failure.KEY_GONE:
                    raise
        return objects

    def create(self, template: Template) -> int:
        """The handle of a new object. Raises CryptokiError."""
        handle = ULONG()
        self._module.check("C_CreateObject", self.handle, _pack(template), len(template), ctypes.byref(handle))
        return handle.value

    def set(self, handle: int, template: Template) -> None:
        """Change an object's attributes. Raises CryptokiError."""
        self._module.check("C_SetAttributeValue", self.handle, handle, _pack(template), len(template))

    def destroy(self, handle: int) -> None:
        """Destroy an object. Raises CryptokiError."""
        self._module.check("C_DestroyObject", self.handle, handle)

    def generate_key(self, mechanism: Mechanism, template: Template) -> int:
        """The handle of a new secret key. Raises CryptokiError."""
        handle = ULONG()
        at = ctypes.byref(handle)
        self._module.check("C_GenerateKey", self.handle, mechanism, _pack(template), len(template), at)
        return handle.value

    def generate_key_pair(self, mechanism: Mechanism, public: Template, private: Template) -> tuple[int, int]:
        """The handles of a new public and private key. Raises CryptokiError."""
        public_key, private_key = ULONG(), ULONG()
        self._module.check(
            "C_GenerateKeyPair",
            *(self.handle, mechanism),
            *(_pack(public), len(public), _pack(private), len(private)),
            *(ctypes.byref(public_key), ctypes.byref(private_key)),
        )
        return public_key.value, private_key.value

    def wrap(self, mechanism: Mechanism, wrapping_key: int, key: int) -> bytes:
        """The key, encrypted. Raises CryptokiError."""
        buffer, size = ctypes.create_string_buffer(LARGEST_WRAPPED_KEY), ULONG(LARGEST_WRAPPED_KEY)
        self._module.check("C_WrapKey", self.handle, mechanism, wrapping_key, key, buffer, ctypes.byref(size))
        return buffer.raw[: size.value]

    def unwrap(self, mechanism: Mechanism, wrapping_key: int, wrapped: bytes, template: Template) -> int:
        """The handle of the key that was wrapped. Raises CryptokiError."""
        handle = ULONG()
        self._module.check(
            "C_UnwrapKey",
            *(self.handle, mechanism, wrapping_key, wrapped, len(wrapped)),
            *(_pack(template), len(template), ctypes.byref(handle)),
        )
        return handle.value

    def read(self, handle: int, types: Iterable[int]) -> dict[int, bytes]:
        """The attributes of those types that the object has and shows. Raises CryptokiError."""
        wanted = [Attribute(type_, None, 0) for type_ in types]
        wanted = self._get(handle, wanted)
        buffers = []
        for attribute in wanted:
            buffer = ctypes.create_string_buffer(max(attribute.ulValueLen, 1))
            attribute.pValue = ctypes.addressof(buffer)
            buffers.append(buffer)
        shown = self._get(handle, wanted) if wanted else []
        return {a.type: ctypes.string_at(a.pValue, a.ulValueLen) for a in shown}

    def _get(self, handle: int, attributes: list[Attribute]) -> list[Attribute]:
        """C_GetAttributeValue, and those of the attributes that it could serve."""
        array = (Attribute * len(attributes))(*attributes)
        ckr = self._module.call["C_GetAttributeValue"](self.handle, handle, array, len(array))
        if ckr not in (CKR_OK, CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID):
            raise CryptokiError("C_GetAttributeValue", ckr)
        return [attribute for attribute in array if attribute.ulValueLen != _UNAVAILABLE]


def _pack(template: Template) -> "ctypes.Array[Attribute]":
    """A template as C has it. It keeps the buffers that it points into."""
    array = (Attribute * len(template))()
    keep = []
    for attribute, (type_, value) in zip(array, template.items(), strict=True):
        packed = _pack_value(value)
        keep.append(packed)
        attribute.type, attribute.pValue, attribute.ulValueLen = type_, ctypes.addressof(packed), ctypes.sizeof(packed)
    array.keep = keep  # type: ignore[attr-defined]
    return array


def _pack_value(value: AttributeValue) -> "ctypes.Array[Attribute] | ctypes.Array[ctypes.c_char]":
    if isinstance(value, Mapping):
        return _pack(value)
    if isinstance(value, bool):
        value = b"\x01" if value else b"\x00"
    elif isinstance(value, int):
        value = bytes(ULONG(value))
    return ctypes.create_string_buffer(value, len(value))
