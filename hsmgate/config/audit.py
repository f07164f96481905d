"""[audit]: the log of what was signed for whom."""

from typing import Annotated, Literal

from pydantic import Field

from hsmgate.config.words import MIB, Seconds, Section, Size, Text


class Audit(Section):
    """[audit]: the log of what was signed for whom; none without this section."""

    folder: Text
    """where its files are; made if it is not there. Gateways may share it"""

    fsync: Literal["batch", "second", "never"] = "second"
    """when a record must be on the disk: `"batch"`, before the answer is sent; `"second"`, at most about a second
    later; `"never"`, when the system likes"""

    when_full: Literal["refuse", "continue"] = "refuse"
    """where it cannot be written: `"refuse"` to sign until it can, or `"continue"` and count what is lost"""

    rotate_size: Annotated[int, Size, Field(ge=4096)] = 256 * MIB
    """size at which the next file begins (at least 4KiB)"""

    head_key: Text | None = None
    """name or kid of a key on a token (RSA, EC, Ed25519) that signs the chain; apps cannot sign with it, change or
    destroy it any more. It must be there at the start"""

    head_interval: Seconds = 60.0
    """seconds between signed heads"""
