"""What goes wrong, in words of ours, and how often since the start: of items, signers, calls, audit log and config."""

from collections.abc import Iterator

from hsmgate.gateway.audit.log import AuditLog
from hsmgate.gateway.calls import Calls
from hsmgate.gateway.figures import End, StartFault
from hsmgate.gateway.loads import Loads
from hsmgate.gateway.signing import BatchSigner

Trouble = tuple[str, str | None]
"""What went wrong, in words, and the token that it is about, where it is about one."""

_ITEMS = {
    400: "an item was wrong in itself",
    403: "an item asked for what its key or its app may not do",
    404: "an item named no key that its app may use",
    409: "an item named a key that is not the only one of that name or kid",
    422: "an item asked for what the token cannot do",
    429: "an app came to its limit",
    499: "a caller went away before its items were done",
    500: "the token failed on an item",
    503: "an item had no signer",
    504: "an item was not done in time",
}
"""By an item's status."""

_CALLS = {
    401: "a call had no valid credentials",
    408: "a call's body was too long in coming",
    413: "a call was too large",
    417: "a call expected what is not known",
}
"""By a call's status, as far as it says more than its items' do."""

_ENDS = {
    End.HUNG: "a signer hung in a call and was killed",
    End.CRASHED: "a signer crashed",
    End.KILLED: "a signer was killed by somebody",
    End.TOKEN_LOST: "a signer ended: the token, or its login, was gone or could not sign",
    End.DISTRUSTED: "a signer was killed: its signature did not verify",
    End.PROTOCOL: "a signer was killed: it answered what it was not asked",
    End.BUG: "a signer ended by a bug",
    End.EXITED: "a signer left by itself",
}
"""A worn signer's end is no error."""

_STARTS = {StartFault.PIN: "the PIN was refused", StartFault.OTHER: "a signer did not start"}


class Troubles:
    """Looks at what is counted anyway."""

    def __init__(self, signer: BatchSigner, calls: Calls, loads: Loads, audit: AuditLog | None = None) -> None:
        self._signer = signer
        self._calls = calls
        self._loads = loads
        self._audit = audit

    def counts(self) -> Iterator[tuple[Trouble, int]]:
        """What went wrong since the start, and how often."""
        for (status, token), count in self._signer.figures.failures.items():
            if status in _ITEMS:
                yield (_ITEMS[status], token or None), count
        for pool in self._signer.pools:
            for end, count in pool.figures.ends.items():
                if end in _ENDS:
                    yield (_ENDS[end], pool.name), count
            for fault, count in pool.figures.failed_starts.items():
                yield (_STARTS[fault], pool.name), count
        for status, text in _CALLS.items():
            yield (text, None), self._calls.statuses[status]
        yield ("a call met with an error of the gateway's own; the log says where", None), self._calls.bugs
        yield ("a new config was refused; the log says why", None), self._loads.refused
        if self._audit is not None:
            yield ("a record could not be written to the audit log", None), self._audit.chain.lost.records
            yield ("a call was refused: the audit log cannot be written", None), self._audit.refused_calls
