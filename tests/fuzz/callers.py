"""Who calls: an Authorization header with any kind of credential in it, and the connection's certificate."""

import base64
import datetime
import json
from functools import cache

from cryptography import x509

from hsmgate import config
from hsmgate.gateway.auth import Identity, credential_id
from hsmgate.gateway.callers import Callers, Shown
from hsmgate.gateway.client_certificates import ClientCertificate
from hsmgate.gateway.sessions import Sessions
from hsmgate.gateway.tls import NO_CLIENT_CA
from tests.fuzz.certificates import SUBJECT, make_certificate, ours
from tests.fuzz.jwts import check_identity, good_token, provider_made
from tests.fuzz.jwts import seeds as jwt_seeds
from tests.fuzz.key_sets import PROVIDER, give_keys, provider_keys
from tests.fuzz.target import Target
from tests.fuzz.tokens import API_KEY, APP_ID, NOW, SECRET, SECRET_SHA256, decoded, finish
from tests.fuzz.tokens import seeds as header_seeds
from tests.jwt_provider import SUBJECT as JWT_SUBJECT
from tests.jwt_provider import key_set

FIRST = "00000000-0000-4000-8000-000000000001"
SECOND = "00000000-0000-4000-8000-000000000002"
"""Apps that are known by certificates."""

CONFIG = config.Config(
    token=[config.Token(name="one", module="/m", uri="pkcs11:token=one", pin_source="env:PIN")],
    app=[
        config.App(
            id=APP_ID,
            name="app",
            secret_sha256=(SECRET_SHA256,),
            jwt_subjects=[JWT_SUBJECT, "other"],
            jwt_provider=PROVIDER.name,
        ),
        config.App(id=FIRST, name="first", certificates=["subject:CN=client,O=Bank"]),
        config.App(id=SECOND, name="second", certificates=["dns:second.example"]),
    ],
    jwt_provider=[PROVIDER],
)


@cache
def certificates() -> list[tuple[bytes | None, tuple[str, ...]]]:
    """What a connection may have shown, and the apps that it stands for."""
    names = [x509.DNSName("second.example")]
    long_ago = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    return [
        (None, ()),
        (ours(), (FIRST,)),
        (make_certificate(SUBJECT, names), (FIRST, SECOND)),
        (make_certificate(x509.Name([]), names), (SECOND,)),
        (make_certificate(SUBJECT, ends=long_ago), ()),
        (make_certificate(x509.Name([])), ()),
        (b"0\x80", ()),
    ]


def check(data: bytes) -> None:
    """The first byte says which certificate there is, and whether the others are a header."""
    first = data[0] if data else 0
    der, apps = certificates()[first % 7]
    # As aiohttp gives headers.
    authorization = data[1:].decode("utf-8", "surrogateescape") if first < 224 else None
    shown = Shown(authorization, lambda: ClientCertificate(der, NO_CLIENT_CA) if der is not None else None)
    callers, token = _callers()
    identity = finish(callers.identify(shown))
    without = finish(callers.identify(shown, by_session=False))
    if authorization is None:
        assert (identity.app.id if identity else None) == (apps[0] if len(apps) == 1 else None)
        assert without == identity
    elif identity is None:
        assert without is None
    else:
        credentials = authorization.partition(" ")[2]
        by_session = _check_header(identity, credentials.strip(), decoded(credentials), decoded(token), apps)
        assert without == (None if by_session else identity)


def _check_header(identity: Identity, credentials: str, shown: bytes, session: bytes, apps: tuple[str, ...]) -> bool:
    """It may be the one that these say. Whether they are a session token."""
    if "." in credentials:
        check_identity(identity, credentials, provider_made())
        return False
    if shown == session:
        assert (identity.app.id, identity.credential) == (APP_ID, _CREDENTIAL)
        return True
    app_id, _, secret = shown.decode().partition(":")
    assert identity.app.id == app_id.lower()
    assert (app_id.lower(), secret) == (APP_ID, SECRET) or (app_id.lower() in apps and not secret)
    return False


_CREDENTIAL = credential_id("key", SECRET_SHA256)


@cache
def _callers() -> tuple[Callers, str]:
    """Callers by that config, and a session token of one of them."""
    sessions = Sessions([], lambda: NOW)
    callers = Callers(CONFIG, sessions, lambda: NO_CLIENT_CA)
    (keys,) = callers._key_sets.values()
    give_keys(keys, json.dumps(key_set(provider_keys())).encode())
    return callers, finish(sessions.issue(APP_ID, _CREDENTIAL))[0]


def seeds() -> list[bytes]:
    _, token = _callers()
    # base64("<id>:"), as clients send it that show a certificate
    plain = [f"Basic {_base64(f'{app}:')}" for app in (FIRST, SECOND, APP_ID, FIRST.upper())]
    headers = [f"Bearer {token}", f"Basic {token}", f"Basic {API_KEY}", f"Bearer {good_token()}", *plain]
    headers += [f"Basic {_base64(f'{FIRST}:x')}", f"Basic {good_token()}", f"Bearer {token}.", f"Bearer .{token}"]
    made = [text.encode() for text in headers] + header_seeds()
    made += [b"Bearer " + seed[1:] for seed in jwt_seeds() if seed[:1] == b"\0"]
    every = [bytes((224 + number,)) for number in range(7)]
    return every + [bytes((number,)) + header for number in range(3) for header in made]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


TARGET = Target(
    name="callers",
    reads="Authorization headers with any kind of credential, beside any certificate",
    promise="an app only by a credential of its own; a header that is wrong is wrong, whatever certificate there is",
    check=check,
    seeds=seeds,
    words=(b"Basic ", b"Bearer ", b"eyJ", b".", b":", b"==", b"\t", b"\xc2\xa0"),
)
