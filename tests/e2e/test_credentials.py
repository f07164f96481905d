"""Who may call: certificates, JWTs, API keys and sessions over https, while the config changes under the gateway."""

import asyncio
import base64
import json
import os
import shutil
import signal
import ssl
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from cryptography import x509

from tests.certificates import Certificates, make_certificates
from tests.gateway_process import BATCH_SIGN, HSMGATE, Gateway, b64, serving
from tests.jwt_provider import AUDIENCE, ISSUER, Provider, claims, key_set, serving_keys
from tests.secrets_scan import NOTES, NotingResponse
from tests.token_tool import Demo

pytestmark = pytest.mark.asyncio(loop_scope="session")

MACHINE, JOB, TWIN = (str(uuid.uuid4()) for _ in range(3))
REFRESH, AUTH = "/sys/v1/session/refresh", "/sys/v1/session/auth"
AWAY, FILE = "https://away.test", "https://file.test"
ITEM = {"key": {"name": "p256"}, "hash_alg": "SHA256", "data": b64(b"x")}
SEEN_WITHIN_SECONDS = 10.0
"""It takes about one; the rest is for busy machines."""


@dataclass
class Scene:
    """A gateway that takes credentials of every kind, and who shows them."""

    demo: Demo
    gateway: Gateway
    certificates: Certificates
    provider: Provider
    clients: dict[str | None, aiohttp.ClientSession]

    async def call(self, path: str, authorization: str | None = None, certificate: str | None = None) -> int:
        return (await self.answer(path, authorization, certificate))[0]

    async def answer(
        self, path: str, authorization: str | None = None, certificate: str | None = None
    ) -> tuple[int, bytes, str | None]:
        """Status, body and challenge."""
        headers = {"Authorization": authorization} if authorization is not None else {}
        body = json.dumps([ITEM]).encode() if path == BATCH_SIGN else b""
        async with self.clients[certificate].post(self.gateway.url + path, data=body, headers=headers) as response:
            return response.status, await response.read(), response.headers.get("WWW-Authenticate")

    async def session(self, authorization: str | None = None, certificate: str | None = None) -> tuple[str, str, int]:
        """App id, session token and its idle time."""
        status, body, _ = await self.answer(AUTH, authorization, certificate)
        assert status == 200, body
        said = json.loads(body)
        return said["entity_id"], f"Bearer {said['access_token']}", said["expires_in"]

    def key(self, authorization: str) -> str:
        return f"Basic {authorization}"

    async def command(self, *arguments: str) -> str:
        """What an `hsmgate app` command says on stdout."""
        process = await asyncio.create_subprocess_exec(
            *(*HSMGATE, "app", *arguments, "--config", str(self.demo.config)), stdout=subprocess.PIPE
        )
        said, _ = await process.communicate()
        assert process.returncode == 0
        printed = said.decode().strip()
        if printed:
            NOTES.api_key(printed)
        return printed

    async def until(self, status: int, authorization: str) -> None:
        async with asyncio.timeout(SEEN_WITHIN_SECONDS):
            while await self.call(REFRESH, authorization) != status:
                await asyncio.sleep(0.02)


def config(provider: Provider) -> str:
    return f"""
[[app]]
id = "{MACHINE}"
name = "machine"
certificates = ["subject:CN=machine,O=Bank", "uri:spiffe://bank/both"]

[[app]]
id = "{JOB}"
name = "job"
jwt_subjects = ["batch-job"]
jwt_provider = "idp"

[[app]]
id = "{TWIN}"
name = "twin"
certificates = ["dns:both.test", "dns:twin.test"]
jwt_subjects = ["batch-job"]
jwt_provider = "file"

[[jwt_provider]]
name = "idp"
issuer = "{ISSUER}"
audience = "{AUDIENCE}"
jwks = "{provider.url}"

[[jwt_provider]]
name = "away"
issuer = "{AWAY}"
audience = "{AUDIENCE}"
jwks = "http://127.0.0.1:1/"

[[jwt_provider]]
name = "file"
issuer = "{FILE}"
audience = "{AUDIENCE}"
jwks = "file:keys.json"
"""


