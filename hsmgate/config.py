"""The config file: TOML in, frozen values out, every mistake reported at once.

Words and defaults are fixed by docs/configuration.md. Relative paths are relative to the file.
"""

import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationError,
)

from hsmgate import config_credentials
from hsmgate.domain.digests import DIGESTS
from hsmgate.domain.policy import Grant, Limits, SigningRules
from hsmgate.domain.uri import TokenURI
from hsmgate.errors import ConfigError, shown

Verification = Literal["always", "first"]
Operation = Literal["sign", "verify", "inline", "transient", "manage"]
JwtAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]  # with public keys only: who can verify must not be able to sign

_UNITS = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
LARGEST_BODY = 32 * _UNITS["MiB"]


def _size(value: object) -> object:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+)\s*([KMG]iB|B?)\s*", value)
        if not match:
            raise ValueError("write it like 16MiB (B, KiB, MiB, GiB)")
        return int(match[1]) * _UNITS[match[2]]
    return value


def _listen(value: str) -> str:
    if value.startswith("unix:"):
        if len(value) == len("unix:"):
            raise ValueError("unix: wants a path")
        return value
    host, colon, port = value.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError("write it like 127.0.0.1:8080, [::1]:8080 or unix:/run/hsmgate.sock")
    return value


def _token_uri(value: str) -> str:
    TokenURI.parse(value)
    return value


def _pin_source(value: str) -> str:
    scheme, _, rest = value.partition(":")
    if scheme not in ("file", "env", "credential", "command") or not rest:
        raise ValueError(
            "write it like file:PATH, env:NAME, credential:NAME or command:PROGRAM ARGUMENT…; "
            "the PIN itself does not belong here"
        )
    if scheme == "credential" and ("/" in rest or rest in (".", "..")):
        raise ValueError("a credential is a name, not a path")
    if scheme == "command":
        try:
            words = shlex.split(rest)
        except ValueError:
            raise ValueError("the command has a quotation that does not end") from None
        if not words or not words[0]:
            raise ValueError("the command has no program")
    return value


def _hash_name(value: str) -> str:
    if value.upper() not in DIGESTS:
        raise ValueError(f"unknown hash; there are {', '.join(DIGESTS)}")
    return value.upper()


def _app_id(value: str) -> str:
    return value.lower()


_UUID = r"(?i)^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

Text = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00]*$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Certificate = Annotated[str, AfterValidator(config_credentials.check_certificate)]
Seconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Server(_Section):
    """[server]: the HTTP side."""

    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:8080"
    tls_certificate: Text | None = None
    tls_key: Text | None = None
    client_ca: Text | None = None
    client_certificates: Literal["required", "optional"] = "required"
    plain_http: Literal["loopback", "anywhere"] = "loopback"
    workers: Literal[1] = 1
    max_body: Annotated[int, BeforeValidator(_size), Field(ge=1024, le=LARGEST_BODY)] = 16 * _UNITS["MiB"]
    max_items: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    request_timeout: Seconds = 30.0
    drain_timeout: Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)] = 30.0
    max_waiting: Annotated[int, Field(ge=1)] = 20_000
    verify_signatures: Verification = "first"
    strict_listing: bool = False
    published_keys: list[Text] = []


class Token(_Section):
    """[[token]]: a token, and the signers that work on it."""

    name: Name
    module: Text
    uri: Annotated[str, AfterValidator(_token_uri)]
    pin_source: Annotated[Text, AfterValidator(_pin_source)] = Field(repr=False)
    signers: Annotated[int, Field(ge=1, le=256)] = 2
    sessions: Annotated[int, Field(ge=1, le=256)] = 1
    operation_timeout: Seconds = 10.0
    verify_signatures: Verification | None = None
    env: dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], str] = {}
    init_args: Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")] = ""


class JwtProvider(_Section):
    """[[jwt_provider]]: an identity provider, whose JWTs (RFC 7519) show who calls."""

    name: Name
    issuer: Text
    audience: Text
    jwks: Annotated[Text, AfterValidator(config_credentials.check_jwks)]
    algorithms: Annotated[list[JwtAlgorithm], Field(min_length=1)] = list(get_args(JwtAlgorithm))


