"""Attacks on who one is said to be."""

import base64
import hashlib
import json
import random
import statistics
import time
import uuid

from tests.attacks.stage import Stage, attack, item

SIGN = "/crypto/v1/sign"
GUESSES = 150


def key(app_id: str, secret: str) -> str:
    return f"Basic {base64.b64encode(f'{app_id}:{secret}'.encode()).decode()}"


async def status(stage: Stage, authorization: str, path: str = SIGN) -> int:
    return (await stage.call(None, "POST", path, item("p256"), Authorization=authorization))[0]


@attack("Credentials that are near: no secret, its hash from the config, another app's, two headers, other schemes")
async def near_credentials(stage: Stage) -> str:
    app_id, secret = base64.b64decode(stage.keys["all"]).decode().split(":")
    other = base64.b64decode(stage.keys["mine"]).decode().split(":")[1]
    digest = hashlib.sha256(secret.encode()).hexdigest()
    tried = ["", "Basic", "Bearer", "Basic ", "Basic Og==", f"Digest {stage.keys['all']}", stage.keys["all"]]
    tried += [key(app_id, wrong) for wrong in ("", digest, other, secret[:-1], secret + " ", secret.upper(), "\0", "*")]
    tried += [key(wrong, secret) for wrong in ("", "*", str(uuid.UUID(int=0)), stage.ids["mine"], f"{app_id}:", "%")]
    for one in tried:
        assert await status(stage, one) == 401, "let in"
    two = f"Authorization: Basic {stage.keys['all']}\r\n" * 2
    got = await stage.raw(f"GET /crypto/v1/keys HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{two}\r\n".encode())
    assert got.startswith((b"HTTP/1.1 401", b"HTTP/1.1 400")), got
    return f"401 for all {len(tried)}, and for two headers that are both right"


@attack("Guessing API keys by the clock: wrong secrets of an app that exists and of one that does not, in turn")
async def guesses(stage: Stage) -> str:
    apps = (stage.ids["all"], str(uuid.uuid4()))
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(GUESSES):
        for which in random.sample((0, 1), 2):
            guess = key(apps[which], uuid.uuid4().hex)
            started = time.perf_counter()
            assert await status(stage, guess) == 401
            seconds[which].append(time.perf_counter() - started)
    apart = [there - nowhere for there, nowhere in zip(*seconds, strict=True)]
    longer = sum(one > 0 for one in apart)
    there, nowhere = (statistics.median(some) * 1e6 for some in seconds)
    return (
        f"401; medians {there:.0f} µs with an app that exists and {nowhere:.0f} without, of {GUESSES} pairs; "
        f"the first took longer in {100 * longer / GUESSES:.0f} %"
    )


@attack("Session tokens: a bit flipped, bytes added, cut, another app's id, as Basic, after their end, for a new token")
async def session_tokens(stage: Stage) -> str:
    async def issue(app: str) -> str:
        _, text, _ = await stage.call(app, "POST", "/sys/v1/session/auth")
        made: str = json.loads(text)["access_token"]
        return made

    token = await issue("mine")
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    forged = []
    for bit in random.sample(range(8 * len(raw)), 60):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        forged.append(bytes(changed))
    forged += [raw + b"\0", raw[:-1], raw + raw, b"\x80" + bytes(40) + raw, raw[:-32] + bytes(32)]
    forged.append(raw[:1] + uuid.UUID(stage.ids["all"]).bytes + raw[17:])
    for one in forged:
        assert await status(stage, f"Bearer {base64.urlsafe_b64encode(one).decode().rstrip('=')}") == 401
    assert await status(stage, f"Basic {token}") == 401
    assert await status(stage, f"Bearer {token}") == 200
    assert await status(stage, f"Bearer {token}", "/sys/v1/session/auth") == 401
    assert await status(stage, f"Bearer {token}", "/sys/v1/session/terminate") == 204
    assert await status(stage, f"Bearer {token}") == 401
    return f"401 for all {len(forged)} forgeries, for a new token, and after its end"
