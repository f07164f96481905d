"""Session tokens: what an API key is exchanged for (contract: dsm-wire, section 2.2).

    version, 1 byte | app id, 16 | issued at, 8 (seconds since 1970) | life in seconds, 4 | nonce, 16 | credential, 8
    | seal, 32    in URL-safe base64

The credential stands for what the token was given for (auth.Identity): a session ends with it.
The seal is HMAC-SHA256 under a secret that the HSM derives, so a token is good in every worker and every replica that
has the HSM, and after a restart, without storage of ours. What one gateway alone knows: when it saw a token last (one
that is idle for IDLE_SECONDS is dead, counted by each gateway for itself), and which tokens it was told to terminate
(others learn nothing of it; there the token dies by its idle time). No token lives longer than LIFE_SECONDS.
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
from collections.abc import Callable, Sequence
from typing import NamedTuple

from hsmgate.errors import ItemError
from hsmgate.gateway.pool import TokenPool

log = logging.getLogger(__name__)

IDLE_SECONDS = 600
LIFE_SECONDS = 24 * 3600
PURPOSE = "session tokens"
PRUNE_AT_LEAST = 1000
"""Tokens that are remembered before any is forgotten."""

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


class Sessions:
    """The session tokens of this gateway."""

    def __init__(self, pools: Sequence[TokenPool], clock: Callable[[], float] = time.time) -> None:
        self._pools = pools
        self._clock = clock
        self._secret: bytes | None = None
        self._teller: TokenPool | None = None
        self._older: list[bytes] = []
        self._asked_at = -RETRY_SECONDS
        self._seen: dict[bytes, float] = {}
        self._terminated: dict[bytes, float] = {}
        self._prune_at = PRUNE_AT_LEAST

    async def issue(self, app_id: str, credential: bytes, until: float = math.inf) -> tuple[str, int]:
        """A new token for the app, and the seconds that it lives without being used. It dies `until` at the latest."""
        if self._secret is None or self._teller_has_left():
            await self._derive(create=True)
        secret = self._secret = self._secret or self._make_do()
        now = self._clock()
        if len(self._seen) + len(self._terminated) >= self._prune_at:
            self._prune(now)
        nonce = os.urandom(16)
        self._seen[nonce] = now
        life = int(max(0, min(LIFE_SECONDS, until - now)))
        fields = _FIELDS.pack(_VERSION, uuid.UUID(app_id).bytes, int(now), life, nonce, credential)
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
        last_seen = max(self._seen.get(nonce, 0.0), issued)
        if nonce in self._terminated or now - last_seen > IDLE_SECONDS or now - issued > life:
            return None
        self._seen[nonce] = now
        return Session(str(uuid.UUID(bytes=app_id)), credential)

    def terminate(self, token: str) -> None:
        """Make the token dead here."""
        parts = _split(token)
        if parts is not None:
            _, _, issued, life, nonce, _ = _FIELDS.unpack(parts[0])
            # Not seen any more, it dies of idleness, and then need not be remembered.
            self._seen.pop(nonce, None)
            self._terminated[nonce] = issued + min(life, IDLE_SECONDS)

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

    def _prune(self, now: float) -> None:
        """Forget what is dead anyway."""
        self._seen = {nonce: seen for nonce, seen in self._seen.items() if now - seen <= IDLE_SECONDS}
        self._terminated = {nonce: until for nonce, until in self._terminated.items() if until >= now}
        # To look through all of them for each new one would take as long as there are many.
        self._prune_at = max(PRUNE_AT_LEAST, 2 * (len(self._seen) + len(self._terminated)))


def _split(token: str) -> tuple[bytes, bytes] | None:
    """Fields and seal of what looks like a token."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) != _FIELDS.size + _SEAL or raw[0] != _VERSION:
        return None
    return raw[: _FIELDS.size], raw[_FIELDS.size :]
