"""The start of a gateway over several tokens, of which some cannot be had."""

import asyncio
import json
import re
import signal
import subprocess
from asyncio.subprocess import Process
from pathlib import Path

import aiohttp
import pytest

import hsmgate
from hsmgate.config import Config
from hsmgate.errors import PIN_REFUSED, TokenMisconfigured
from hsmgate.gateway.pin_file import PinFile
from hsmgate.gateway.signer_process import SignerProcess
from hsmgate.secret import Secret
from tests.activation import Manager, listening, ready_line, start_on
from tests.e2e.test_several_tokens import clone_of, sections
from tests.faults.module import faulty
from tests.gateway_process import BATCH_SIGN, HSMGATE, b64, logged, serving
from tests.secrets_scan import NOTES
from tests.token_tool import Demo

pytestmark = pytest.mark.asyncio(loop_scope="session")

ITEM = {"key": {"name": "p256"}, "hash_alg": "SHA256", "data": b64(b"x")}
WRONG = "314159265"


def with_clone(demo: Demo, folder: Path) -> Path:
    """A config with the demo's token and a copy of it."""
    token, app = sections(demo.config)
    config = demo.folder / "two.toml"
    config.write_text(token + clone_of(demo, folder / "clone") + app)
    return config


def spoil_pin(config: Path, token: str) -> Path:
    """Have that token of the config get a wrong PIN; the file that it is in."""
    pin = config.with_name(f"pin-of-{token}")
    pin.write_text(WRONG)
    pin.chmod(0o600)
    NOTES.secret("wrong PIN", WRONG)
    before, name, after = config.read_text().partition(f'name = "{token}"')
    config.write_text(before + name + after.replace('"file:pin"', json.dumps(f"file:{pin.name}"), 1))
    return pin


async def readiness(url: str) -> tuple[int, str]:
    async with aiohttp.request("GET", f"{url}/readyz") as response:
        return response.status, await response.text()


async def until_ready(url: str) -> None:
    async with asyncio.timeout(60):
        while (await readiness(url))[0] != 200:
            await asyncio.sleep(0.05)


async def sign(url: str, demo: Demo) -> int:
    headers = {"Authorization": f"Basic {demo.api_key}"}
    async with aiohttp.request("POST", url + BATCH_SIGN, json=[ITEM], headers=headers) as response:
        (answer,) = await response.json()
    status: int = answer["status"]
    return status


async def test_a_token_that_hangs_holds_nobody_back(own_demo: Demo, tmp_path: Path) -> None:
    token = faulty(with_clone(own_demo, tmp_path), tmp_path, "demo")
    token.rules.set("C_Initialize hang")
    manager, log = Manager(tmp_path / "notify"), tmp_path / "log"
    with listening() as held:
        process = await start_on((held,), token.config, log, manager.environment)
        try:
            await manager.hears("EXTEND_TIMEOUT_USEC=")
            process.send_signal(signal.SIGHUP)  # which is no reason to end
            url = (await ready_line(process)).split()[-1]
            await manager.hears("READY=1")
            assert await readiness(url) == (503, "token demo: it has no signer\n")
            assert await sign(url, own_demo) == 200
            await logged(log, "token demo is still being opened; it is not waited for")
            token.rules.clear()
            await until_ready(url)
        finally:
            manager.close()
            assert await ended(process) == 0


async def ended(process: Process) -> int:
    if process.returncode is None:
        process.terminate()
    return await asyncio.wait_for(process.wait(), 40)


async def test_a_wrong_pin_of_one_token_keeps_no_other_from_serving(own_demo: Demo, tmp_path: Path) -> None:
    config = with_clone(own_demo, tmp_path)
    pin = spoil_pin(config, "clone")
    async with serving(config, own_demo.api_key, tmp_path / "log") as gateway:
        assert await sign(gateway.url, own_demo) == 200
        said = "token clone is down: the token refused the PIN (CKR_PIN_INCORRECT); it was tried once"
        await gateway.logged(said)
        # Its keys are all on the other as well, but nobody could look at them yet.
        assert (await readiness(gateway.url))[0] == 503
        pin.write_text(own_demo.pin)
        await until_ready(gateway.url)
        await gateway.logged("token clone is up again")


async def test_one_that_is_not_required_is_not_waited_for(own_demo: Demo, tmp_path: Path) -> None:
    config = with_clone(own_demo, tmp_path)
    spoil_pin(config, "clone")
    config.write_text(config.read_text().replace('name = "clone"', 'name = "clone"\nrequired = false'))
    assert run("check", config).returncode == 0
    async with serving(config, own_demo.api_key, tmp_path / "log") as gateway:
        await until_ready(gateway.url)


async def test_where_no_token_can_be_had_it_ends_and_says_why_of_each(own_demo: Demo, tmp_path: Path) -> None:
    config = with_clone(own_demo, tmp_path)
    spoil_pin(config, "clone")
    config.write_text(config.read_text().replace("libsofthsm2.so", "libnothing.so", 1))
    done = await asyncio.to_thread(run, "serve", config)
    assert done.returncode == PIN_REFUSED
    last = done.stderr.splitlines()[-1]
    assert "token demo: cannot load" in last
    assert "token clone: the token refused the PIN" in last
    assert WRONG not in done.stderr
    assert (await asyncio.to_thread(run, "check", config)).returncode == 1


async def test_a_signer_of_another_version_says_what_to_do(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an upgrade in place, under a gateway that goes on."""
    installed = hsmgate.__version__
    monkeypatch.setattr(hsmgate, "__version__", "0.0.0")
    loaded = Config.load(demo.config)
    said = f"the installed hsmgate is now {installed}, and this gateway is 0.0.0: restart it"
    with pytest.raises(TokenMisconfigured, match=f"^{re.escape(said)}$"):
        await SignerProcess.start(loaded.token[0], loaded.folder, Secret(demo.pin), PinFile())


def run(command: str, config: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*HSMGATE, command, "--config", str(config)], capture_output=True, text=True, check=False, timeout=100
    )
