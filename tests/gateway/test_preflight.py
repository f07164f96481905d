"""Where the gateway may listen, and what it says of files that others may read."""

import socket
from pathlib import Path
from typing import Any

import pytest

from hsmgate.config import Config
from hsmgate.errors import ConfigError
from hsmgate.gateway.preflight import check_address, check_inherited, check_socket, exposed_files


def config_with(folder: Path, server: str = "", pin_source: str = "file:pin") -> Config:
    file = folder / "hsmgate.toml"
    token = f'[[token]]\nname = "demo"\nmodule = "m.so"\nuri = "pkcs11:token=a"\npin_source = "{pin_source}"\n'
    file.write_text(f"[server]\n{server}\n{token}")
    return Config.load(file)


@pytest.mark.parametrize(
    "listen",
    ["127.0.0.1:8080", "127.8.9.1:0", "[::1]:8080", "[::ffff:127.0.0.1]:1", "localhost:8080", "unix:/run/gate.sock"],
)
async def test_plain_http_is_for_loopback_and_unix_sockets(tmp_path: Path, listen: str) -> None:
    await check_address(config_with(tmp_path), listen)


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80", "[::ffff:192.0.2.1]:80", "0:8080"])
async def test_plain_http_elsewhere_wants_a_certificate_or_the_word(tmp_path: Path, listen: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await check_address(config_with(tmp_path), listen)
    for word in (listen, "tls_certificate", 'plain_http = "anywhere"'):
        assert word in str(caught.value)
    await check_address(config_with(tmp_path, 'plain_http = "anywhere"'), listen)
    await check_address(config_with(tmp_path, 'tls_certificate = "c"\ntls_key = "k"'), listen)


def test_plain_http_is_no_different_on_a_socket_that_was_handed_over(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as near,
        socket.create_server(("0.0.0.0", 0)) as far,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        check_inherited(config_with(tmp_path), [near, unix])
        with pytest.raises(ConfigError, match=r"^cannot listen on 0\.0\.0\.0:\d+, which was handed over: plain http"):
            check_inherited(config_with(tmp_path), [near, far])
        check_inherited(config_with(tmp_path, 'plain_http = "anywhere"'), [far])
        check_inherited(config_with(tmp_path, 'tls_certificate = "c"\ntls_key = "k"'), [far])


async def test_a_name_must_stand_for_loopback_addresses_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, 0, 0, "", (address, 0)) for address in ("127.0.0.1", "192.0.2.1")]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    with pytest.raises(ConfigError, match="plain http"):
        await check_address(config_with(tmp_path), "both.example:80")


async def test_a_name_that_is_none_is_a_clear_mistake(tmp_path: Path) -> None:
    for listen in ("nothing.invalid:80", f"{'x' * 70}.example:80"):
        with pytest.raises(ConfigError, match=r"^cannot listen on .*: \w"):
            await check_address(config_with(tmp_path), listen)


def test_no_other_word_will_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^server\.plain_http: input should be 'loopback' or 'anywhere'$"):
        config_with(tmp_path, "plain_http = true")


def test_a_socket_that_somebody_listens_on_is_not_taken(tmp_path: Path) -> None:
    path = str(tmp_path / "gate.sock")
    check_socket(path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        check_socket(path)  # bound and no more: as it is left behind
        other.listen(0)
        others: list[socket.socket] = []
        for _ in range(3):  # at the end its queue is full
            with pytest.raises(ConfigError, match="somebody else does"):
                check_socket(path)
            waiting = socket.socket(socket.AF_UNIX)
            waiting.setblocking(False)
            waiting.connect_ex(path)
            others.append(waiting)
        for waiting in others:
            waiting.close()
    check_socket(path)
    with pytest.raises(ConfigError, match="too long"):
        check_socket("x" * 200)


@pytest.mark.parametrize(
    ("mode", "said"),
    [(0o600, None), (0o440, None), (0o644, "everyone may read it (mode 644)"), (0o660, "may change it (mode 660)")],
)
def test_files_of_secrets_that_others_may_read_or_change_are_named(tmp_path: Path, mode: int, said: str | None) -> None:
    config = config_with(tmp_path, 'tls_certificate = "server.pem"\ntls_key = "server.key"')
    assert not [*exposed_files(config)]  # no such files: who reads them will say so
    for name in ("server.pem", "server.key", "pin"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode if name != "server.pem" else 0o644)
    lines = [*exposed_files(config)]
    assert len(lines) == (2 if said else 0)
    assert all(line.endswith(said or "") for line in lines)
    assert [*exposed_files(config_with(tmp_path, "", "env:PIN"))] == []


def test_what_others_should_not_change_and_may_is_named(tmp_path: Path) -> None:
    server = 'tls_certificate = "s.pem"\ntls_key = "s.key"\nclient_ca = "ca.pem"'
    config = config_with(tmp_path, server, "command:./pin-of demo")
    with config.file.open("a") as file:
        file.write('[audit]\nfolder = "log"\n')
    config = Config.load(config.file)
    assert not [*exposed_files(config)]
    files = {"config": config.file}
    for word, name in (
        ("server.client_ca", "ca.pem"),
        ("server.tls_certificate", "s.pem"),
        ("token demo: pin_source", "pin-of"),
        ("audit.folder", "log"),
    ):
        files[word] = tmp_path / name
        if word == "audit.folder":
            files[word].mkdir()
        else:
            files[word].touch()
        files[word].chmod(0o755)
    for word, path in files.items():
        assert not [*exposed_files(config)]
        path.chmod(0o757)
        (line,) = exposed_files(config)
        assert line.startswith(f"{word}: ")
        assert line.endswith(f"{path.name}: others than its owner may change it (mode 757)")
        path.chmod(0o700)


def test_the_program_of_a_pin_is_looked_for_where_it_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "tells-the-pin"
    program.parent.mkdir()
    program.touch()
    program.chmod(0o777)
    config = config_with(tmp_path, "", "command:tells-the-pin --of 'the token'")
    assert not [*exposed_files(config)]
    monkeypatch.setenv("PATH", str(program.parent))
    (line,) = exposed_files(config)
    assert line == f"token demo: pin_source: {program}: others than its owner may change it (mode 777)"
