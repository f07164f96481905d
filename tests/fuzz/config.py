"""The config file."""

import os
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from hsmgate.config import Config
from hsmgate.errors import ConfigError
from tests.fuzz.target import Target, check_text
from tests.test_config import APP, EXAMPLE, TOKEN

SECRET = "s3cret"


def check(data: bytes) -> None:
    """A config, or a ConfigError whose problems are a line each, without the value of anything secret."""
    fd, file = _file()
    os.ftruncate(fd, 0)
    os.pwrite(fd, data, 0)
    try:
        config = Config.load(file)
    except ConfigError as error:
        assert error.problems
        for problem in error.problems:
            check_text(problem.replace(str(file), ""))
        assert SECRET not in str(error) or _is_no_value(file, str(error)), error
        return
    assert config.token
    assert all(secret not in repr(config) for app in config.app for secret in app.secret_sha256)


@cache
def _file() -> tuple[int, Path]:
    """A file in memory that ends with the process."""
    fd = os.memfd_create("hsmgate.toml")
    return fd, Path(f"/proc/self/fd/{fd}")


def _is_no_value(file: Path, text: str) -> bool:
    """Whether it stands in that file as a key, a name or an id, which may be told."""
    try:
        raw = tomllib.loads(file.read_text("utf-8"))
    except tomllib.TOMLDecodeError:
        # Of what is no TOML, its keys are all that may be quoted.
        return re.search(r"Cannot (declare|mutate)|Duplicate inline table key", text) is not None
    return any(SECRET in word.lower() for word in _told(raw))


def _told(value: Any) -> list[str]:
    """All keys, at whatever depth, the values of `name` and `id`, and URIs, whose attributes' names are told."""
    if isinstance(value, list):
        return [word for part in value for word in _told(part)]
    if not isinstance(value, dict):
        return []
    named = [part for key, part in value.items() if key in ("name", "id", "uri") and isinstance(part, str)]
    return [*value, *named, *(word for part in value.values() for word in _told(part))]


def seeds() -> list[bytes]:
    spoiled = [
        TOKEN.replace("file:pin", "s3cret"),
        TOKEN.replace("file:pin", "pin:s3cret"),
        TOKEN + "pin = 's3cret'",
        TOKEN + "env = { PIN = 's3cret', 'A-B' = 1 }\ninit_args = ['s3cret']",
        TOKEN + APP + APP + "secret = 's3cret'",
        TOKEN.replace("hsmgate-demo", "demo;pin-value=s3cret"),
        'token = """s3cret',
        "[server]\nmax_body = '1MiB'\nrequest_timeout = inf\ntls_key = 'k'\n" + TOKEN * 2,
        '"a\\nb\\u001b" = 1979-05-27T07:32:00Z\n' + TOKEN,
        "x = " + "[" * 1000,
    ]
    return [text.encode() for text in (TOKEN, TOKEN + APP, EXAMPLE, *spoiled)]


_SECTIONS = (*re.findall(r"(?m)^\[+\w+\]+$", EXAMPLE), *re.findall(r"(?m)^\w+ =", EXAMPLE))

TARGET = Target(
    name="config",
    reads="the config file",
    promise="a config, or a ConfigError: a line for each mistake, no secret's value in it",
    check=check,
    seeds=seeds,
    words=[*(word.encode() for word in dict.fromkeys(_SECTIONS)), b"s3cret", b"\\u0000", b'"""', b"'''", b"[[", b"]]"],
    longest=2048,
)
