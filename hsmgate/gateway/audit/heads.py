"""Heads: the end of the chain, signed at intervals by a key on the token, as any other item is signed."""

import asyncio
import logging
import time

from hsmgate.domain.audit.heads import ALGORITHMS
from hsmgate.domain.audit.records import Head, time_text
from hsmgate.domain.model import KeyInfo, KeyType
from hsmgate.domain.policy import Grant
from hsmgate.errors import AuditError, ItemError
from hsmgate.gateway.audit.chain import Chain
from hsmgate.gateway.auth import App
from hsmgate.gateway.batch import item_error
from hsmgate.gateway.keyring import Keyring, is_kid
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.wire import Descriptor, SignItem
from hsmgate.ipc.messages import Failure

log = logging.getLogger(__name__)

OURSELVES = App("", "audit log", Grant.of(["*"], ["sign"]))
"""Who signs heads."""


def find_head_key(keyring: Keyring, words: str) -> KeyInfo:
    """The key of that kid or name. Raises AuditError where there is none, or it cannot sign heads."""
    try:
        found = keyring.by_kid(words, OURSELVES) if is_kid(words) else keyring.by_name(words, OURSELVES)
    except ItemError as error:
        raise AuditError(str(error)) from None
    if found.info.type not in ALGORITHMS:
        raise AuditError(f"key: {found.info.type} keys sign no heads; {', '.join(ALGORITHMS)} keys do")
    return found.info


class Heads:
    """Signs the chain's end with a key that nobody else signs with from now on.

    signed_at: when it last did, in seconds since 1970.
    """

    def __init__(self, chain: Chain, signer: BatchSigner, key: KeyInfo, interval_seconds: float) -> None:
        self.signed_at = 0.0
        self._interval_seconds = interval_seconds
        self._behind_since: float | None = None
        self._chain = chain
        self._signer = signer
        self._key = key
        self._last = 0
        self._failing = False
        signer.reserve(key.kid, OURSELVES)

    async def sign(self) -> None:
        """Sign the chain as far as it is written now. Raises AuditError."""
        head_time = time.time()
        head = Head(
            time=time_text(head_time),
            chain=self._chain.id,
            covers=self._chain.seq,
            hash=self._chain.hash,
            kid=self._key.kid,
            algorithm=ALGORITHMS[self._key.type],
        )
        hash_alg = None if self._key.type is KeyType.ED25519 else "SHA256"
        item = SignItem(key=Descriptor(kid=self._key.kid), hash_alg=hash_alg, data=head.text())
        (result,) = await self._signer.run(self._signer.batch(1), [item], OURSELVES)
        if isinstance(result, Failure):
            raise AuditError(str(item_error(result)))
        if not isinstance(result, bytes):
            raise AuditError("the head was not signed")
        head.signature = result
        if not self._chain.append(head):
            raise AuditError("the signed head could not be written")
        self._last = self._chain.seq
        self._behind_since = None
        self.signed_at = head_time

    def overdue(self) -> bool:
        """Whether records have waited for a head for more than twice the interval. To be asked now and then."""
        if self._chain.seq == self._last:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = time.monotonic()
        since = self._behind_since
        return since is not None and time.monotonic() - since > 2 * self._interval_seconds

    async def keep(self) -> None:
        """Sign at intervals, where something has come since, for ever."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            if self._chain.seq == self._last or self._chain.trouble is not None:
                continue
            try:
                await self.sign()
                self._failing = False
            except AuditError as error:
                if not self._failing:
                    log.error("the audit log's head is not signed: %s", error)
                self._failing = True
