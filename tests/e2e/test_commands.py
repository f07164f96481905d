"""The commands, as an operator uses and misuses them."""

import asyncio
import json
import re
import shutil
import signal
import socket
import ssl
import subprocess
from pathlib import Path

import aiohttp
import pytest

from hsmgate.errors import PIN_REFUSED
from tests.certificates import make_certificates
from tests.gateway_process import HSMGATE, b64, serving
from tests.secrets_scan import NOTES, NotingResponse
from tests.token_tool import Demo

ITEM = {"key": {"name": "rsa4096"}, "hash_alg": "SHA256", "data": b64(b"x")}


def run(*arguments: str | Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*HSMGATE, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=timeout
    )
    NOTES.sight(f"what hsmgate {arguments[0]} printed", done.stdout + done.stderr)
    return done


def edited(demo: Demo, *changes: tuple[str, str]) -> Path:
    text = demo.config.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file = demo.folder / "edited.toml"
    file.write_text(text)
    return file


def test_init_leaves_what_it_should_and_keeps_it_when_repeated(own_demo: Demo) -> None:
    folder = own_demo.folder
    assert {"hsmgate.toml", "api-key", "pin", "softhsm2.conf", "tokens"} <= {file.name for file in folder.iterdir()}
    assert (folder / "api-key").stat().st_mode & 0o777 == 0o600
    assert (folder / "pin").stat().st_mode & 0o777 == 0o600
    before = {file: file.read_bytes() for file in folder.iterdir() if file.is_file()}, own_demo.public_keys()
    assert run("init", folder).returncode == 0
    assert ({file: file.read_bytes() for file in folder.iterdir() if file.is_file()}, own_demo.public_keys()) == before


def test_init_makes_what_is_missing(own_demo: Demo) -> None:
    own_demo.delete_key("p384")
    assert run("init", own_demo.folder).returncode == 0
    assert sorted(label for label, _, _ in own_demo.public_keys()).count("p384") == 1


def test_init_says_where_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("init", tmp_path / "file")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert str(tmp_path / "file") in done.stderr


def test_check_prints_the_token_its_keys_and_what_it_can_do(demo: Demo) -> None:
    done = run("check", "--config", demo.config)
    assert done.returncode == 0, done.stderr
    for word in ("hsmgate-demo", "rsa4096", "ed25519", "was seen to do", "ECDSA"):
        assert word in done.stdout


def test_check_tells_of_keys_that_cannot_be_told_apart(own_demo: Demo) -> None:
    own_demo.make_key("p256", "EC:prime256v1")
    done = run("check", "--config", own_demo.config)
    assert done.returncode == 0
    assert "problem: 2 keys are named 'p256'" in done.stdout


@pytest.mark.parametrize("command", ["check", "serve"])
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("libsofthsm2.so", "libnothing.so", "cannot load"),
        ("token=hsmgate-demo", "token=hsmgate-dem0", "matches no token"),
        ("file:pin", "file:wrong-pin", "refused the PIN"),
        ("file:pin", "file:no-pin", "pin_source file:no-pin"),
        ("file:pin", "env:HSMGATE_TEST_UNSET", "pin_source env:HSMGATE_TEST_UNSET"),
    ],
    ids=["module", "label", "pin", "no pin file", "no pin variable"],
)
def test_a_token_that_cannot_be_opened_is_one_clear_line(
    own_demo: Demo, command: str, old: str, new: str, said: str
) -> None:
    (own_demo.folder / "wrong-pin").write_text("314159265\n")
    (own_demo.folder / "wrong-pin").chmod(0o600)
    done = run(command, "--config", edited(own_demo, (old, new)))
    assert done.returncode == (PIN_REFUSED if (command, said) == ("serve", "refused the PIN") else 1)
    *tries, line = (done.stdout + done.stderr).splitlines()
    assert said in line
    assert "demo" in line
    assert len(tries) == (2 if (command, said) == ("serve", "matches no token") else 0)  # which may come
    assert all("a signer did not start" in one for one in tries)
    assert "314159265" not in line
    NOTES.secret("wrong PIN", "314159265")


