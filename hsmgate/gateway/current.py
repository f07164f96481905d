"""The [server] section as it is now: a new config takes its place while the gateway serves."""

from hsmgate import config

TAKEN = frozenset(
    f"server.{word}"
    for word in (
        *("max_body", "max_items", "max_waiting", "request_timeout", "drain_timeout"),
        *("strict_listing", "published_keys"),
    )
)
"""The words of it that are looked up here for every call, as key paths."""


class Current:
    """Holds the section. A call looks up what it goes by when it begins, and keeps to that."""

    def __init__(self, server: config.Server) -> None:
        self.server = server
