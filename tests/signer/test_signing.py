"""A task on a session whose functions in C_SignInit's and C_Sign's places are a key in Python."""

import ctypes
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsmgate.domain.capabilities import ECDSA, Capabilities
from hsmgate.domain.model import KeyInfo, KeyType, SignParams
from hsmgate.ipc.messages import Distrust, Operation, Part, Sign, Signed, Urgency
from hsmgate.signer import signing
from hsmgate.signer.items import Bell
from hsmgate.signer.jobs import Job
from hsmgate.signer.signing import Signing
from hsmgate.signer.token import Token
from tests.signer.test_items import INIT, SIGN

CKM_ECDSA = 0x1041
HASHES = [bytes([n]) * 32 for n in range(5)]
SHA256 = Prehashed(hashes.SHA256())


class PlayedToken:
    """A token with one key, whose signatures are all verified. wrong: what it signs wrongly."""

    generation = 1
    sessions_open = 0
    verify_always = True
    capabilities = Capabilities.of((CKM_ECDSA,), (ECDSA,))

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.wrong: bytes | None = None
        public = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self._info = KeyInfo(b"r" * 16, "kid", "p256", KeyType.EC, "NistP256", 256, public)
        self._functions = INIT(lambda *_: 0), SIGN(self._sign)

    def open_session(self) -> Any:
        addresses = [ctypes.cast(function, ctypes.c_void_p).value for function in self._functions]
        return SimpleNamespace(handle=1, signing=addresses, is_logged_in=lambda: True)

    def count_sessions(self, change: int) -> None:
        self.sessions_open += change

    def find_key(self, ref: bytes) -> tuple[KeyInfo, int]:
        return self._info, 2

    def _sign(self, session: int, data: Any, size: int, signature: Any, length: Any) -> int:
        to_sign: bytes = data[:size]
        r, s = decode_dss_signature(self.key.sign(to_sign, ec.ECDSA(SHA256)))
        if to_sign == self.wrong:
            r ^= 1
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        ctypes.memmove(signature, raw, length[0])
        return 0

    def verify(self, signature: bytes | bool | object, digest: bytes) -> None:
        assert isinstance(signature, bytes)
        self.key.public_key().verify(signature, digest, ec.ECDSA(SHA256))


@pytest.fixture
def token() -> PlayedToken:
    return PlayedToken()


def job(urgency: Urgency) -> Job:
    operation = Operation(b"r" * 16, SignParams("SHA256", prehashed=True))
    part = Part(operation, HASHES, [], at_once=len(HASHES))
    return Job(Sign(7, [part], time.monotonic() + 60, urgency))


def a_thread(token: PlayedToken, bell: Bell) -> Signing:
    return Signing(cast(Token, token), bell)


def test_a_long_message_is_left_while_its_signatures_are_verified_and_gone_on_with(
    token: PlayedToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "LOOK_SECONDS", 0.0)
    task = job(Urgency.LONG).tasks[0]
    bell = Bell(Urgency.EXPRESS, -1, 0)
    for done in range(1, len(HASHES) + 1):
        assert a_thread(token, bell).run(task, 1) is None, "whichever thread comes to it"
        assert task.left
        assert [bool(signature) for signature in task.results] == [n < done for n in range(len(HASHES))]
    answer = a_thread(token, bell).run(task, 1)
    assert isinstance(answer, Signed)
    assert not task.left
    assert a_thread(token, bell).run(task, 1) is None, "it is answered once"
    for signature, digest in zip(answer.results[0], HASHES, strict=True):
        token.verify(signature, digest)
    assert answer.seconds[0] == task.seconds > 0


def test_what_is_urgent_is_not_left(token: PlayedToken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "LOOK_SECONDS", 0.0)
    answer = a_thread(token, Bell(Urgency.EXPRESS, -1, 0)).run(job(Urgency.EXPRESS).tasks[0], 1)
    assert isinstance(answer, Signed)
    token.verify(answer.results[0][-1], HASHES[-1])


def test_a_wrong_signature_is_found_by_whoever_comes_to_it(token: PlayedToken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "LOOK_SECONDS", 0.0)
    token.wrong = HASHES[1]
    task = job(Urgency.LONG).tasks[0]
    thread = a_thread(token, Bell(Urgency.EXPRESS, -1, 0))
    assert thread.run(task, 1) is None
    assert thread.run(task, 1) == Distrust(7, 0, 1)
