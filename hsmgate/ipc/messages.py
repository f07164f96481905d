"""The messages between the gateway and a signer.

    gateway → signer        signer → gateway
    Open                    Opened | OpenFailed      once, first
    Sign                    Signed | Distrust        in any order, matched by id
    Generate, DeriveSecret,
    Manage, Prove           Made                     likewise
    ListKeys                Keys

A signer that cannot go on answers nothing more and exits; what it held, the gateway knows.
"""

from enum import IntEnum, StrEnum
from typing import TypeVar

import msgspec

from hsmgate.domain.capabilities import Capabilities
from hsmgate.domain.model import KeyInfo, KeyNotes, KeyType, SignParams
from hsmgate.errors import FrameError


class _Message(msgspec.Struct, array_like=True, tag=True):
    """A message; its class name is its tag."""


class Open(_Message):
    """Load the module and log in.

    module, init_args: as in the config, paths made absolute or relative to the signer's working directory.
    uri: the RFC 7512 URI of the token.
    pin: the user PIN; it travels here and nowhere else.
    sessions: work sessions, with a thread each.
    capabilities: what the token was seen to do before; None to try it now.
    verify_always: verify every signature before it leaves, not only those of RSA keys and the first of other keys.
    """

    module: str
    init_args: str
    uri: str
    pin: str
    sessions: int
    capabilities: Capabilities | None
    verify_always: bool = False

    def __repr__(self) -> str:
        return f"Open(module={self.module!r}, uri={self.uri!r})"


class SlotReport(msgspec.Struct, frozen=True, array_like=True):
    """A slot with a token in it, for an operator to read."""

    slot_id: int
    description: str
    label: str
    serial: str
    manufacturer: str
    model: str
    chosen: bool


class Opened(_Message):
    """Logged in and ready to sign.

    library: the module's own description and version.
    """

    library: str
    slots: list[SlotReport]
    capabilities: Capabilities
    keys: "Keys"


class OpenFault(StrEnum):
    """Why a token could not be opened, by what follows from it."""

    CONFIG = "config"
    PIN = "pin"
    TRANSIENT = "transient_key"


class OpenFailed(_Message):
    """The token could not be opened; the signer exits."""

    fault: OpenFault
    text: str


class Source(StrEnum):
    """Where an item's key comes from."""

    TOKEN = "token"  # noqa: S105 - a word
    INLINE = "inline"
    TRANSIENT = "transient_key"


class Action(StrEnum):
    """What is done with an item."""

    SIGN = "sign"
    VERIFY = "verify"


class Operation(msgspec.Struct, frozen=True, array_like=True):
    """What many items have in common: the key and how to sign.

    key: the `ref` of a key on the token, an inline key's value, or a transient key's blob.
    obj_type: of an inline key.
    owner: id of the app that brings a transient key.
    """

    key: bytes
    params: SignParams
    source: Source = Source.TOKEN
    obj_type: str = ""
    owner: str = ""
    action: Action = Action.SIGN

    def __repr__(self) -> str:
        return f"Operation(source={self.source!r}, params={self.params!r})"


class Part(msgspec.Struct, array_like=True):
    """Items with one operation: their bytes, and for a verification their signatures.

    at_once: how many of them a session does before it leaves the rest for later, if there is something more urgent.
    """

    operation: Operation
    payloads: list[bytes]
    signatures: list[bytes]
    at_once: int = 1

    def __repr__(self) -> str:
        return f"Part({self.operation!r}, {len(self.payloads)} items)"


class Urgency(IntEnum):
    """What goes before what, though not for ever: the shorter a batch, the more urgent."""

    LONG = 0
    ORDINARY = 1
    EXPRESS = 2


class Sign(_Message):
    """Sign or verify items, on as many sessions as there are.

    deadline: when nobody waits for them any more, by CLOCK_MONOTONIC, which both ends share.
    gives_way: whether others may have the core now and then, as items by express are likely to come.
    """

    id: int
    parts: list[Part]
    deadline: float
    urgency: Urgency = Urgency.ORDINARY
    gives_way: bool = False


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """An item that failed: its HTTP status and plain text for the caller."""

    status: int
    text: str


