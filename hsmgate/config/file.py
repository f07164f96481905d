"""The whole file: read, checked, every mistake reported at once."""

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, ValidationError

from hsmgate.config import credentials, words
from hsmgate.config.audit import Audit
from hsmgate.config.callers import App, JwtProvider
from hsmgate.config.server import MOST_WORKERS, Server
from hsmgate.config.token import Token
from hsmgate.errors import ConfigError, shown


class Config(words.Section):
    """The whole file."""

    server: Server = Server()
    token: Annotated[list[Token], Field(min_length=1)]
    app: list[App] = []
    jwt_provider: list[JwtProvider] = []
    audit: Audit | None = None

    _file: Path = PrivateAttr(default=Path())
    _text: str = PrivateAttr(default="")

    @property
    def file(self) -> Path:
        """Where it was read from, absolute."""
        return self._file

    @property
    def text(self) -> str:
        """What it was made of."""
        return self._text

    @property
    def folder(self) -> Path:
        """The folder that the config's relative paths are relative to."""
        return self._file.parent

    def share(self, index: int, workers: int) -> Self:
        """What of it is for one of so many workers: its part of each token's signers.

        Raises ConfigError where there are too few: the file may have another number of workers than are running.
        """
        problems = [
            f"token[{place}].signers: {token.signers}, but there are {workers} workers, and each needs one of its own"
            for place, token in enumerate(self.token)
            if token.signers < workers
        ]
        if problems:
            raise ConfigError(problems)
        tokens = [
            token.model_copy(update={"signers": token.signers // workers + (index < token.signers % workers)})
            for token in self.token
        ]
        return self.model_copy(update={"token": tokens})

    def path(self, text: str) -> Path:
        """A path of the config, made absolute."""
        return self.folder / text

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read the file. Raises ConfigError with all its problems."""
        try:
            text = file.read_text("utf-8")
        except OSError as error:
            raise ConfigError([f"{file}: {error.strerror}"]) from None
        except UnicodeDecodeError:
            raise ConfigError([f"{file}: not UTF-8"]) from None
        return cls.parse(text, file)

    @classmethod
    def parse(cls, text: str, file: Path) -> Self:
        """The file's text. Raises ConfigError with all its problems."""
        try:
            raw = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError([f"{file}: {shown(str(error))}"]) from None
        except (ValueError, RecursionError):
            raise ConfigError([f"{file}: a number or a nesting beyond all measure"]) from None
        contradictions = [*_contradictions(raw), *credentials.contradictions(raw)]
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
        config._file, config._text = file.absolute(), text
        return config


def _contradictions(raw: dict[str, Any]) -> Iterator[str]:
    """What is wrong between values, whatever is wrong with each of them."""
    server = raw.get("server")
    if isinstance(server, dict):
        if ("tls_certificate" in server) != ("tls_key" in server):
            yield "server: tls_certificate and tls_key go together"
        if "client_ca" in server and "tls_certificate" not in server:
            yield "server: client_ca wants tls_certificate and tls_key"
    yield from _too_few_signers(raw)
    for section, word in (("token", "name"), ("app", "id"), ("jwt_provider", "name"), ("jwt_provider", "issuer")):
        entries = raw.get(section)
        values = [entry.get(word) for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
        texts = [value.lower() if word == "id" else value for value in values if isinstance(value, str)]
        for twice in sorted({text for text in texts if texts.count(text) > 1}):
            yield f"{section}: {word} {shown(twice)} stands more than once"


def _too_few_signers(raw: dict[str, Any]) -> Iterator[str]:
    """The signers of a token are shared out among the workers, and each needs one."""
    server, tokens = raw.get("server"), raw.get("token")
    workers = server.get("workers", 1) if isinstance(server, dict) else 1
    for index, token in enumerate(tokens if isinstance(tokens, list) else ()):
        signers = token.get("signers", Token.model_fields["signers"].default) if isinstance(token, dict) else None
        if isinstance(workers, int) and isinstance(signers, int) and 1 <= signers < workers <= MOST_WORKERS:
            yield (
                f"token[{index}].signers: {signers}, but server.workers is {workers}, and every worker needs a signer "
                "of its own: the signers are shared out among the workers"
            )


def _provider_of(app: App, providers: Sequence[JwtProvider]) -> str | None:
    """The provider of an app's subjects, which need not be named where there is only one."""
    return app.jwt_provider or (providers[0].name if app.jwt_subjects and providers else None)


def check_listen(text: str) -> str:
    """An address from the command line. Raises ConfigError."""
    try:
        return words.check_listen(text)
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
