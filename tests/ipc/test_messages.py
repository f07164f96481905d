"""Messages between the gateway and its signers."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hsmgate.domain.capabilities import Capabilities
from hsmgate.domain.model import KeyInfo, KeyType, Mode, SignParams
from hsmgate.errors import FrameError
from hsmgate.ipc.messages import (
    DeriveSecret,
    Distrust,
    Failure,
    FromSigner,
    Generate,
    Keys,
    ListKeys,
    Made,
    Open,
    Opened,
    OpenFailed,
    OpenFault,
    Operation,
    Part,
    Sign,
    Signed,
    SlotReport,
    Source,
    ToSigner,
    decode_from_signer,
    decode_to_signer,
    encode,
)

KEY = KeyInfo(b"r" * 16, "kid", None, KeyType.EC, "NistP256", 256, b"spki", may_sign=True, always_authenticate=False)
FULL = SignParams("SHA256", prehashed=True, mode=Mode("PSS", "SHA1"), deterministic=True, context=b"\0")
BARE = SignParams(None, prehashed=False)
ABLE = Capabilities.of({1, 0x80000001}, {"ECDSA", "RSA raw"}, {"EC"})
OPEN = Open("module.so", "init", "pkcs11:token=a", "s3cret", 3, None)
SLOT = SlotReport(2**40, "slot", "ü", "1", "m", "v", chosen=True)
KEYS = Keys([KEY], [b"i" * 16], 0.5, 7.5)
BROUGHT = [Operation(b"value", BARE, Source.INLINE, "EC"), Operation(b"blob", BARE, Source.TRANSIENT, owner="app")]

TO_SIGNER: list[ToSigner] = [
    OPEN,
    Open("module.so", "", "pkcs11:token=a", "1234", 1, ABLE),
    Sign(
        1,
        [Part(Operation(b"r" * 16, FULL), [b"", b"\xff"], []), *(Part(op, [b""], [b"signature"]) for op in BROUGHT)],
        1.5,
    ),
    Generate(2, "app", KeyType.EC, "NistP256", 256, ["SIGN"], 2**31),
    DeriveSecret(3, "session tokens", True),
    ListKeys(),
]
FROM_SIGNER: list[FromSigner] = [
    Opened("lib 1.0", [SLOT], ABLE, KEYS),
    OpenFailed(OpenFault.PIN, "the PIN is wrong"),
    Distrust(2, 0, 7),
    Signed(2**40, [[b"signature", Failure(400, "hash: missing")], [b"", True]], [0.1, 0.0], ["CKM_ECDSA", ""]),
    Made(2, b"blob"),
    Made(2**40, Failure(422, "transient: no")),
    KEYS,
]
Decode = Callable[[bytes], ToSigner | FromSigner]

both_ends = pytest.mark.parametrize("decode", [decode_to_signer, decode_from_signer])
mangled = st.builds(
    lambda data, start, length, junk: data[: start % len(data)] + junk + data[start % len(data) + length :],
    st.sampled_from([encode(message) for message in (*TO_SIGNER, *FROM_SIGNER)]),
    st.integers(0, 200),
    st.integers(0, 8),
    st.binary(max_size=8),
)


@pytest.mark.parametrize("message", TO_SIGNER, ids=lambda message: type(message).__name__)
def test_a_message_to_a_signer_comes_through(message: ToSigner) -> None:
    assert decode_to_signer(encode(message)) == message
    with pytest.raises(FrameError):
        decode_from_signer(encode(message))


@pytest.mark.parametrize("message", FROM_SIGNER, ids=lambda message: type(message).__name__)
def test_a_message_from_a_signer_comes_through(message: FromSigner) -> None:
    assert decode_from_signer(encode(message)) == message
    with pytest.raises(FrameError):
        decode_to_signer(encode(message))


@both_ends
@settings(deadline=None)
@given(data=st.binary() | mangled)
@example(b"\x93\xaaOpenFailed\xa6config\xa1\xff")
@example(b"\x97\xa4Open\xa1\xff\xa0\xa0\xa0\x01\xc0")
def test_any_bytes_are_a_message_or_a_frame_error(decode: Decode, data: bytes) -> None:
    with contextlib.suppress(FrameError):
        decode(data)


@both_ends
def test_deep_nesting_is_a_frame_error(decode: Decode) -> None:
    with pytest.raises(FrameError):
        decode(b"\x91" * 100_000)


def test_an_open_does_not_show_its_pin() -> None:
    assert "module.so" in repr(OPEN)
    assert "s3cret" not in f"{OPEN} {OPEN!r} {[OPEN]}"


def test_an_operation_does_not_show_a_key_that_a_caller_brought() -> None:
    for operation in BROUGHT:
        sign = Sign(1, [Part(operation, [], [])], 0.0)
        assert operation.source in f"{sign}"
        assert operation.key.decode() not in f"{operation} {operation!r} {sign} {[sign]}"