def test_two_tokens_of_one_label_are_refused_with_their_serials(own_demo: Demo) -> None:
    subprocess.run(
        [
            "softhsm2-util",
            "--init-token",
            "--free",
            "--label",
            "hsmgate-demo",
            "--pin",
            "12345678",
            "--so-pin",
            "12345678",
        ],
        env={"SOFTHSM2_CONF": str(own_demo.folder / "softhsm2.conf")},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    done = run("check", "--config", own_demo.config)
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert "matches 2 tokens" in line
    serial = re.findall(r"[0-9a-f]{16}", line)[0]
    one = edited(own_demo, ("token=hsmgate-demo", f"token=hsmgate-demo;serial={serial}"))
    assert "matches 2" not in run("check", "--config", one).stdout


@pytest.mark.parametrize("workers", [1, 2])
def test_a_wrong_pin_is_tried_exactly_once(own_demo: Demo, tmp_path: Path, workers: int) -> None:
    """A module that logs every call says how often C_Login was called."""
    (own_demo.folder / "wrong-pin").write_text("314159265\n")
    (own_demo.folder / "wrong-pin").chmod(0o600)
    calls = tmp_path / "calls"
    spy = shutil.which("pkcs11-spy.so", path="/usr/lib/x86_64-linux-gnu:/usr/lib/aarch64-linux-gnu:/usr/lib/pkcs11")
    found = spy or next(str(file) for file in Path("/usr/lib").glob("**/pkcs11-spy.so"))
    config = edited(
        own_demo,
        ("/usr/lib/softhsm/libsofthsm2.so", found),
        ("file:pin", "file:wrong-pin"),
        ("[server]\n", f"[server]\nworkers = {workers}\n"),
        (
            "env = { ",
            f'env = {{ PKCS11SPY = "/usr/lib/softhsm/libsofthsm2.so", PKCS11SPY_OUTPUT = "{calls}", ',
        ),
    )
    done = run("serve", "--config", config)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (PIN_REFUSED, "", 1), done.stderr
    assert calls.read_text().count("C_Login\n") == 1


def test_config_mistakes_are_told_all_at_once(demo: Demo, tmp_path: Path) -> None:
    config = tmp_path / "bad.toml"
    config.write_text(
        demo.config.read_text().replace("signers = 2", "signers = 0\nsingers = 2").replace("file:", "1234")
    )
    done = run("serve", "--config", config)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 3
    for path in ("token[0].signers", "token[0].singers", "token[0].pin_source"):
        assert path in done.stderr
    assert "1234" not in done.stderr


def test_serve_says_when_the_address_is_taken(demo: Demo) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("serve", "--config", demo.config, "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == 1
    assert "cannot listen" in done.stderr


def test_plain_http_for_everyone_is_refused_with_what_to_write(own_demo: Demo) -> None:
    done = run("serve", "--config", own_demo.config, "--listen", "0.0.0.0:0")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert 'plain_http = "anywhere"' in line
    done = run("check", "--config", edited(own_demo, ("127.0.0.1:8080", "0.0.0.0:8080")))
    assert done.returncode == 1
    assert line.removeprefix("hsmgate: ").replace("0.0.0.0:0", "0.0.0.0:8080") in done.stdout


def test_check_looks_at_the_tls_files_and_warns_of_a_pin_for_everyone(own_demo: Demo) -> None:
    (own_demo.folder / "pin").chmod(0o644)
    tls = '[server]\ntls_certificate = "server.pem"\ntls_key = "server.key"\n'
    done = run("check", "--config", edited(own_demo, ("[server]\n", tls)))
    assert done.returncode == 1
    assert "warning: token demo: pin_source: pin: everyone may read it (mode 644)\n" in done.stdout
    assert "server.tls_certificate, server.tls_key: No such file" in done.stdout
    make_certificates(own_demo.folder)
    assert run("check", "--config", own_demo.folder / "edited.toml").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_and_exits_with_0_and_takes_the_signers_along(
    demo: Demo, tmp_path: Path, number: signal.Signals
) -> None:
    async with serving(demo.config, demo.api_key, tmp_path / "log") as gateway:
        signers = gateway.signers()
        batch = asyncio.create_task(gateway.sign([ITEM] * 100))
        await asyncio.sleep(0.1)
        gateway.process.send_signal(number)
        assert all(answer["status"] == 200 for answer in await batch)
        assert await asyncio.wait_for(gateway.process.wait(), 20) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in signers)


async def test_signers_do_not_outlive_a_killed_gateway(demo: Demo, tmp_path: Path) -> None:
    async with serving(demo.config, demo.api_key, tmp_path / "log") as gateway:
        signers = gateway.signers()
        gateway.process.kill()
        await gateway.process.wait()
        async with asyncio.timeout(5):
            while any(Path(f"/proc/{pid}").exists() for pid in signers):
                await asyncio.sleep(0.02)


async def test_more_signers_and_more_sessions_sign_side_by_side(own_demo: Demo, tmp_path: Path) -> None:
    config = edited(own_demo, ("signers = 2", "signers = 3"), ("sessions = 1", "sessions = 4"))
    async with serving(config, own_demo.api_key, tmp_path / "log") as gateway:
        items = [{**ITEM, "key": {"name": name}} for name in ("rsa2048", "p256", "p521") * 100]
        answers = await asyncio.gather(*(gateway.sign(items) for _ in range(4)))
        assert {answer["status"] for batch in answers for answer in batch} == {200}


async def test_an_app_gets_only_its_keys_and_operations(own_demo: Demo, tmp_path: Path) -> None:
    config = edited(own_demo, ('keys = ["*"]', 'keys = ["rsa*", "p?56"]'))
    async with serving(config, own_demo.api_key, tmp_path / "log") as gateway:
        names = ("rsa2048", "p256", "p384", "nothing")
        answers = await gateway.sign([{**ITEM, "key": {"name": name}} for name in names])
        assert [answer["status"] for answer in answers] == [200, 200, 404, 404]
        assert answers[2] == answers[3]
    config = edited(own_demo, ('"sign", "verify"', '"verify"'))
    async with serving(config, own_demo.api_key, tmp_path / "log") as gateway:
        assert (await gateway.sign_one(ITEM))["status"] == 403


async def test_limits_of_the_config_hold(own_demo: Demo, tmp_path: Path) -> None:
    limits = '[server]\nmax_items = 3\nmax_body = "1KiB"\nmax_waiting = 2\n'
    async with serving(edited(own_demo, ("[server]\n", limits)), own_demo.api_key, tmp_path / "log") as gateway:
        assert (await gateway.post([{}] * 4))[0] == 413
        assert (await gateway.post(b" " * 1025))[0] == 413
        small = {"key": {"name": "p256"}, "hash_alg": "SHA1", "data": "AA=="}
        assert [answer["status"] for answer in await gateway.sign([small] * 3)] == [200, 200, 503]


async def test_a_batch_that_takes_too_long_is_answered_in_time(own_demo: Demo, tmp_path: Path) -> None:
    config = edited(own_demo, ("[server]\n", "[server]\nrequest_timeout = 1\n"))
    async with serving(config, own_demo.api_key, tmp_path / "log") as gateway:
        answers = await gateway.sign([ITEM] * 5000)
        statuses = [answer["status"] for answer in answers]
        assert set(statuses) == {200, 504}
        assert (await gateway.sign_one(ITEM))["status"] == 200


async def test_it_serves_on_a_unix_socket_that_no_other_takes_away(demo: Demo, tmp_path: Path) -> None:
    path = tmp_path / "gate.sock"
    process = await asyncio.create_subprocess_exec(
        *(*HSMGATE, "serve", "--config", str(demo.config), "--listen", f"unix:{path}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout
    assert str(path) in (await process.stdout.readline()).decode()
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path)), response_class=NotingResponse) as client,
        client.get("http://gate/sys/v1/health") as response,
    ):
        assert response.status == 204
        second = await asyncio.to_thread(run, "serve", "--config", demo.config, "--listen", f"unix:{path}")
        assert (second.returncode, second.stderr.splitlines()[-1]) == (
            1,
            f"hsmgate: cannot listen on unix:{path}: somebody else does",
        )
    process.terminate()
    assert await process.wait() == 0


