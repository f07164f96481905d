"""What has come of the loads of the config, for those who watch the gateway."""

import re
import time
from collections.abc import Sequence

_PLACE = re.compile(r"token [A-Za-z0-9_.-]+|[a-z_]+(\[\d+\])?(\.[a-z_0-9]+(\[\d+\])?)*(?=: )")
"""What a problem's line begins with, where that is a key path or a token of the config, and so nothing of anyone's."""


class Loads:
    """The loads of this process.

    at: when the newest ended; taken_at: when the newest that was taken over did. Both in seconds since 1970.
    problems: why the newest was refused; none where it was not.
    refused: how many were.
    """

    def __init__(self) -> None:
        self.at = self.taken_at = time.time()
        self.problems: Sequence[str] = ()
        self.refused = 0

    def take(self) -> None:
        """A config was taken over."""
        self.hold()
        self.taken_at = self.at

    def hold(self) -> None:
        """The file says what is in force already."""
        self.at = time.time()
        self.problems = ()

    def refuse(self, problems: Sequence[str]) -> None:
        """A config was refused for these."""
        self.at = time.time()
        self.problems = problems
        self.refused += 1

    def places(self) -> Sequence[str]:
        """Where in the newest config the problems are, for anyone to read: key paths, and names of tokens."""
        found = (_PLACE.match(problem) for problem in self.problems)
        return [*dict.fromkeys(place[0] if place else "the file" for place in found)]
