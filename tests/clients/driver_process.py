"""The library `sdkms` in its own environment, called from here."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.https import Https

DRIVER = Path(__file__).with_name("driver.py")


class Raised(Exception):
    """The library raised: ApiException with a status, or something else, without one."""

    def __init__(self, status: int | None, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text


@dataclass(frozen=True)
class Driver:
    """A running driver.py."""

    process: "subprocess.Popen[str]"

    def call(self, method: str, scheme: str, credentials: str, arguments: dict[str, Any]) -> Any:
        """What a method of the library returns, as JSON. Raises Raised."""
        assert self.process.stdin
        assert self.process.stdout
        order = {"call": method, "scheme": scheme, "credentials": credentials, "arguments": arguments}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "raised" in answer:
            raise Raised(answer["raised"], answer["text"])
        return answer["returned"]


@dataclass(frozen=True)
class Library:
    """The library with credentials."""

    driver: Driver
    https: Https
    scheme: str
    credentials: str

    def __call__(self, method: str, **arguments: Any) -> Any:
        return self.driver.call(method, self.scheme, self.credentials, arguments)


@contextlib.contextmanager
def driving(python: Path, https: Https) -> Iterator[Driver]:
    with subprocess.Popen(
        [str(python), str(DRIVER), https.url, str(https.ca)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Driver(process)
        assert process.stdin
        process.stdin.close()
