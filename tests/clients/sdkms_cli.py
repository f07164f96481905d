"""The command line `sdkms-cli` as published, run as a user runs it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.clients.https import Https


@dataclass(frozen=True)
class Cli:
    """Its program, the gateway it is sent to, and a folder for its token file and what it reads and writes."""

    program: Path
    https: Https
    folder: Path

    @property
    def token_file(self) -> Path:
        return self.folder / "token"

    def __call__(self, *arguments: str, api_key: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder. An API key goes into its environment, not its arguments."""
        environment = {
            "HOME": str(self.folder),
            "FORTANIX_API_ENDPOINT": self.https.url,
            "SDKMS_CLI_TOKEN_FILE": str(self.token_file),
        }
        if api_key is not None:
            environment["FORTANIX_API_KEY"] = api_key
        return subprocess.run(
            [str(self.program), "--ssl-ca-cert", str(self.https.ca), *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=60,
        )

    def do(self, *arguments: str) -> str:
        """What a command printed that had to succeed."""
        done = self(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def log_in(self) -> "Cli":
        done = self("app-login", api_key=self.https.api_key)
        assert done.returncode == 0, done.stdout + done.stderr
        return self

    def write(self, name: str, content: str) -> str:
        """A file in the folder; returns its name."""
        (self.folder / name).write_text(content)
        return name

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()
