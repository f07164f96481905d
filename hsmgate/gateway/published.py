"""The keys that are published: anyone may have their public part."""

from hsmgate.domain.policy import Grant
from hsmgate.gateway.auth import App
from hsmgate.gateway.current import Current


class Published:
    """What is published, by the config as it is now."""

    def __init__(self, current: Current) -> None:
        self._current = current
        self._words: list[str] = []
        self._everyone = App("everyone", "everyone", Grant.of((), ()))

    def everyone(self) -> App:
        """Whoever asks, who may use the published keys and do nothing with them."""
        words = self._current.server.published_keys
        if words != self._words:
            self._words, self._everyone = words, App("everyone", "everyone", Grant.of(words, ()))
        return self._everyone
