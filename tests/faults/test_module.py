"""The faulty module itself: that it fails as it is told, and only then."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from tests.faults.module import FaultyToken, Rules, calls, environment, faulty
from tests.gateway_process import b64, serving
from tests.token_tool import Demo
from tests.verify import verify

DIGEST, POISON = hashlib.sha256(b"x").digest(), hashlib.sha256(b"poison").digest()

DEVICE_ERROR = 0x30
OBJECT_HANDLE_INVALID = 0x82
OPERATION_ACTIVE = 0x90
SESSION_COUNT = 0xB1
SESSION_HANDLE_INVALID = 0xB3

PublicKeys = Mapping[str, PublicKeyTypes]


class Ended(Exception):
    """The process ended. `code` is as `subprocess` has it; the text is what it said last."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(f"{code}: {said}")
        self.code = code


class Refused(Exception):
    """A call gave that value."""

    def __init__(self, ckr: int) -> None:
        super().__init__(f"gave {ckr:#x}")
        self.ckr = ckr


@dataclass(frozen=True)
class Caller:
    """A running caller.py."""

    process: "subprocess.Popen[str]"

    def __call__(self, *order: Any) -> Any:
        self.send(*order)
        return self.answer()

    def send(self, *order: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """What came of the order. Raises Refused or Ended."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr
            said = self.process.stderr.read()
            raise Ended(self.process.wait(), said)
        answer = json.loads(line)
        if "ckr" in answer:
            raise Refused(answer["ckr"])
        return answer["gave"]

    def answers_within(self, seconds: float) -> bool:
        assert self.process.stdout
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def key(self, label: str) -> int:
        (handle,) = self("find", label)
        assert isinstance(handle, int)
        return handle

    def sign(self, handle: int, digest: bytes = DIGEST) -> bytes:
        return bytes.fromhex(self("sign", handle, digest.hex()))

    def ckr(self, *order: Any) -> int:
        """What the call gave; 0 where all was well."""
        try:
            self(*order)
        except Refused as refused:
            return refused.ckr
        return 0


@contextlib.contextmanager
def calling(demo: Demo, rules: Rules) -> Iterator[Caller]:
    """A process that is logged in to the demo's token, whose module obeys the rules."""
    env = os.environ | {"SOFTHSM2_CONF": str(demo.folder / "softhsm2.conf")} | environment(rules)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.caller"],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        caller = Caller(process)
        caller("login", demo.pin)
        try:
            yield caller
        finally:
            process.kill()  # it may hang


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    return Rules(tmp_path / "rules")


@pytest.fixture
def caller(demo: Demo, rules: Rules) -> Iterator[Caller]:
    with calling(demo, rules) as running:
        yield running


@pytest.fixture
def p256(caller: Caller) -> int:
    return caller.key("p256")


@pytest.fixture(scope="module")
def public_keys(demo: Demo) -> PublicKeys:
    return {label: key for label, _, key in demo.public_keys()}


def signed_by(signature: bytes, public_keys: PublicKeys) -> list[str]:
    """The keys under which it is a signature of DIGEST."""
    half = len(signature) // 2
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    found = []
    for label, key in public_keys.items():
        with contextlib.suppress(InvalidSignature):
            if isinstance(key, EllipticCurvePublicKey):
                key.verify(encode_dss_signature(r, s), DIGEST, ECDSA(Prehashed(SHA256())))
                found.append(label)
    return found


# What a call gives


def test_without_rules_it_is_the_real_module(caller: Caller, p256: int, public_keys: PublicKeys) -> None:
    assert signed_by(caller.sign(p256), public_keys) == ["p256"]


def test_a_value_without_the_call(caller: Caller, p256: int, rules: Rules) -> None:
    rules.set("C_Sign rv 0x30 count=1")
    given = [caller.ckr("sign", p256, DIGEST.hex()) for _ in range(2)]
    assert given == [DEVICE_ERROR, OPERATION_ACTIVE], "what C_SignInit began was not ended"
    assert rules.hits() == [1]


def test_a_lost_reply_to_a_call_that_was_made(caller: Caller, p256: int, rules: Rules) -> None:
    rules.set("C_Sign lostreply 0x30 count=2")
    given = [caller.ckr("sign", p256, DIGEST.hex()) for _ in range(3)]
    assert given == [DEVICE_ERROR, DEVICE_ERROR, 0]


def test_a_flipped_bit(caller: Caller, p256: int, rules: Rules, public_keys: PublicKeys) -> None:
    rules.set("C_Sign badsig count=1")
    signers = [signed_by(caller.sign(p256), public_keys) for _ in range(2)]
    assert signers == [[], ["p256"]]


def test_flags_of_the_token(caller: Caller, rules: Rules) -> None:
    before = caller("token_flags")
    rules.set("C_GetTokenInfo flags 0x20000 count=1")
    assert not before & 0x20000
    assert [caller("token_flags") for _ in range(2)] == [before | 0x20000, before]


# How long it takes


def test_delays_overlap(caller: Caller, p256: int, rules: Rules) -> None:
    rules.set("C_Sign delay 200.5")
    assert 0.2 <= caller("sign_at_once", p256, DIGEST.hex(), 4) < 0.7
    assert rules.hits() == [4]


def test_what_a_call_takes_includes_all_else_of_it(caller: Caller, p256: int, rules: Rules) -> None:
    rules.set("C_Sign takes 1000.5", "C_Sign delay 800")
    assert 1.0 <= caller("sign_at_once", p256, DIGEST.hex(), 4) < 1.8
    assert rules.hits() == [4, 4]


def test_a_call_hangs_until_its_rule_is_gone(caller: Caller, p256: int, rules: Rules, public_keys: PublicKeys) -> None:
    hang = "C_Sign hang count=1"
    rules.set(hang)
    caller.send("sign", p256, DIGEST.hex())
    assert not caller.answers_within(0.2)
    rules.set("C_Login rv 0xA0", hang)
    assert not caller.answers_within(0.2)
    rules.clear()
    assert caller.answers_within(5)
    assert signed_by(bytes.fromhex(caller.answer()), public_keys) == ["p256"]


# Which calls it is


def test_after_so_many_calls(caller: Caller, p256: int, rules: Rules) -> None:
    rules.set("C_SignInit rv 0x30 after=2 count=1", "C_SignInit rv 0x82 after=2")
    given = [caller.ckr("sign", p256, DIGEST.hex()) for _ in range(5)]
    assert given == [0, 0, DEVICE_ERROR, OBJECT_HANDLE_INVALID, OBJECT_HANDLE_INVALID]
    assert rules.hits() == [1, 2]


def test_new_rules_count_from_zero(caller: Caller, p256: int, rules: Rules) -> None:
    for _ in range(2):
        rules.set("C_SignInit rv 0x30 count=1")
        assert [caller.ckr("sign", p256, DIGEST.hex()) for _ in range(2)] == [DEVICE_ERROR, 0]


def test_now_and_then(caller: Caller, p256: int, rules: Rules) -> None:
    rules.set("C_SignInit rv 0x30 p=0.2")
    failed = [caller.ckr("sign", p256, DIGEST.hex()) == DEVICE_ERROR for _ in range(200)]
    assert 20 < sum(failed) < 60
    assert rules.hits() == [sum(failed)]


def test_poison(caller: Caller, p256: int, rules: Rules) -> None:
    rules.set(f"C_Sign lostreply 0x30 input={POISON.hex()[4:20]}")
    given = [caller.ckr("sign", p256, digest.hex()) for digest in (DIGEST, POISON, DIGEST, POISON)]
    assert given == [0, DEVICE_ERROR, 0, DEVICE_ERROR]


def test_processes_count_together_or_each_for_itself(demo: Demo, caller: Caller, p256: int, rules: Rules) -> None:
    with calling(demo, rules) as other:
        pair = (caller, p256), (other, other.key("p256"))
        for rule, failing in (
            ("C_SignInit rv 0x30 count=3", [True, True, True, False, False, False]),
            ("C_SignInit rv 0x30 count=2 scope=process", [True, True, True, True, False, False]),
        ):
            rules.set(rule)
            given = [one.ckr("sign", key, DIGEST.hex()) for _ in range(3) for one, key in pair]
            assert [ckr == DEVICE_ERROR for ckr in given] == failing
            assert rules.hits() == [sum(failing)]


def test_broken_until_finalize(demo: Demo, caller: Caller, p256: int, rules: Rules) -> None:
    rules.set("C_Sign rv 0x30 until=finalize count=1")
    assert caller.ckr("sign", p256, DIGEST.hex()) == DEVICE_ERROR
    with calling(demo, rules) as other:
        assert other.ckr("sign", other.key("p256"), DIGEST.hex()) == 0
    rules.clear()
    assert [caller.ckr(order) for order in ("is_logged_in", "open")] == [DEVICE_ERROR, DEVICE_ERROR]
    caller("restart")
    caller("login", demo.pin)
    assert caller.ckr("sign", caller.key("p256"), DIGEST.hex()) == 0


# Sessions, logins, handles


def test_sessions_are_closed(caller: Caller, p256: int, rules: Rules) -> None:
    rules.set("C_SignInit closeall count=1")
    assert caller.ckr("sign", p256, DIGEST.hex()) == SESSION_HANDLE_INVALID
    caller("open")
    assert caller("is_logged_in") is False


def test_logged_out(demo: Demo, caller: Caller, p256: int, rules: Rules) -> None:
    rules.set("C_SignInit logout count=1")
    assert caller.ckr("sign", p256, DIGEST.hex()) == OBJECT_HANDLE_INVALID
    assert caller("is_logged_in") is False
    caller("login", demo.pin)
    assert caller.ckr("sign", caller.key("p256"), DIGEST.hex()) == 0


def test_no_more_sessions(caller: Caller, rules: Rules) -> None:
    rules.set("C_OpenSession limit 3")
    assert caller("open_at_once", 8) == 2, "the one that logged in is the first of the three"
    assert rules.hits() == [6]
    caller("close")
    assert [caller.ckr("open") for _ in range(2)] == [0, SESSION_COUNT]


@pytest.mark.parametrize("times", [1, 2])
def test_stale_handles_are_those_of_other_keys(
    demo: Demo, caller: Caller, rules: Rules, public_keys: PublicKeys, times: int
) -> None:
    labels = ["p256", "p384", "p521", "secp256k1"]
    stale = {label: caller.key(label) for label in labels}
    for _ in range(times):
        rules.set("C_GetSessionInfo renumber count=1")
        assert caller.ckr("is_logged_in") == SESSION_HANDLE_INVALID
        caller("open")
        caller("login", demo.pin)
    for label, other in zip(labels[times:], labels, strict=False):
        assert signed_by(caller.sign(stale[label]), public_keys) == [other]
        assert caller("label", stale[label]) == other
    for label in labels:
        assert signed_by(caller.sign(caller.key(label)), public_keys) == [label]


def test_handles_change_while_the_session_goes_on(caller: Caller, rules: Rules, public_keys: PublicKeys) -> None:
    p384, made = caller.key("p384"), caller("create", "one")
    rules.set("C_SignInit shuffle count=1")
    assert signed_by(caller.sign(p384), public_keys) == ["p256"]
    other = caller("create", "two")
    assert other != made
    assert caller("label", other) == "two"
    caller("destroy", other)
    assert caller.ckr("label", other) == OBJECT_HANDLE_INVALID


# The end of the process


ENDS = {"abort": -signal.SIGABRT, "segv": -signal.SIGSEGV, "exit 5": 5}


@pytest.mark.parametrize("kind", ENDS)
def test_the_process_ends_once_in_all(demo: Demo, caller: Caller, p256: int, rules: Rules, kind: str) -> None:
    rules.set(f"C_Sign {kind} after=1 count=1")
    caller.sign(p256)
    with pytest.raises(Ended) as ended:
        caller.sign(p256)
    assert ended.value.code == ENDS[kind]
    with calling(demo, rules) as other:
        assert other.ckr("sign", other.key("p256"), DIGEST.hex()) == 0
    assert rules.hits() == [1]


@pytest.mark.parametrize("rule", ["C_Sing rv 0x30", "C_Sign rv", "C_Sign hang 5", "C_Sign abort input=0g", "*"])
def test_what_is_no_rule_ends_the_process(caller: Caller, rules: Rules, rule: str) -> None:
    rules.set(rule)
    with pytest.raises(Ended, match=re.escape(f"not a rule: {rule}\n")):
        caller("is_logged_in")


# Under a gateway


@pytest.fixture
def token(own_demo: Demo, tmp_path: Path) -> FaultyToken:
    return faulty(own_demo.config, tmp_path)


async def test_a_gateway_over_a_faulty_token(demo: Demo, token: FaultyToken, public_keys: PublicKeys) -> None:
    text = token.config.read_text().replace("sessions = 1", "sessions = 2")
    token.config.write_text(text)
    item = {"key": {"name": "p256"}, "hash_alg": "SHA256", "data": b64(b"x")}
    async with serving(token.config, demo.api_key, token.config.with_name("log")) as gateway:
        token.rules.set("C_Sign abort after=50 count=1")
        for answer in await gateway.sign([item] * 500):
            verify(public_keys["p256"], item, base64.b64decode(answer["body"]["signature"]))
        assert token.rules.hits() == [1]


async def test_each_session_has_a_thread(demo: Demo, token: FaultyToken) -> None:
    text = token.config.read_text().replace("signers = 2", "signers = 1").replace("sessions = 1", "sessions = 3")
    token.config.write_text(text)
    item = {"key": {"name": "p256"}, "hash_alg": "SHA256", "data": b64(b"x")}
    async with serving(token.config, demo.api_key, token.config.with_name("log")) as gateway:
        token.rules.set("C_Sign delay 20")
        before = len(calls(token.log))
        await asyncio.gather(*(gateway.sign([item] * 5) for _ in range(6)))
    threads = defaultdict(list)
    for call in calls(token.log)[before:]:
        if call.function in ("C_SignInit", "C_Sign"):
            assert call.ckr == 0
            threads[call.tid].append(call.function)
    assert len(threads) == 3
    for functions in threads.values():
        assert functions == ["C_SignInit", "C_Sign"] * (len(functions) // 2)


def test_it_is_compiled_once_however_many_want_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from tests.faults.module import build; print(build())"]
    env = os.environ | {"TMPDIR": str(tmp_path)}
    both = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    paths = {process.communicate()[0].strip() for process in both}
    (path,) = paths
    assert [*Path(path).parent.iterdir()] == [Path(path)]