@pytest.fixture(scope="module")
def own(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """A copy of the demo for all tests of this file."""
    copy = Demo(tmp_path_factory.mktemp("credentials") / "own")
    shutil.copytree(demo.folder, copy.folder)
    subprocess.run([*HSMGATE, "init", str(copy.folder)], check=True, stdout=subprocess.DEVNULL)
    return copy


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(own: Demo) -> AsyncIterator[Scene]:
    made = make_certificates(own.folder)
    files: dict[str | None, Path] = {
        "machine": made.make_client("machine", "CN=machine,O=Bank"),
        "both": made.make_client(
            "both", "CN=both", x509.DNSName("both.test"), x509.UniformResourceIdentifier("spiffe://bank/both")
        ),
        "stranger": made.make_client("stranger", "CN=machine,O=Other"),
        "nameless": made.make_client("nameless", "", x509.DNSName("TWIN.test")),
    }
    tls = '[server]\ntls_certificate = "server.pem"\ntls_key = "server.key"\nclient_ca = "ca.pem"\n'
    async with serving_keys(Provider()) as provider:
        (own.folder / "keys.json").write_text(json.dumps(key_set(provider.keys)))
        text = own.config.read_text().replace("[server]\n", tls + 'client_certificates = "optional"\n')
        own.config.write_text(text + config(provider))
        async with serving(own.config, own.api_key, own.folder / "credentials.log") as gateway:
            clients = {None: client(made.ca, None)} | {name: client(made.ca, file) for name, file in files.items()}
            yield Scene(own, gateway, made, provider, clients)
            for one in clients.values():
                await one.close()


def client(ca: Path, certificate: Path | None) -> aiohttp.ClientSession:
    trusting = ssl.create_default_context(cafile=ca)
    if certificate is not None:
        trusting.load_cert_chain(certificate)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting), response_class=NotingResponse)


async def status(one: aiohttp.ClientSession, url: str) -> int:
    async with one.post(url) as response:
        return response.status


def basic(app_id: str, secret: str = "") -> str:
    return "Basic " + base64.b64encode(f"{app_id}:{secret}".encode()).decode()


async def test_a_certificate_is_its_app_on_every_call_and_for_a_session(scene: Scene) -> None:
    assert await scene.call(BATCH_SIGN, None, "machine") == 200
    for authorization in (None, basic(MACHINE), basic(MACHINE.upper())):
        app_id, token, idle = await scene.session(authorization, "machine")
        assert (app_id, idle) == (MACHINE, 600)
        assert await scene.call(BATCH_SIGN, token) == 200
    assert (await scene.session(None, "nameless"))[0] == TWIN


async def test_pages_of_other_sites_have_no_use_of_a_browsers_certificate(scene: Scene) -> None:
    for site, status in (("cross-site", 401), ("same-site", 401), ("same-origin", 200), ("none", 200)):
        url, headers = scene.gateway.url + AUTH, {"Sec-Fetch-Site": site}
        async with scene.clients["machine"].post(url, headers=headers) as response:
            assert response.status == status, site


async def test_a_certificate_of_two_apps_must_say_which(scene: Scene) -> None:
    assert await scene.call(REFRESH, None, "both") == 401
    assert (await scene.session(basic(MACHINE), "both"))[0] == MACHINE
    assert (await scene.session(basic(TWIN), "both"))[0] == TWIN


async def test_no_credentials_are_a_401_that_says_what_would_do(scene: Scene) -> None:
    for certificate in (None, "stranger"):
        status, text, challenge = await scene.answer(BATCH_SIGN, None, certificate)
        assert (status, challenge) == (401, 'Basic realm="hsmgate", Bearer realm="hsmgate"')
        assert text.startswith(b"no valid credentials")


async def test_a_wrong_authorization_is_wrong_whatever_the_certificate(scene: Scene) -> None:
    app_id, _, secret = base64.b64decode(scene.demo.api_key).decode().partition(":")
    wrong = [
        *("", "Basic", "Bearer", "Bearer x", "Bearer a.b.c", "Negotiate x", "Basic " + b64(b":"), "Basic " + b64(b"x")),
        *(
            basic(MACHINE, "x"),
            basic(MACHINE, secret),
            basic(TWIN),
            basic(JOB),
            basic(app_id),
            basic(str(uuid.uuid4())),
        ),
        basic(MACHINE).replace("Basic", "Bearer"),
        "Bearer " + scene.provider.token(sub="nobody"),
    ]
    for path in (REFRESH, AUTH):
        for authorization in wrong:
            assert await scene.call(path, authorization, "machine") == 401, authorization
    for certificate in (None, "stranger"):
        assert await scene.call(AUTH, basic(MACHINE), certificate) == 401
    twice = [("Authorization", scene.key(scene.demo.api_key))] * 2
    async with scene.clients["machine"].post(scene.gateway.url + REFRESH, headers=twice) as response:
        assert response.status == 401


