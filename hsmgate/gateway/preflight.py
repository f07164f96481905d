"""What is looked at before anything is opened: where the gateway would listen, and who else may read its secrets."""

import asyncio
import errno
import shlex
import shutil
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from hsmgate.config import Config
from hsmgate.domain.loopback import is_loopback
from hsmgate.errors import ConfigError

_OTHERS_MAY_READ = 0o004
_OTHERS_MAY_WRITE = 0o022


async def check_address(config: Config, listen: str) -> None:
    """Raise ConfigError where that would be plain http that others can listen in on, unless the config wants it so."""
    if config.server.tls_certificate is not None or config.server.plain_http == "anywhere":
        return
    if listen.startswith("unix:"):
        return
    host = listen.rpartition(":")[0].strip("[]")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            [f"cannot listen on {listen}: {getattr(error, 'strerror', None) or 'no host name'}"]
        ) from None
    # A name may have several addresses, and all of them are listened on.
    if not all(is_loopback(str(address[0])) for *_, address in found):
        raise ConfigError([_others_listen_in(listen)])


def check_inherited(config: Config, sockets: Sequence[socket.socket]) -> None:
    """The same of sockets that were handed over. Raises ConfigError."""
    if config.server.tls_certificate is not None or config.server.plain_http == "anywhere":
        return
    names = [inherited.getsockname()[:2] for inherited in sockets if inherited.family != socket.AF_UNIX]
    problems = [
        _others_listen_in(f"{host}:{port}, which was handed over") for host, port in names if not is_loopback(host)
    ]
    if problems:
        raise ConfigError(problems)


def _others_listen_in(listen: str) -> str:
    return (
        f"cannot listen on {listen}: plain http, which API keys travel in, is for loopback and unix sockets. "
        "Set tls_certificate and tls_key in [server] of the config or, where others see to TLS, "
        'plain_http = "anywhere"'
    )


def check_socket(path: str) -> None:
    """Raise ConfigError where somebody listens on that unix socket; one that was left behind may be replaced."""
    with socket.socket(socket.AF_UNIX) as caller:
        caller.setblocking(False)
        try:
            caller.connect(path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ECONNREFUSED):
                return
            if error.errno != errno.EAGAIN:  # which is a listener with a long queue
                raise ConfigError([f"cannot listen on unix:{path}: {error.strerror or error}"]) from None
    raise ConfigError([f"cannot listen on unix:{path}: somebody else does"])


def exposed_files(config: Config) -> Iterator[str]:
    """One line for each file with a secret that others may read or change, or that others should not change and may.

    A warning and no more: a volume that Kubernetes mounts may have no other modes. A group may read, as ssl-cert does.
    """
    yield from _changeable(config)
    files = [("server.tls_key", config.server.tls_key)]
    for token in config.token:
        scheme, _, rest = token.pin_source.partition(":")
        if scheme == "file":
            files.append((f"token {token.name}: pin_source", rest))
    for word, file in files:
        if file is not None and (said := _exposed(config.path(file))):
            yield f"{word}: {file}: {said}"


def _changeable(config: Config) -> Iterator[str]:
    """What holds no secret: who changes it can let himself in, have his own code run, or cut the audit log."""
    server = config.server
    files = [("config", config.file.name), ("server.client_ca", server.client_ca)]
    files.append(("server.tls_certificate", server.tls_certificate))
    files.append(("audit.folder", config.audit.folder if config.audit is not None else None))
    files += [
        (f"jwt_provider {provider.name}: jwks", provider.jwks.removeprefix("file:"))
        for provider in config.jwt_provider
        if provider.jwks.startswith("file:")
    ]
    files += [(f"token {token.name}: module", token.module) for token in config.token if "/" in token.module]
    files += [(f"token {token.name}: pin_source", _program(token.pin_source)) for token in config.token]
    for word, file in files:
        if file is not None and (mode := _mode(config.path(file))) is not None and mode & _OTHERS_MAY_WRITE:
            yield f"{word}: {file}: others than its owner may change it (mode {mode:o})"


def _program(pin_source: str) -> str | None:
    """The file of the program that prints the PIN; None where none does, or there is no such program."""
    scheme, _, line = pin_source.partition(":")
    if scheme != "command":
        return None
    program = shlex.split(line)[0]
    return program if "/" in program else shutil.which(program)


def _mode(file: Path) -> int | None:
    try:
        return file.stat().st_mode & 0o777
    except OSError:
        return None  # whoever reads it will say so


def _exposed(file: Path) -> str | None:
    mode = _mode(file)
    if mode is None:
        return None
    if mode & _OTHERS_MAY_WRITE:
        return f"others than its owner may change it (mode {mode:o})"
    if mode & _OTHERS_MAY_READ:
        return f"everyone may read it (mode {mode:o})"
    return None
