"""Sessions: one that is logged in and stays, and work sessions that come and go.

Login belongs to the process and the token, not to a session (PKCS#11 3.2, section 5.6.6): whoever closes the last
session, or logs out, takes the login from all. So the login session is opened first, never closed, and a work session
knows no PIN. A session is used by one thread at a time.
"""

import ctypes
from collections.abc import Iterable, Mapping

from hsmgate.domain.ckr import CKR_OK
from hsmgate.signer.cryptoki import ULONG, Attribute, CryptokiError, Mechanism, Module, SessionInfo

CKF_RW_SESSION = 0x02
CKF_SERIAL_SESSION = 0x04
CKU_SO = 0
CKU_USER = 1
CKS_USER_FUNCTIONS = (1, 3)  # CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS
CKR_ATTRIBUTE_SENSITIVE = 0x11
CKR_ATTRIBUTE_TYPE_INVALID = 0x12

LARGEST_SIGNATURE = 128 * 1024
"""Bytes: more than any signature mechanism of PKCS#11 3.2 gives."""

_UNAVAILABLE = ULONG(-1).value  # CK_UNAVAILABLE_INFORMATION
_FOUND_AT_ONCE = 512

AttributeValue = bytes | bool | int


class Session:
    """An open session.

    They are read/write, which every vendor has; read-only ones are not to be had everywhere.
    """

    def __init__(self, module: Module, slot_id: int) -> None:
        """Open it. Raises CryptokiError."""
        self._module = module
        handle = ULONG()
        module.check("C_OpenSession", slot_id, CKF_SERIAL_SESSION | CKF_RW_SESSION, None, None, ctypes.byref(handle))
        self.handle = handle.value
        self._sign_init = module.call["C_SignInit"]
        self._sign = module.call["C_Sign"]
        self._signature = ctypes.create_string_buffer(LARGEST_SIGNATURE)
        self._size = ULONG()
        self._size_at = ctypes.byref(self._size)

    def login(self, pin: str) -> None:
        """Log the process in as the token's user. Tries once. Raises CryptokiError."""
        secret = pin.encode()
        self._module.check("C_Login", self.handle, CKU_USER, secret, len(secret))

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

    def close(self) -> None:
        """Close it, whatever state it is in. Its failure says nothing that the next session would not say too."""
        self._module.call["C_CloseSession"](self.handle)

    def sign(self, key: int, mechanism: Mechanism, data: bytes, size: int) -> bytes:
        """The signature of `data`, which will have at most `size` bytes.

        Raises CryptokiError; the session may be of no more use after that.
        """
        ckr = self._sign_init(self.handle, mechanism, key)
        if ckr != CKR_OK:
            raise CryptokiError("C_SignInit", ckr)
        self._size.value = size
        ckr = self._sign(self.handle, data, len(data), self._signature, self._size_at)
        if ckr != CKR_OK:
            raise CryptokiError("C_Sign", ckr)
        return ctypes.string_at(self._signature, self._size.value)

    def find(self, template: Mapping[int, AttributeValue]) -> list[int]:
        """The handles of all objects that match, each once. Raises CryptokiError."""
        attributes, _keep = _pack(template)
        self._module.check("C_FindObjectsInit", self.handle, attributes, len(attributes))
        found: dict[int, None] = {}  # some tokens give one object twice
        handles, count = (ULONG * _FOUND_AT_ONCE)(), ULONG()
        while True:
            self._module.check("C_FindObjects", self.handle, handles, _FOUND_AT_ONCE, ctypes.byref(count))
            if not count.value:
                break
            found.update(dict.fromkeys(handles[: count.value]))
        self._module.check("C_FindObjectsFinal", self.handle)
        return list(found)

    def generate_key_pair(
        self, mechanism: Mechanism, public: Mapping[int, AttributeValue], private: Mapping[int, AttributeValue]
    ) -> tuple[int, int]:
        """The handles of a new public and private key. Raises CryptokiError."""
        public_attributes, _keep_public = _pack(public)
        private_attributes, _keep_private = _pack(private)
        public_key, private_key = ULONG(), ULONG()
        self._module.check(
            "C_GenerateKeyPair",
            *(self.handle, mechanism),
            *(public_attributes, len(public), private_attributes, len(private)),
            *(ctypes.byref(public_key), ctypes.byref(private_key)),
        )
        return public_key.value, private_key.value

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


def _pack(template: Mapping[int, AttributeValue]) -> tuple[ctypes.Array[Attribute], list[object]]:
    """A template as C has it, and the buffers it points into, which must be kept for as long as it is used."""
    buffers = [ctypes.create_string_buffer(raw, len(raw)) for raw in map(_pack_value, template.values())]
    attributes = (Attribute * len(template))(
        *(
            Attribute(type_, ctypes.addressof(buffer), len(buffer))
            for type_, buffer in zip(template, buffers, strict=True)
        )
    )
    return attributes, [*buffers]


def _pack_value(value: AttributeValue) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return b"\x01" if value else b"\x00"
    return bytes(ULONG(value))