async def test_an_api_key_is_its_app_whatever_the_certificate(scene: Scene) -> None:
    demo = base64.b64decode(scene.demo.api_key).decode().partition(":")[0]
    for certificate in (None, "machine", "stranger"):
        assert (await scene.session(scene.key(scene.demo.api_key), certificate))[0] == demo


async def test_a_certificate_that_does_not_verify_gets_no_connection(scene: Scene, tmp_path: Path) -> None:
    others = make_certificates(tmp_path).make_client("machine", "CN=machine,O=Bank")
    expired = scene.certificates.make_client("expired", "CN=machine,O=Bank", lives_hours=-0.5)
    for file in (others, expired):
        async with client(scene.certificates.ca, file) as one:
            with pytest.raises((aiohttp.ClientError, ssl.SSLError, ConnectionError)):
                await one.post(scene.gateway.url + REFRESH)


async def test_a_jwt_is_its_app_on_every_call_and_for_a_session_as_long_as_it_lives(scene: Scene) -> None:
    good = "Bearer " + scene.provider.token()
    assert await scene.call(BATCH_SIGN, good) == 200
    app_id, token, idle = await scene.session(good)
    assert app_id == JOB
    assert 290 <= idle <= 310
    assert await scene.call(BATCH_SIGN, token) == 200
    assert (await scene.session("Bearer " + scene.provider.token(iss=FILE)))[0] == TWIN
    for wrong in (scene.provider.token(aud="x"), scene.provider.token(exp=claims()["exp"] - 3600), good + "A"):
        assert await scene.call(BATCH_SIGN, f"Bearer {wrong}") == 401


async def test_a_provider_that_is_away_costs_its_own_callers_only(scene: Scene) -> None:
    async with scene.clients[None].post(
        scene.gateway.url + REFRESH, headers={"Authorization": "Bearer " + scene.provider.token(iss=AWAY)}
    ) as response:
        assert (response.status, "Retry-After" in response.headers) == (503, True)
    assert await scene.call(REFRESH, "Bearer " + scene.provider.token()) == 204
    said = "jwt_provider away: its keys cannot be read"
    await scene.gateway.logged(said)
    assert scene.gateway.log.read_text().count(said) == 1


async def test_keys_are_rotated_and_revoked_while_others_sign_and_never_fail(scene: Scene) -> None:
    first = scene.key(await scene.command("add", "rotating", "--keys", "p256"))
    await scene.until(204, first)
    _, session, _ = await scene.session(first)
    _, other_session, _ = await scene.session(None, "machine")
    current = [first]
    statuses: set[int] = set()

    async def sign(authorization: Callable[[], str], certificate: str | None = None) -> None:
        while not done.is_set():
            statuses.add(await scene.call(BATCH_SIGN, authorization(), certificate))
            await asyncio.sleep(0.005)

    done = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(sign(lambda: current[0]))
        group.create_task(sign(lambda: scene.key(scene.demo.api_key)))
        group.create_task(sign(lambda: basic(MACHINE), "machine"))
        group.create_task(sign(lambda: "Bearer " + scene.provider.token()))
        group.create_task(sign(lambda: other_session))
        second = scene.key(await scene.command("rotate", "rotating"))
        await scene.until(204, second)
        assert await scene.call(REFRESH, first) == await scene.call(REFRESH, session) == 204
        current[0] = second
        await asyncio.sleep(0.05)
        await scene.command("revoke", "rotating", "--old-keys")
        await scene.until(401, first)
        assert await scene.call(REFRESH, session) == 401, "a session ends with the key that it was given for"
        _, session, _ = await scene.session(second)
        done.set()
    assert statuses == {200}
    await scene.command("revoke", "rotating")
    await scene.until(401, second)
    assert await scene.call(REFRESH, session) == 401


