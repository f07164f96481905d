"""What a token was seen to do, as far as the gateway has to know it."""

from hsmgate.domain.capabilities import INLINE_KINDS, Capabilities, wrapping
from hsmgate.domain.ckm import WRAPPING_MECHANISMS


class Abilities:
    """What can be asked of a token.

    capabilities: what its first signer found out, None until then.
    wrapping: ids of its keys that transient keys are known to be made with.
    """

    def __init__(self) -> None:
        self.capabilities: Capabilities | None = None
        self.wrapping: set[bytes] = set()

    def wraps_keys(self) -> bool:
        """Whether it was seen to wrap keys, so that it can make transient ones."""
        return any(self.capabilities is not None and self.capabilities.can(wrapping(m)) for m in WRAPPING_MECHANISMS)

    def takes_inline(self, obj_type: str) -> bool:
        """Whether it took a key of that type that was made outside."""
        kinds = INLINE_KINDS.get(obj_type.upper(), frozenset())
        return self.capabilities is not None and not kinds.isdisjoint(self.capabilities.inline)
