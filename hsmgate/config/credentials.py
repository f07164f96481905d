"""How the config writes credentials, and what cannot be so between them."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from hsmgate.domain.certificates import CertificateName
from hsmgate.domain.loopback import is_loopback

MOST_SECRETS = 2
CREDENTIALS = ("secret_sha256", "certificates", "jwt_subjects")

_EMPTY = hashlib.sha256(b"").hexdigest()


def read_secrets(value: object) -> object:
    """One SHA-256 in hex, or a list of up to two, as a tuple. Raises ValueError; the values are never quoted."""
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list | tuple) or not 1 <= len(entries) <= MOST_SECRETS:
        raise ValueError("it is a SHA-256 in hex, or a list of one or two")
    if not all(isinstance(entry, str) and re.fullmatch("[0-9a-fA-F]{64}", entry) for entry in entries):
        raise ValueError("a SHA-256 in hex has 64 digits, 0 to 9 and a to f")
    digests = tuple(entry.lower() for entry in entries)
    if _EMPTY in digests:
        raise ValueError("that is the SHA-256 of nothing, and no secret")
    if len(set(digests)) != len(digests):
        raise ValueError("the same SHA-256 stands there twice")
    return digests


def check_certificate(value: str) -> str:
    """An entry of `certificates`. Raises ValueError."""
    CertificateName.read(value)
    return value


def check_jwks(value: str) -> str:
    """Where a provider's keys are. Raises ValueError."""
    if value.startswith("file:") and value != "file:":
        return value
    scheme, host = _scheme_and_host(value)
    if not host or scheme not in ("https", "http"):
        raise ValueError("write it like file:PATH or https://HOST/PATH, without a password")
    if scheme == "http" and not is_loopback(host):
        raise ValueError("http:// is for this machine only (127.0.0.1, [::1], localhost): write https://")
    return value


def _scheme_and_host(value: str) -> tuple[str, str]:
    """Of a URL; both empty where it is none that we would ask."""
    try:
        url = urlsplit(value)
        if url.port != 0 and url.username is None and not url.fragment:
            return url.scheme, url.hostname or ""
    except ValueError:
        pass
    return "", ""


def contradictions(raw: dict[str, Any]) -> Iterator[str]:
    """What is wrong between credentials, whatever is wrong with each of them."""
    server = raw.get("server")
    has_ca = isinstance(server, dict) and "client_ca" in server
    if isinstance(server, dict) and "client_certificates" in server and not has_ca:
        yield "server: client_certificates wants client_ca"
    providers = [provider.get("name") for provider in _entries(raw, "jwt_provider")]
    certificates: dict[object, int] = {}
    subjects: dict[object, int] = {}
    for index, app in enumerate(_entries(raw, "app")):
        if not any(word in app for word in CREDENTIALS):
            yield f"app[{index}]: no credential; it may have {', '.join(CREDENTIALS[:-1])} or {CREDENTIALS[-1]}"
        if "certificates" in app and not has_ca:
            yield f"app[{index}].certificates: wants server.client_ca"
        for at, text in enumerate(_texts(app, "certificates")):
            first = _first(certificates, _name(text), index)
            if first is not None:
                yield f"app[{index}].certificates[{at}]: stands with app[{first}] already"
        yield from _provider(app, index, providers)
        for at, text in enumerate(_texts(app, "jwt_subjects")):
            first = _first(subjects, (app.get("jwt_provider", providers[0] if providers else None), text), index)
            if first is not None:
                yield f"app[{index}].jwt_subjects[{at}]: stands with app[{first}] already"


def _provider(app: dict[str, Any], index: int, providers: list[object]) -> Iterator[str]:
    chosen = app.get("jwt_provider")
    if "jwt_provider" in app and "jwt_subjects" not in app:
        yield f"app[{index}].jwt_provider: wants jwt_subjects"
    if isinstance(chosen, str) and chosen not in providers:
        yield f"app[{index}].jwt_provider: there is no [[jwt_provider]] of that name"
    if "jwt_subjects" in app and "jwt_provider" not in app and len(providers) != 1:
        wants = "wants a [[jwt_provider]]" if not providers else "wants jwt_provider beside it: there is more than one"
        yield f"app[{index}].jwt_subjects: {wants}"


def _first(seen: dict[object, int], value: object, index: int) -> int | None:
    """The app that the value stands with already."""
    return None if value is None or seen.setdefault(value, index) == index else seen[value]


def _name(text: str) -> CertificateName | None:
    try:
        return CertificateName.read(text)
    except ValueError:
        return None


def _entries(raw: dict[str, Any], section: str) -> list[dict[str, Any]]:
    """The section's tables; what is none stands as an empty one, to keep the others' numbers."""
    entries = raw.get(section)
    return [entry if isinstance(entry, dict) else {} for entry in entries] if isinstance(entries, list) else []


def _texts(app: dict[str, Any], word: str) -> list[str]:
    values = app.get(word)
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []
