"""The clients' environment, and one gateway over https for all of them."""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.certificates import make_certificates
from tests.clients.driver_process import Driver, driving
from tests.clients.https import Https
from tests.clients.sdkms_cli import Cli
from tests.gateway_process import serving
from tests.token_tool import Demo

HERE = Path(__file__).parent
# Inside what `make` made, so git, ruff and `make clean` know about it already.
CLIENTS = HERE.parent.parent / ".venv" / "clients"


@pytest.fixture(scope="session")
def clients_bin() -> Path:
    """The programs of an environment with the published clients, made once for each requirements.txt."""
    requirements = HERE / "requirements.txt"
    wanted = f"{sys.version}\n{requirements.read_text()}"
    CLIENTS.parent.mkdir(exist_ok=True)
    with CLIENTS.with_name("clients.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = CLIENTS / "made-for"
        if not made.exists() or made.read_text() != wanted:
            subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(CLIENTS)], check=True)
            subprocess.run(
                [
                    *(sys.executable, "-m", "pip", "--python", str(CLIENTS / "bin" / "python"), "install"),
                    *("--quiet", "--disable-pip-version-check", "--no-deps", "--requirement", str(requirements)),
                ],
                check=True,
            )
            made.write_text(wanted)
    return CLIENTS / "bin"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def https(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Https]:
    """A gateway with a private CA's certificate, over a copy of the demo."""
    own = Demo(tmp_path_factory.mktemp("clients") / "hsmgate")
    shutil.copytree(demo.folder, own.folder)
    (own.folder / "softhsm2.conf").write_text(
        (demo.folder / "softhsm2.conf").read_text().replace(str(demo.folder), str(own.folder))
    )
    made = make_certificates(own.folder)
    tls = '[server]\ntls_certificate = "server.pem"\ntls_key = "server.key"\n'
    own.config.write_text(own.config.read_text().replace("[server]\n", tls))
    async with serving(own.config, own.api_key, own.folder / "serve.log") as gateway:
        yield Https.of(gateway.url, own.api_key, made.ca, own.public_keys())


@pytest.fixture
def cli(clients_bin: Path, https: Https, tmp_path: Path) -> Cli:
    """`sdkms-cli`, with a token file of its own and nobody logged in."""
    return Cli(clients_bin / "sdkms-cli", https, tmp_path)


@pytest.fixture(scope="session")
def driver(clients_bin: Path, https: Https) -> Iterator[Driver]:
    """The library `sdkms`, running."""
    with driving(clients_bin / "python", https) as running:
        yield running
