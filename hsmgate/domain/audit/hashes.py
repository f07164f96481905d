"""The hashes of the lines that a head may still cover."""

DIGEST_BYTES = 32


class RecentHashes:
    """Hashes by the numbers of their lines, which follow each other; where they do not, it begins anew."""

    def __init__(self) -> None:
        self._base = 0
        self._bytes = bytearray()

    def put(self, seq: int, value: str) -> None:
        """Note the hash, in hex, of a line."""
        if seq != self._base + len(self._bytes) // DIGEST_BYTES:
            self._bytes.clear()
            self._base = seq
        self._bytes += bytes.fromhex(value)

    def get(self, seq: int) -> str | None:
        """The hash of that line, None where it is not known or forgotten."""
        at = (seq - self._base) * DIGEST_BYTES
        if not 0 <= at < len(self._bytes):
            return None
        return self._bytes[at : at + DIGEST_BYTES].hex()

    def forget_before(self, seq: int) -> None:
        """Only that line and those after it are asked for from now on."""
        count = seq - self._base
        if count > 0:
            del self._bytes[: count * DIGEST_BYTES]
            self._base = seq