class Signed(_Message):
    """The answers to a Sign, part by part in its order, and the seconds that each part took its sessions.

    A result is the signature, or whether it verified, or why there is neither.
    mechanisms: the PKCS#11 name of what was planned for each part, empty where nothing was.
    """

    id: int
    results: list[list[bytes | bool | Failure]]
    seconds: list[float]
    mechanisms: list[str]


class Distrust(_Message):
    """The token gave a signature that does not verify: that item of that part of a Sign. The signer ends with it."""

    id: int
    part: int
    index: int


class Generate(_Message):
    """Make a transient key.

    owner, operations, expires: as in `TransientKey`.
    variant: the curve of an EC key.
    """

    id: int
    owner: str
    key_type: KeyType
    variant: str
    bits: int
    operations: list[str]
    expires: int


class DeriveSecret(_Message):
    """Derive 32 secret bytes from the token, the same for everyone who has it.

    purpose: what they are for; other purposes give other bytes.
    create: whether to make the token's key for it, if there is none yet.
    """

    id: int
    purpose: str
    create: bool


class Change(StrEnum):
    """What is done to the keys on a token."""

    GENERATE = "generate"
    IMPORT = "import"
    UPDATE = "update"
    DESTROY = "destroy"


class Manage(_Message):
    """Change the keys on the token.

    key: `ref` of the key to update or destroy; the DER of one to import; empty to generate.
    ckaid: CKA_ID of a key that is generated or imported.
    kid: the key's, by which its notes are found.
    name: CKA_LABEL; None to leave it.
    key_type, variant, bits: of a key to generate. obj_type: of one to import.
    """

    id: int
    change: Change
    kid: str
    key: bytes = b""
    ckaid: bytes = b""
    name: str | None = None
    key_type: KeyType = KeyType.OTHER
    variant: str = ""
    bits: int = 0
    obj_type: str = ""
    notes: KeyNotes = KeyNotes()

    def __repr__(self) -> str:
        return f"Manage(id={self.id}, change={self.change!r}, kid={self.kid!r})"


class Prove(_Message):
    """Sign with a key of no worth, and verify that: the canary. A signer that cannot ends."""

    id: int


class Made(_Message):
    """The blob of a new transient key, the secret, nothing for a change or a canary; or why not."""

    id: int
    result: bytes | Failure

    def __repr__(self) -> str:
        return f"Made(id={self.id})"


class ListKeys(_Message):
    """Read the token's keys again."""

    id: int = 0


class Keys(_Message):
    """All keys of the token.

    wrapping: ids of the secret keys that transient keys are made with.
    seconds: how long reading took. begun: when it began, by CLOCK_MONOTONIC, which both ends share.
    id: of the ListKeys that this answers.
    """

    keys: list[KeyInfo]
    wrapping: list[bytes]
    seconds: float
    begun: float
    id: int = 0


Order = Generate | DeriveSecret | Manage | Prove
"""What a signer is asked for besides signatures."""

ToSigner = Open | Sign | Order | ListKeys
FromSigner = Opened | OpenFailed | Signed | Distrust | Made | Keys

_T = TypeVar("_T")

_encoder = msgspec.msgpack.Encoder()
_to_signer: msgspec.msgpack.Decoder[ToSigner] = msgspec.msgpack.Decoder(ToSigner)
_from_signer: msgspec.msgpack.Decoder[FromSigner] = msgspec.msgpack.Decoder(FromSigner)


def encode(message: ToSigner | FromSigner) -> bytes:
    """The message as msgpack."""
    return _encoder.encode(message)


def decode_to_signer(data: bytes) -> ToSigner:
    """A message from the gateway. Raises FrameError."""
    return _decode(_to_signer, data)


def decode_from_signer(data: bytes) -> FromSigner:
    """A message from a signer. Raises FrameError."""
    return _decode(_from_signer, data)


def _decode(decoder: msgspec.msgpack.Decoder[_T], data: bytes) -> _T:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # The decoder's own text may quote what it could not read.
        raise FrameError("a frame that holds no message") from None
