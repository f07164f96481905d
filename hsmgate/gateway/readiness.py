"""Whether the gateway is fit for traffic: the tokens have signed lately, and what they sign can be recorded."""

import logging
from collections.abc import Iterator, Sequence, Set

from hsmgate.gateway.audit.log import AuditLog
from hsmgate.gateway.connections import Connections
from hsmgate.gateway.logs import fields
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.signing import BatchSigner

log = logging.getLogger(__name__)

PROVEN_SECONDS = 30.0
"""For so long a signature shows that a token signs. Where there is none, a canary comes long before (`Supervisor`)."""


class Readiness:
    """What an operator, or a load balancer, wants to know before sending anybody here."""

    def __init__(self, signer: BatchSigner, connections: Connections, audit: AuditLog | None) -> None:
        self._signer = signer
        self._connections = connections
        self._audit = audit
        self._spared: tuple[int, frozenset[TokenPool]] = -1, frozenset()
        self._failing: frozenset[TokenPool] = frozenset()
        self._told: list[str] = []

    def problems(self) -> list[str]:
        """Why it is not ready, a line for each reason; none where it is.

        A token that does not sign is no reason where another does and it is not required, or it is drained, or all of
        its keys are on others that do.
        """
        return [*self._problems()]

    def look(self) -> bool:
        """Whether it is ready. What has changed since the last look is logged."""
        problems = self.problems()
        if problems != self._told:
            if problems:
                log.warning("not ready: %s", "; ".join(problems), extra=fields(problems=problems))
            else:
                log.info("ready")
            self._told = [*problems]
        return not problems

    def _problems(self) -> Iterator[str]:
        if self._connections.draining:
            yield "the gateway is draining"
        if self._audit is not None and self._audit.refuses:
            yield "the audit log cannot be written, so nothing is signed"
        serving = [pool for pool in self._signer.pools if not pool.draining]
        if self._signer.pools and not serving:
            yield "all tokens are drained"
        reasons = {pool: reason for pool in serving if (reason := unproven(pool)) is not None}
        for pool in self._missed(reasons.keys(), serving):
            yield f"token {pool.name}: {reasons[pool]}"

    def _missed(self, failing: Set[TokenPool], serving: Sequence[TokenPool]) -> Sequence[TokenPool]:
        """Of the tokens that should sign and do not, those without which the gateway is not ready."""
        if len(failing) == len(serving):
            return serving
        spared = self._spared_of(frozenset(failing).union({*self._signer.pools} - {*serving})) if failing else ()
        return [pool for pool in failing if pool.required and pool not in spared]

    def _spared_of(self, failing: frozenset[TokenPool]) -> frozenset[TokenPool]:
        """Those of the failing tokens that nobody misses. To find out takes a look at every key."""
        keyring = self._signer.keyring
        if (self._spared[0], self._failing) != (keyring.version, failing):
            self._spared, self._failing = (keyring.version, keyring.spared(failing)), failing
        return self._spared[1]


def unproven(pool: TokenPool) -> str | None:
    """Why a token is not known to sign, None where it is."""
    if not pool.signers:
        return (pool.fault or "it has no signer").removeprefix(f"token {pool.name}: ")
    proven = pool.figures.unsigned_seconds() <= PROVEN_SECONDS
    return None if proven else f"it has not signed for more than {PROVEN_SECONDS:.0f} s"
