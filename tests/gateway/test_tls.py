"""TLS: what it speaks, and how it follows its files. Real connections, to the context that the gateway listens with."""

import asyncio
import logging
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from hsmgate.config import Config
from hsmgate.errors import ConfigError
from hsmgate.gateway.tls import Tls, TlsFiles
from tests.certificates import make_certificates
from tests.test_config import TOKEN

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
REFUSED = (ssl.SSLError, ConnectionError)


@dataclass
class Call:
    """What a client saw of a connection."""

    version: str | None
    cipher: str
    certificate: int
    reused: bool
    session: ssl.SSLSession | None


def files_in(folder: Path, *, clients: bool) -> TlsFiles:
    if not folder.exists():
        folder.mkdir()
    make_certificates(folder)
    return TlsFiles(folder / "server.pem", folder / "server.key", folder / "ca.pem" if clients else None, required=True)


def client(folder: Path, version: ssl.TLSVersion | None = None, *, named: bool = True) -> ssl.SSLContext:
    """A client of that folder's CA. It takes any server: these tests ask which one it was."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if named:
        context.load_cert_chain(folder / "client.pem", folder / "client.key")
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def serial(folder: Path) -> int:
    return x509.load_pem_x509_certificate((folder / "server.pem").read_bytes()).serial_number


def settle(tls: Tls) -> None:
    """What the watch does: one look sees the change, the next that it has settled."""
    tls.look()
    tls.look()


def test_it_knows_when_its_certificate_expires(tmp_path: Path) -> None:
    files = files_in(tmp_path, clients=False)
    tls = Tls(files)

    def expires_at() -> float:
        return x509.load_pem_x509_certificate(files.certificate.read_bytes()).not_valid_after_utc.timestamp()

    first = expires_at()
    assert tls.expires_at == first
    while expires_at() == first:  # to the second
        time.sleep(0.1)
        make_certificates(tmp_path)
    settle(tls)
    assert tls.expires_at == expires_at()


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    def run(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main)

    return run


class Echo:
    """A server with that context, and clients of it."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls

    async def __aenter__(self) -> "Echo":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls.context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    async def call(self, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> Call:
        return await asyncio.to_thread(self._call, context, session)

    def _call(self, context: ssl.SSLContext, session: ssl.SSLSession | None) -> Call:
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=20) as plain,
            context.wrap_socket(plain, session=session) as secured,
        ):
            secured.sendall(b"hello\n")
            if secured.recv(6) != b"hello\n":
                raise ConnectionResetError
            der, cipher = secured.getpeercert(binary_form=True), secured.cipher()
            assert der
            assert cipher
            seen = x509.load_der_x509_certificate(der).serial_number
            return Call(secured.version(), cipher[0], seen, bool(secured.session_reused), secured.session)