async def test_a_name_that_is_taken_from_an_app_ends_its_sessions(scene: Scene) -> None:
    _, by_certificate, _ = await scene.session(None, "nameless")
    _, by_jwt, _ = await scene.session("Bearer " + scene.provider.token(iss=FILE))
    text = scene.demo.config.read_text()
    scene.demo.config.write_text(text.replace(', "dns:twin.test"', ""))
    await scene.until(401, by_certificate)
    assert await scene.call(REFRESH, None, "nameless") == 401
    assert await scene.call(REFRESH, by_jwt) == 204
    scene.demo.config.write_text(text)
    await scene.until(204, by_certificate)


async def test_a_ca_that_is_removed_ends_the_sessions_and_the_connections_of_its_certificates(
    scene: Scene, tmp_path: Path
) -> None:
    ca, url = scene.certificates.ca, scene.gateway.url + REFRESH
    first, second = ca.read_bytes(), make_certificates(tmp_path).ca.read_bytes()
    _, by_certificate, _ = await scene.session(None, "machine")
    _, by_key, _ = await scene.session(scene.key(scene.demo.api_key), "machine")
    async with client(ca, ca.with_name("machine.pem")) as one:
        assert await status(one, url) == 204
        ca.write_bytes(second + first)
        await scene.until(401, by_certificate)
        assert await status(one, url) == 204, "the open connection's CA is still there"
        _, by_certificate_again, _ = await scene.session(None, "machine")
        ca.write_bytes(second)
        await scene.until(401, by_certificate_again)
        assert await status(one, url) == 401
        with pytest.raises((aiohttp.ClientError, ssl.SSLError, ConnectionError)):
            await status(one, url)  # the connection has ended, and there is no other
    assert await scene.call(REFRESH, by_key) == 204
    ca.write_bytes(first)
    await scene.until(204, by_certificate)


async def test_a_provider_that_is_trusted_otherwise_ends_the_sessions_of_its_jwts(scene: Scene) -> None:
    text = scene.demo.config.read_text()
    _, by_jwt, _ = await scene.session("Bearer " + scene.provider.token())
    _, of_another, _ = await scene.session("Bearer " + scene.provider.token(iss=FILE))
    provider = f'issuer = "{ISSUER}"\n'
    scene.demo.config.write_text(text.replace(provider, provider + 'algorithms = ["ES256"]\n'))
    await scene.until(401, by_jwt)
    assert await scene.call(REFRESH, of_another) == 204
    assert await scene.call(REFRESH, "Bearer " + scene.provider.token()) == 204
    scene.demo.config.write_text(text)
    await scene.until(204, by_jwt)


async def test_a_config_with_a_mistake_is_refused_in_full(scene: Scene) -> None:
    good = scene.demo.config.read_text()
    api_key = scene.key(scene.demo.api_key)
    without = good[: good.index("[[app]]")]
    scene.demo.config.write_text(without + '[[app]]\nname = ""\n')
    await scene.gateway.logged("not taken over: app[0]: no credential")
    log = scene.gateway.log.read_text()
    assert "not taken over: app[0].id: missing" in log
    assert "not taken over: app[0].name: " in log
    assert await scene.call(REFRESH, api_key) == 204
    scene.demo.config.write_text(without)
    await scene.until(401, api_key)
    scene.demo.config.write_text(good.replace("127.0.0.1:8080", "127.0.0.1:8081"))
    await scene.until(204, api_key)
    await scene.gateway.logged("need a restart: server.listen")
    scene.demo.config.write_text(good)
    await scene.gateway.logged("changed: server.listen\n")


async def test_sighup_loads_the_config_and_leaves_the_signers(scene: Scene) -> None:
    signers = scene.gateway.signers()
    for pid in (*signers, scene.gateway.process.pid):
        os.kill(pid, signal.SIGHUP)
    await scene.gateway.logged("the config is taken over, changed: nothing")
    assert await scene.call(BATCH_SIGN, scene.key(scene.demo.api_key)) == 200
    assert scene.gateway.signers() == signers


async def test_no_secret_is_in_the_log(scene: Scene) -> None:
    await scene.call(REFRESH, "Bearer " + scene.provider.token() + "A")
    log = scene.gateway.log.read_text()
    assert base64.b64decode(scene.demo.api_key).decode().partition(":")[2] not in log
    assert "eyJ" not in log
