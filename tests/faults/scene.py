"""Where a fault happens: a gateway over copies of the demo's token, seen through the faulty module, under load."""

import asyncio
import contextlib
import json
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.faults.items import Mixer
from tests.faults.judge import Judge
from tests.faults.load import Load
from tests.faults.module import Rules, build
from tests.gateway_process import Gateway, serving
from tests.token_tool import MODULE, Demo

Words = Mapping[str, object]
"""Words of the config, and their values."""

SIGNERS = 2
REQUEST_TIMEOUT = 10.0
PATIENCE_SECONDS = 5.0
"""So much later than the gateway's own deadline a call counts as unanswered."""

START_SECONDS = 30.0

SLOWNESS_MS = 4
"""The token is a little slow, so that the signers and not this machine's cores set the rate: a lost signer shows."""

LOGINS = "C_Login delay 0.1"
"""Does nothing worth mention; its hits count the logins."""


@dataclass(frozen=True, slots=True)
class SceneToken:
    """A token, and the rules of the module that its signers see it through."""

    demo: Demo
    rules: Rules

    @property
    def conf(self) -> Path:
        """SoftHSM's config, by which its signers are known."""
        return self.demo.folder / "softhsm2.conf"

    def break_by(self, *lines: str, slowness_ms: float = SLOWNESS_MS) -> None:
        """The module follows these rules, and is otherwise as slow as that."""
        self.rules.set(LOGINS, *lines, f"C_SignInit delay {slowness_ms}")

    def mend(self) -> None:
        """The module does what it should."""
        self.break_by()

    def logins(self) -> int:
        """How often somebody tried to log in since the rules are what they are."""
        return self.rules.hits()[0]

    def hits(self) -> list[int]:
        """How often each line given to `break_by` was followed."""
        return self.rules.hits()[1:-1]


@dataclass(slots=True)
class Scene:
    """A gateway under load, and what a fault may do to it.

    rate: the signatures a second before the fault.
    problems: what went wrong apart from the answers, in words.
    figures: what else was measured.
    times: how often each rule of the module was followed.
    """

    tokens: list[SceneToken]
    gateway: Gateway
    load: Load
    request_timeout: float
    rate: float = 0.0
    problems: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)
    times: list[int] = field(default_factory=list)

    @property
    def token(self) -> SceneToken:
        """The token that it happens to: the last."""
        return self.tokens[-1]

    def signers(self) -> list[psutil.Process]:
        """The signer processes of that token that the gateway has."""
        children = {child.pid for child in psutil.Process(self.gateway.process.pid).children()}
        return [signer for signer in self.all_signers() if signer.pid in children]

    def all_signers(self) -> list[psutil.Process]:
        """The same, with those that it lost sight of, if there were any."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if "hsmgate.signer" in process.cmdline() and self._is_of_token(process):
                    found.append(process)
        return found

    def _is_of_token(self, signer: psutil.Process) -> bool:
        try:
            return signer.environ().get("SOFTHSM2_CONF") == str(self.token.conf)
        except psutil.AccessDenied:  # they dump no core, so that only root may look
            word = f"token {self.token.demo.folder.name}: signer {signer.pid} is ready"
            return word in self.gateway.log.read_text()

    def signal_signers(self, number: signal.Signals, count: int | None = None) -> None:
        """Send a signal to so many signers of that token, or to all."""
        for child in self.signers()[:count]:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.send_signal(number)

    async def wait_for_signers(self) -> None:
        """Until all signers of all tokens are ready, by the log."""
        async with asyncio.timeout(START_SECONDS):
            while True:
                log = self.gateway.log.read_text()
                if sum(f"signer {pid} is ready" in log for pid in self.gateway.signers()) == SIGNERS * len(self.tokens):
                    return
                await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def scene(
    demo: Demo,
    folder: Path,
    mixer: Mixer,
    judge: Judge,
    *,
    tokens: int,
    server: Words,
    token: Words,
) -> AsyncIterator[Scene]:
    """A gateway over so many copies of the demo's token, all signers ready, and the load on it."""
    server = {"request_timeout": REQUEST_TIMEOUT, **server}
    copies = [_copy(demo, folder / f"token{number}") for number in range(tokens)]
    config = folder / "hsmgate.toml"
    sections = [_section("[server]", server), *(_token_section(copy, token) for copy in copies)]
    config.write_text("\n".join([*sections, "[[app]]" + demo.config.read_text().split("[[app]]")[1]]))
    for copy in copies:
        copy.mend()
    timeout = float(str(server["request_timeout"]))
    async with serving(config, demo.api_key, folder / "log") as gateway:
        load = Load(gateway, mixer, judge, timeout + PATIENCE_SECONDS)
        made = Scene(copies, gateway, load, timeout)
        await made.wait_for_signers()
        async with load:
            try:
                yield made
            finally:
                # A gateway that waits for a module that hangs would take its time to stop.
                for copy in copies:
                    copy.mend()


def _copy(demo: Demo, folder: Path) -> SceneToken:
    shutil.copytree(demo.folder, folder)
    token = SceneToken(Demo(folder), Rules(folder / "rules"))
    token.conf.write_text(token.conf.read_text().replace(str(demo.folder), str(folder)))
    return token


def _token_section(token: SceneToken, words: Words) -> str:
    folder = token.demo.folder
    env = {"SOFTHSM2_CONF": str(token.conf), "FAULTS_MODULE": MODULE, "FAULTS_RULES": str(token.rules.path)}
    fixed = {
        "name": folder.name,
        "module": str(build()),
        "uri": "pkcs11:token=hsmgate-demo",
        "pin_source": f"file:{folder / 'pin'}",
        "signers": SIGNERS,
    }
    variables = ", ".join(f"{name} = {json.dumps(value)}" for name, value in env.items())
    return _section("[[token]]", {**fixed, **words}) + f"env = {{ {variables} }}\n"


def _section(head: str, words: Words) -> str:
    # JSON's strings, numbers and booleans are TOML's.
    return "\n".join([head, *(f"{word} = {json.dumps(value)}" for word, value in words.items())]) + "\n"