def test_it_speaks_1_2_and_1_3_and_nothing_older(
    tmp_path: Path, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    tls = Tls(files_in(tmp_path, clients=False))

    async def main() -> None:
        async with Echo(tls) as echo:
            assert (await echo.call(client(tmp_path, V12))).version == "TLSv1.2"
            assert (await echo.call(client(tmp_path, V13))).version == "TLSv1.3"
            with pytest.warns(DeprecationWarning, match="TLSv1_1"):
                old = client(tmp_path, ssl.TLSVersion.TLSv1_1)
            old.set_ciphers("ALL:@SECLEVEL=0")
            with pytest.raises(ssl.SSLError, match=r"ALERT_PROTOCOL_VERSION|UNEXPECTED_EOF"):
                await echo.call(old)
            for wanted, good in (("ECDHE-ECDSA-AES128-GCM-SHA256", True), ("ECDHE-ECDSA-AES256-SHA384", False)):
                picky = client(tmp_path, V12)
                picky.set_ciphers(wanted)
                if good:
                    assert (await echo.call(picky)).cipher == wanted
                else:
                    with pytest.raises(REFUSED):
                        await echo.call(picky)

    run(main())


@pytest.mark.parametrize("version", [V12, V13])
def test_a_client_of_a_ca_that_was_taken_away_is_refused_with_its_old_session_too(
    tmp_path: Path, run: Callable[[Coroutine[Any, Any, None]], None], version: ssl.TLSVersion
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    files = files_in(old, clients=True)
    files_in(new, clients=True)
    shutil.copytree(old, tmp_path / "kept")
    tls = Tls(files)

    async def main() -> None:
        async with Echo(tls) as echo:
            ours, theirs = client(tmp_path / "kept", version), client(new, version)
            first = await echo.call(ours)
            assert (await echo.call(ours, first.session)).reused  # so there is something to be refused
            for stranger in (theirs, client(new, version, named=False)):
                with pytest.raises(REFUSED):
                    await echo.call(stranger)
            reader, writer = await asyncio.open_connection("127.0.0.1", echo.port, ssl=ours)

            shutil.copy(new / "ca.pem", files.client_ca or "")
            settle(tls)
            for session in (None, first.session):
                with pytest.raises(REFUSED):
                    await echo.call(ours, session)
            assert (await echo.call(theirs)).certificate == serial(old)
            writer.write(b"still here\n")
            assert await reader.readline() == b"still here\n"
            writer.close()

    run(main())


def test_a_new_certificate_is_for_new_connections(
    tmp_path: Path, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    """As certbot and Kubernetes do it: the names are links, and another folder takes the place of the first."""
    for version in ("v1", "v2"):
        files_in(tmp_path / version, clients=False)
    (tmp_path / "data").symlink_to("v1")
    live = tmp_path / "live"
    live.mkdir()
    for name in ("server.pem", "server.key"):
        (live / name).symlink_to(tmp_path / "data" / name)
    tls = Tls(TlsFiles(live / "server.pem", live / "server.key", None, required=False))

    async def main() -> None:
        async with Echo(tls) as echo:
            asking = client(tmp_path / "v1")
            assert (await echo.call(asking)).certificate == serial(tmp_path / "v1")
            (tmp_path / "swap").symlink_to("v2")
            (tmp_path / "swap").rename(tmp_path / "data")
            tls.look()
            assert (await echo.call(asking)).certificate == serial(tmp_path / "v1")  # it may go on changing
            tls.look()
            assert (await echo.call(asking)).certificate == serial(tmp_path / "v2")

    run(main())


def config_in(folder: Path, server: str) -> Config:
    (folder / "hsmgate.toml").write_text(f"[server]\n{server}\n{TOKEN}")
    return Config.load(folder / "hsmgate.toml")


def test_a_config_may_name_other_files(tmp_path: Path, run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    for name in ("a", "b"):
        files_in(tmp_path / name, clients=False)
    first, second = (
        config_in(tmp_path, f"tls_certificate = '{name}/server.pem'\ntls_key = '{name}/server.key'")
        for name in ("a", "b")
    )
    tls = Tls.of(first)
    assert tls

    async def main() -> None:
        async with Echo(tls) as echo:
            take = tls.party.prepare(second)
            assert (await echo.call(client(tmp_path / "a"))).certificate == serial(tmp_path / "a")
            take()
            assert (await echo.call(client(tmp_path / "a"))).certificate == serial(tmp_path / "b")
            for file in ("server.pem", "server.key"):
                shutil.copy(tmp_path / "a" / file, tmp_path / "b" / file)
            settle(tls)
            assert (await echo.call(client(tmp_path / "a"))).certificate == serial(tmp_path / "a")

    run(main())


def test_a_config_whose_files_do_not_fit_is_refused_and_one_without_needs_a_restart(tmp_path: Path) -> None:
    files_in(tmp_path / "a", clients=False)
    good = "tls_certificate = 'a/server.pem'\ntls_key = 'a/server.key'"
    tls = Tls.of(config_in(tmp_path, good))
    assert tls
    before = tls.context.newest
    with pytest.raises(ConfigError, match=r"^server.tls_certificate, server.tls_key: No such file"):
        tls.party.prepare(config_in(tmp_path, good.replace("a/", "b/")))
    for same in (good, 'plain_http = "anywhere"'):
        tls.party.prepare(config_in(tmp_path, same))()
    assert tls.context.newest is before
    assert [tls.party.unable(config_in(tmp_path, one)) for one in (good, "")] == [False, True]


@pytest.mark.parametrize("spoilt", ["the key of another", "half a file", "no file", "not PEM", "an empty CA"])
def test_files_that_do_not_fit_leave_what_was_with_one_line_until_they_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoilt: str
) -> None:
    caplog.set_level(logging.INFO)
    files, other = files_in(tmp_path / "a", clients=True), files_in(tmp_path / "b", clients=True)
    assert files.client_ca
    tls = Tls(files)
    before = tls.context.newest
    match spoilt:
        case "the key of another":
            shutil.copy(other.key, files.key)
        case "half a file":
            files.certificate.write_bytes(files.certificate.read_bytes()[:200])
        case "no file":
            files.key.unlink()
        case "not PEM":
            files.certificate.write_bytes(b"\0" * 1000)
        case _:
            files.client_ca.write_bytes(b"")
    for _ in range(4):
        settle(tls)
    assert tls.context.newest is before
    (line,) = caplog.messages
    assert "stays in force" in line
    for name in ("server.pem", "server.key", "ca.pem"):
        shutil.copy(tmp_path / "b" / name, tmp_path / "a" / name)
    settle(tls)
    assert tls.context.newest is not before
    assert len(caplog.messages) == 2


@pytest.mark.parametrize("missing", ["server.pem", "server.key", "ca.pem"])
def test_at_the_start_files_that_are_not_there_are_the_configs_mistake(tmp_path: Path, missing: str) -> None:
    files = files_in(tmp_path, clients=True)
    (tmp_path / missing).unlink()
    with pytest.raises(ConfigError, match=r"^server\..*No such file") as caught:
        Tls(files)
    assert ("client_ca" in str(caught.value)) == (missing == "ca.pem")


def test_an_encrypted_key_is_a_mistake_and_not_a_question_at_the_terminal(tmp_path: Path) -> None:
    files = files_in(tmp_path, clients=False)
    key = load_pem_private_key(files.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"s3cret")))
    with pytest.raises(ConfigError, match="without a password"):
        Tls(files)