class App(_Section):
    """[[app]]: who may call, and what it may do."""

    id: Annotated[str, StringConstraints(pattern=_UUID), AfterValidator(_app_id)]
    name: Text
    secret_sha256: Annotated[tuple[str, ...], BeforeValidator(config_credentials.read_secrets)] = Field(
        default=(), repr=False
    )
    certificates: Annotated[list[Certificate], Field(min_length=1)] | None = None
    jwt_subjects: Annotated[list[Text], Field(min_length=1)] | None = None
    jwt_provider: Text | None = None
    keys: list[Text] = ["*"]
    operations: list[Operation] = ["sign", "verify"]
    hashes: list[Annotated[str, AfterValidator(_hash_name)]] | None = None
    paddings: list[Literal["PKCS1_V15", "PSS"]] = ["PKCS1_V15", "PSS"]
    payloads: Annotated[list[Literal["data", "hash"]], Field(min_length=1)] = ["data", "hash"]
    items_per_second: Annotated[int, Field(ge=1)] | None = None
    items_in_flight: Annotated[int, Field(ge=1)] | None = None

    def grant(self) -> Grant:
        """What all this allows it."""
        hashes = None if self.hashes is None else frozenset(self.hashes)
        rules = SigningRules(hashes, frozenset(self.paddings), frozenset(self.payloads))
        return Grant.of(self.keys, self.operations, rules, Limits(self.items_per_second, self.items_in_flight))


class Audit(_Section):
    """[audit]: the log of what was signed for whom; none without this section."""

    folder: Text
    fsync: Literal["batch", "second", "never"] = "second"
    when_full: Literal["refuse", "continue"] = "refuse"
    rotate_size: Annotated[int, BeforeValidator(_size), Field(ge=4096)] = 256 * _UNITS["MiB"]
    head_key: Text | None = None
    head_interval: Seconds = 60.0


class Config(_Section):
    """The whole file."""

    server: Server = Server()
    token: Annotated[list[Token], Field(min_length=1)]
    app: list[App] = []
    jwt_provider: list[JwtProvider] = []
    audit: Audit | None = None

    _file: Path = PrivateAttr(default=Path())

    @property
    def file(self) -> Path:
        """Where it was read from, absolute."""
        return self._file

    @property
    def folder(self) -> Path:
        """The folder that the config's relative paths are relative to."""
        return self._file.parent

    def path(self, text: str) -> Path:
        """A path of the config, made absolute."""
        return self.folder / text

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read the file. Raises ConfigError with all its problems."""
        try:
            raw = tomllib.loads(file.read_text("utf-8"))
        except OSError as error:
            raise ConfigError([f"{file}: {error.strerror}"]) from None
        except UnicodeDecodeError:
            raise ConfigError([f"{file}: not UTF-8"]) from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigError([f"{file}: {shown(str(error))}"]) from None
        except (ValueError, RecursionError):
            raise ConfigError([f"{file}: a number or a nesting beyond all measure"]) from None
        contradictions = [*_contradictions(raw), *config_credentials.contradictions(raw)]
        try:
            config = cls.model_validate(raw)
        except ValidationError as error:
            mistakes = [_problem(e["loc"], e["type"], e["msg"]) for e in error.errors()]
            raise ConfigError(mistakes + contradictions) from None
        if contradictions:
            raise ConfigError(contradictions)
        tokens = [
            token.model_copy(update={"verify_signatures": token.verify_signatures or config.server.verify_signatures})
            for token in config.token
        ]
        apps = [app.model_copy(update={"jwt_provider": _provider_of(app, config.jwt_provider)}) for app in config.app]
        config = config.model_copy(update={"token": tokens, "app": apps})
        config._file = file.absolute()
        return config


def _contradictions(raw: dict[str, Any]) -> Iterator[str]:
    """What is wrong between values, whatever is wrong with each of them."""
    server = raw.get("server")
    if isinstance(server, dict):
        if ("tls_certificate" in server) != ("tls_key" in server):
            yield "server: tls_certificate and tls_key go together"
        if "client_ca" in server and "tls_certificate" not in server:
            yield "server: client_ca wants tls_certificate and tls_key"
    for section, word in (("token", "name"), ("app", "id"), ("jwt_provider", "name"), ("jwt_provider", "issuer")):
        entries = raw.get(section)
        values = [entry.get(word) for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
        texts = [value.lower() if word == "id" else value for value in values if isinstance(value, str)]
        for twice in sorted({text for text in texts if texts.count(text) > 1}):
            yield f"{section}: {word} {shown(twice)} stands more than once"


def _provider_of(app: App, providers: Sequence[JwtProvider]) -> str | None:
    """The provider of an app's subjects, which need not be named where there is only one."""
    return app.jwt_provider or (providers[0].name if app.jwt_subjects and providers else None)


def check_listen(text: str) -> str:
    """An address from the command line. Raises ConfigError."""
    try:
        return _listen(text)
    except ValueError as error:
        raise ConfigError([f"--listen: {error}"]) from None


def _problem(location: tuple[int | str, ...], kind: str, message: str) -> str:
    """One line: the key's path, and what is wrong there, without the value."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{shown(part)}" if path else shown(part)
    if kind == "extra_forbidden":
        message = "unknown key"
    elif kind == "missing":
        message = "missing"
    message = message.removeprefix("Value error, ")
    return f"{path}: {message[0].lower()}{message[1:]}" if path else message