async def test_it_serves_https_and_wants_the_clients_certificate_by_the_ca_of_the_day(
    own_demo: Demo, tmp_path: Path
) -> None:
    made = make_certificates(own_demo.folder)
    tls = '[server]\ntls_certificate = "server.pem"\ntls_key = "server.key"\nclient_ca = "ca.pem"\n'
    async with serving(edited(own_demo, ("[server]\n", tls)), own_demo.api_key, tmp_path / "log") as gateway:
        assert gateway.url.startswith("https://")
        trusting = ssl.create_default_context(cafile=made.ca)
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await health(gateway.url, trusting)
        trusting.load_cert_chain(made.client, made.client_key)
        assert await health(gateway.url, trusting) == 204

        made = make_certificates(own_demo.folder)
        renewed = ssl.create_default_context(cafile=made.ca)
        renewed.load_cert_chain(made.client, made.client_key)
        async with asyncio.timeout(20):
            while "the TLS files have changed" not in gateway.log.read_text():
                await asyncio.sleep(0.05)
        assert await health(gateway.url, renewed) == 204
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await health(gateway.url, trusting)


async def health(url: str, tls: ssl.SSLContext) -> int:
    connector = aiohttp.TCPConnector(ssl=tls)
    async with (
        aiohttp.ClientSession(connector=connector, response_class=NotingResponse) as client,
        client.get(url + "/sys/v1/health") as response,
    ):
        return response.status


def test_the_help_names_the_commands() -> None:
    text = run("--help").stdout
    assert all(command in text for command in ("init", "serve", "check"))
    assert json.dumps(run("--version").stdout.split()[0]) == '"hsmgate"'
