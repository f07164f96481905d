"""What is asked of a token besides signing: a new transient key, a secret, a change of its keys, a canary."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence

from msgspec import structs

from hsmgate.domain.envelope import Blob
from hsmgate.domain.model import KeyType
from hsmgate.errors import NoSigner
from hsmgate.gateway.abilities import Abilities
from hsmgate.gateway.batch import item_error
from hsmgate.gateway.signers import Asked, Signer
from hsmgate.ipc.messages import DeriveSecret, Failure, Generate, Keys, ListKeys, Manage, Order, Prove

SEEN_WITHIN_SECONDS = 10.0
"""For how long a change waits to be read back."""


class Orders:
    """Orders to a token's signers, and their answers.

    pending: how many are not done yet.
    """

    def __init__(self, signers: Sequence[Signer], abilities: Abilities, ids: Iterator[int]) -> None:
        self._abilities = abilities
        self._signers = signers
        self._ids = ids
        self._looking: dict[int, asyncio.Future[None]] = {}
        self._making_rsa = asyncio.Lock()
        self.pending = 0

    async def generate(self, order: Generate) -> bytes:
        """The blob of a new transient key. Raises ItemError."""
        with self._counted():
            blob = await self._make(order)
        self._abilities.wrapping.add(Blob.read(blob).key_id)
        return blob

    async def derive_secret(self, purpose: str, *, create: bool) -> bytes:
        """32 secret bytes, the same for everyone who has the token. Raises ItemError."""
        with self._counted():
            return await self._ask(DeriveSecret(0, purpose, create))

    async def prove(self) -> None:
        """See the token sign, with a key of no worth. Raises ItemError where it does not."""
        await self._ask(Prove(0))

    async def manage(self, order: Manage) -> None:
        """Change the token's keys, and see the change before returning. Raises ItemError."""
        with self._counted():
            await self._make(order)
            await self.look()

    async def look(self) -> None:
        """Have the keys read again, and wait for what comes of it."""
        seen: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        number = next(self._ids)
        self._looking[number] = seen
        self.list_keys(number)
        await asyncio.wait((seen,), timeout=SEEN_WITHIN_SECONDS)
        self._looking.pop(number, None)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        self.pending += 1
        try:
            yield
        finally:
            self.pending -= 1

    def list_keys(self, number: int = -1) -> None:
        """Ask a signer to read the keys again; somebody may look for the answer of that number."""
        for signer in self._signers[:1]:
            signer.note_listing()
            signer.process.send(ListKeys(number))

    def came(self, keys: Keys) -> None:
        """Take in what the token has now, and tell who looked for it."""
        self._abilities.wrapping.update(keys.wrapping)
        seen = self._looking.get(keys.id)
        if seen is not None and not seen.done():
            seen.set_result(None)

    async def _make(self, order: Generate | Manage) -> bytes:
        """RSA keys one at a time: a large one keeps a signer busy for long, and the others are to sign meanwhile.

        So the next has to wait also where the caller of this one has gone.
        """
        if order.key_type is not KeyType.RSA:
            return await self._ask(order)
        await self._making_rsa.acquire()
        making = asyncio.ensure_future(self._ask(order))
        making.add_done_callback(self._made_rsa)
        return await asyncio.shield(making)

    def _made_rsa(self, making: asyncio.Future[bytes]) -> None:
        self._making_rsa.release()
        if not making.cancelled():
            making.exception()  # or it would be logged as seen by nobody, where the caller has gone

    async def _ask(self, order: Order) -> bytes:
        signer = self._signer_for(order)
        asked = Asked(asyncio.get_running_loop().create_future())
        numbered = structs.replace(order, id=next(self._ids))
        if isinstance(order, Prove):
            signer.note_brought(1)
        signer.asked[numbered.id] = asked
        signer.process.send(numbered)
        result = await asked.answer
        if isinstance(result, Failure):
            raise item_error(result)
        return result

    def _signer_for(self, order: Order) -> Signer:
        """Keys are changed by one signer, the one that lists them: not all tokens bear two that write at a time."""
        ready = [signer for signer in self._signers if not signer.retiring]
        if not ready:
            raise NoSigner("no signer is ready")
        if isinstance(order, Manage):
            return ready[0]
        return min(ready, key=lambda signer: (signer.alone, len(signer.asked), signer.items_in_hand))
