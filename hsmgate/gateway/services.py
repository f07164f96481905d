"""What handlers work with, made once for them all."""

from dataclasses import dataclass
from typing import Self

from hsmgate.config import Config
from hsmgate.gateway.audit.log import AuditLog
from hsmgate.gateway.callers import Callers
from hsmgate.gateway.calls import Calls
from hsmgate.gateway.connections import Connections
from hsmgate.gateway.current import Current
from hsmgate.gateway.keyring import Keyring
from hsmgate.gateway.loads import Loads
from hsmgate.gateway.management import KeyManager
from hsmgate.gateway.metrics import Metrics, Outside
from hsmgate.gateway.published import Published
from hsmgate.gateway.readiness import Readiness
from hsmgate.gateway.sessions import Sessions
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.status import Status
from hsmgate.gateway.tls import NO_CLIENT_CA, Tls
from hsmgate.gateway.troubles import Troubles


@dataclass(frozen=True, slots=True)
class Services:
    """All of them. audit: None where nothing is recorded."""

    current: Current
    signer: BatchSigner
    keyring: Keyring
    manager: KeyManager
    callers: Callers
    sessions: Sessions
    connections: Connections
    calls: Calls
    published: Published
    readiness: Readiness
    metrics: Metrics
    status: Status
    audit: AuditLog | None

    @classmethod
    def of(
        cls,
        config: Config,
        signer: BatchSigner,
        audit: AuditLog | None = None,
        loads: Loads | None = None,
        tls: Tls | None = None,
    ) -> Self:
        """Those over a signer that is ready, with an audit log if there is to be one.

        loads: what comes of new configs. tls: what calls come in by.
        """
        loads = loads or Loads()
        calls, sessions, connections = Calls(), Sessions(signer.pools), Connections(signer.current)
        readiness = Readiness(signer, connections, audit)
        return cls(
            current=signer.current,
            signer=signer,
            keyring=signer.keyring,
            manager=KeyManager(signer),
            callers=Callers(config, sessions, lambda: tls.client_ca if tls else NO_CLIENT_CA),
            sessions=sessions,
            connections=connections,
            calls=calls,
            published=Published(signer.current),
            readiness=readiness,
            metrics=Metrics(signer, calls, readiness, audit, Outside(loads, tls)),
            status=Status(signer, readiness, Troubles(signer, calls, loads, audit), loads),
            audit=audit,
        )
