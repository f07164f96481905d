"""Session tokens: what an API key is exchanged for (contract: dsm-wire, section 2.2).

    version, 1 byte | app id, 16 | issued at, 8 (seconds since 1970) | life in seconds, 4 | nonce, 16 | credential, 8
    | seal, 32    in URL-safe base64

The credential stands for what the token was given for (auth.Identity): a session ends with it.
The seal is HMAC-SHA256 under a secret that the HSM derives, so a token is good in every worker and every replica that
has the HSM, and after a restart, without storage of ours. What one gateway alone knows: when it saw a token used last
(one that is idle for IDLE_SECONDS is dead, counted by each gateway for itself), and which tokens it was told to
terminate (others learn nothing of it; there the token dies by its idle time). No token lives longer than LIFE_SECONDS.
"""

import base64
import binascii
import hmac
import logging
import math
import os
import struct
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hsmgate.errors import ItemError
from hsmgate.gateway.pool import TokenPool

log = logging.getLogger(__name__)

IDLE_SECONDS = 600
LIFE_SECONDS = 24 * 3600
PURPOSE = "session tokens"
REMEMBERED_AT_MOST = 50_000
"""Tokens of one app whose last use is remembered, and as many that were terminated; some 190 bytes each."""

OLDER_AT_MOST = 4
"""Secrets of tokens that have left the config. What they sealed is good here for as long as it lives anyway."""

RETRY_SECONDS = 5.0
"""After a failure to get the secret for a token that we did not make, it is not asked for again for so long."""

_VERSION = 2
_FIELDS = struct.Struct(">B16sQI16s8s")
_SEAL = 32


class Session(NamedTuple):
    """What a living token says."""

    app_id: str
    credential: bytes


@dataclass(slots=True)
class _Memory:
    """What is remembered of one app's tokens, by their nonces. What is forgotten for want of room is dead the sooner.

    used: when each was used last, the oldest use first.
    terminated: when each was issued that was ended before its time, the oldest end first.
    dead_until: all that were issued then or before are dead.
    newest: when one was issued or used last; another gateway's clock may be ahead of ours.
    """

    used: OrderedDict[bytes, float] = field(default_factory=OrderedDict)
    terminated: OrderedDict[bytes, int] = field(default_factory=OrderedDict)
    dead_until: int = -1
    newest: float = 0.0

    def use(self, nonce: bytes, now: float) -> None:
        """It was used now."""
        self.used[nonce] = now
        self.used.move_to_end(nonce)
        while len(self.used) > REMEMBERED_AT_MOST or now - next(iter(self.used.values())) > IDLE_SECONDS:
            self.used.popitem(last=False)

    def terminate(self, nonce: bytes, issued: int, now: float) -> None:
        """It is dead from now on: by this, and when this is forgotten, because it was not used for so long."""
        self.used.pop(nonce, None)
        self.terminated[nonce] = issued
        while len(self.terminated) > REMEMBERED_AT_MOST:
            self.dead_until = max(self.dead_until, self.terminated.popitem(last=False)[1])
        while self.terminated and now - next(iter(self.terminated.values())) > IDLE_SECONDS:
            self.terminated.popitem(last=False)

    def is_dead(self, nonce: bytes, issued: int, now: float) -> bool:
        """Whether it was terminated, or is idle for too long."""
        last_seen = max(self.used.get(nonce, 0.0), issued)
        return nonce in self.terminated or issued <= self.dead_until or now - last_seen > IDLE_SECONDS


class Sessions:
    """The session tokens of this gateway."""

    def __init__(self, pools: Sequence[TokenPool], clock: Callable[[], float] = time.time) -> None:
        self._pools = pools
        self._clock = clock
        self._secret: bytes | None = None
        self._teller: TokenPool | None = None
        self._older: list[bytes] = []
        self._asked_at = -RETRY_SECONDS
        self._memories: OrderedDict[bytes, _Memory] = OrderedDict()  # by app id, the one that was quiet longest first

    async def issue(self, app_id: str, credential: bytes, until: float = math.inf) -> tuple[str, int]:
        """A new token for the app, and the seconds that it lives without being used. It dies `until` at the latest."""
        if self._secret is None or self._teller_has_left():
            await self._derive(create=True)
        secret = self._secret = self._secret or self._make_do()
        issued = math.ceil(self._clock())  # rounded down, it would be idle before its time
        life = int(max(0, min(LIFE_SECONDS, until - issued)))
        fields = _FIELDS.pack(_VERSION, uuid.UUID(app_id).bytes, issued, life, os.urandom(16), credential)
        token = base64.urlsafe_b64encode(fields + self._seal(secret, fields)).decode().rstrip("=")
        return token, min(life, IDLE_SECONDS)

    async def identify(self, token: str) -> Session | None:
        """What a living token says, or None. Counts as use."""
        parts = _split(token)
        if parts is None:
            return None
        fields, seal = parts
        if not self._is_ours(fields, seal):
            await self._learn()
            if not self._is_ours(fields, seal):
                return None
        _, app_id, issued, life, nonce, credential = _FIELDS.unpack(fields)
        now = self._clock()
        memory = self._memory(app_id, issued, now)
        if now - issued > life or memory.is_dead(nonce, issued, now):
            return None
        memory.use(nonce, now)
        return Session(str(uuid.UUID(bytes=app_id)), credential)

    def terminate(self, token: str) -> None:
        """Make a token of ours dead here."""
        parts = _split(token)
        if parts is not None and self._is_ours(*parts):
            _, app_id, issued, _, nonce, _ = _FIELDS.unpack(parts[0])
            now = self._clock()
            self._memory(app_id, issued, now).terminate(nonce, issued, now)

    def _seal(self, secret: bytes, fields: bytes) -> bytes:
        return hmac.digest(secret, fields, "sha256")

    def _is_ours(self, fields: bytes, seal: bytes) -> bool:
        secrets = [self._secret, *self._older] if self._secret is not None else self._older
        return any(hmac.compare_digest(self._seal(secret, fields), seal) for secret in secrets)

    def _teller_has_left(self) -> bool:
        """Whether the token that told the secret is in the config no more: gateways that start now ask another."""
        return self._teller is not None and self._teller not in self._pools

    async def _learn(self) -> None:
        """The secret that another gateway made tokens with, where the HSM can tell it. Not asked for all the time."""
        wanted = self._secret is None or self._teller_has_left()
        if wanted and self._clock() - self._asked_at >= RETRY_SECONDS:
            self._asked_at = self._clock()
            await self._derive(create=False)

    async def _derive(self, *, create: bool) -> None:
        """Ask the tokens for the secret, in order. What another has sealed before stays good."""
        for pool in [*self._pools]:
            try:
                secret = await pool.orders.derive_secret(PURPOSE, create=create)
            except ItemError as error:
                log.debug("token %s derives no secret: %s", pool.name, error)
                continue
            if self._secret is not None and self._secret != secret:
                self._older = [self._secret, *self._older][:OLDER_AT_MOST]
            self._secret, self._teller = secret, pool
            return

    def _make_do(self) -> bytes:
        log.warning("no token can derive the secret of session tokens: they are good in this process only")
        return os.urandom(32)

    def _memory(self, app_id: bytes, issued: int, now: float) -> _Memory:
        """What is remembered of the app's tokens, of which one that was issued then is to be looked at now.

        Where even an app's newest token is idle, nothing need be remembered.
        """
        memory = self._memories.setdefault(app_id, _Memory())
        memory.newest = max(memory.newest, issued, now)
        self._memories.move_to_end(app_id)
        while now - next(iter(self._memories.values())).newest > IDLE_SECONDS:
            self._memories.popitem(last=False)
        return memory


def _split(token: str) -> tuple[bytes, bytes] | None:
    """Fields and seal of what looks like a token."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) != _FIELDS.size + _SEAL or raw[0] != _VERSION:
        return None
    return raw[: _FIELDS.size], raw[_FIELDS.size :]
