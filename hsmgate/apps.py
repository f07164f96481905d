"""Apps in the config file: added, re-keyed, revoked, listed. Comments, order, mode and owner of the file stay.

Only an app's own text is changed: from its `[[app]]`, with the comment lines right above, to its last value. What the
file says then is compared with what it should say, and checked as `hsmgate serve` would, before it takes the old one's
place.
"""

import contextlib
import fcntl
import io
import os
import re
import stat
import tomllib
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import tomlkit

from hsmgate.config import App, Config
from hsmgate.config.credentials import MOST_SECRETS
from hsmgate.domain.api_keys import make_api_key
from hsmgate.errors import AppError

_TABLE = re.compile(r"\s*\[")
_APP = re.compile(r"""\s*\[\[\s*("app"|'app'|app)\s*\]\]""")
_PART_OF_APP = re.compile(r"""\s*\[\[?\s*("app"|'app'|app)\s*\.""")


class AppFile:
    """A config file whose apps are changed. Use `open`."""

    def __init__(self, file: Path, text: str) -> None:
        self._file = file
        self._text = text
        self._raw = tomllib.loads(text)

    @classmethod
    @contextlib.contextmanager
    def open(cls, file: Path) -> Iterator[Self]:
        """The file; other commands wait meanwhile. Raises AppError, or ConfigError where it is wrong already."""
        file = file.resolve()
        try:
            lock = os.open(file.parent, os.O_RDONLY)
        except OSError as error:
            raise AppError(f"{file.parent}: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            Config.load(file)
            with file.open(encoding="utf-8", newline="") as stream:
                yield cls(file, stream.read())
            os.fsync(lock)
        except OSError as error:
            raise AppError(f"{error.filename or file}: {error.strerror}") from None
        finally:
            os.close(lock)

    def add(self, name: str, keys: Sequence[str], operations: Sequence[str]) -> tuple[str, str]:
        """A new app. Returns its id and its API key."""
        if any(app["name"] == name for app in self._apps()):
            raise AppError("an app of that name is there already; choose another, or rotate that one's key")
        app_id = str(uuid.uuid4())
        api_key, secret_sha256 = make_api_key(app_id)
        app = {"id": app_id, "name": name, "secret_sha256": secret_sha256, "keys": [*keys], "operations": [*operations]}
        text = self._text if not self._text or self._text.endswith("\n") else self._text + "\n"
        self._replace(f"{text}\n[[app]]\n{tomlkit.dumps(app)}", [*self._apps(), app])
        return app_id, api_key

    def rotate(self, name_or_id: str) -> tuple[App, str]:
        """One more API key for the app; of those it had, the newest stays. Returns the app and the new key."""
        index, app = self._find(name_or_id)
        api_key, secret_sha256 = make_api_key(app.id)
        self._set_secrets(index, [*app.secret_sha256[-(MOST_SECRETS - 1) :], secret_sha256])
        return app, api_key

    def revoke_old_keys(self, name_or_id: str) -> tuple[App, int]:
        """Of the app's API keys only the newest stays. Returns the app, and how many went."""
        index, app = self._find(name_or_id)
        if len(app.secret_sha256) > 1:
            self._set_secrets(index, [app.secret_sha256[-1]])
        return app, max(0, len(app.secret_sha256) - 1)

    def revoke(self, name_or_id: str) -> App:
        """The app is gone."""
        index, app = self._find(name_or_id)
        lines, start, end = self._span(index)
        while start > 0 and lines[start - 1].lstrip().startswith("#"):
            start -= 1
        while end < len(lines) and not lines[end].strip():
            end += 1
        apps = self._apps()
        del apps[index]
        self._replace("".join(lines[:start] + lines[end:]), apps)
        return app

    def _apps(self) -> list[dict[str, Any]]:
        return [*self._raw.get("app", [])]

    def _find(self, name_or_id: str) -> tuple[int, App]:
        """The app's place and what the config says of it."""
        apps = Config.load(self._file).app
        found = [(at, app) for at, app in enumerate(apps) if name_or_id == app.name or name_or_id.lower() == app.id]
        if not found:
            raise AppError("there is no app of that name or id")
        if len(found) > 1:
            ids = ", ".join(app.id for _, app in found)
            raise AppError(f"{len(found)} apps answer to that; say which by its id: {ids}")
        return found[0]

    def _set_secrets(self, index: int, secrets: Sequence[str]) -> None:
        apps = self._apps()
        value = secrets[0] if len(secrets) == 1 else [*secrets]
        apps[index] = apps[index] | {"secret_sha256": value}
        lines, start, end = self._span(index)
        block = tomlkit.parse("".join(lines[start:end]))
        tables: Any = block["app"]
        tables[0]["secret_sha256"] = value if isinstance(value, str) else tomlkit.item(value).multiline(True)
        self._replace("".join([*lines[:start], tomlkit.dumps(block), *lines[end:]]), apps)

    def _span(self, index: int) -> tuple[list[str], int, int]:
        """The file's lines, and of them those of an app: from its header to its last value."""
        lines = io.StringIO(self._text, newline="\n").readlines()
        starts = [at for at, line in enumerate(lines) if _APP.match(line)]
        if len(starts) != len(self._raw["app"]):
            raise AppError(
                "the apps' text cannot be told apart: write each as an [[app]] table, or edit the file by hand"
            )
        start = starts[index]
        end = start + 1
        for at in range(start + 1, len(lines)):
            if _TABLE.match(lines[at]) and not _PART_OF_APP.match(lines[at]):
                break
            if lines[at].strip() and not lines[at].lstrip().startswith("#"):
                end = at + 1
        return lines, start, end

    def _replace(self, text: str, apps: Sequence[dict[str, Any]]) -> None:
        """Put the text in the file's place, if it says what it should and the gateway would take it."""
        expected = {word: value for word, value in self._raw.items() if word != "app"} | ({"app": apps} if apps else {})
        try:
            data = text.encode()
        except UnicodeEncodeError:
            raise AppError("what was given is not UTF-8") from None
        if not _says(text, expected):
            raise AppError("the file is written in a way that cannot be changed here: edit it by hand")
        part = self._file.with_name(self._file.name + ".part")
        part.unlink(missing_ok=True)
        try:
            _write(part, data, self._file.stat())
            Config.load(part)
            part.replace(self._file)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _says(text: str, expected: object) -> bool:
    try:
        return tomllib.loads(text) == expected
    except tomllib.TOMLDecodeError:
        return False


def _write(file: Path, data: bytes, like: os.stat_result) -> None:
    """A new file on the disk, with the mode and owner of the other."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        made = os.fstat(out.fileno())
        if (made.st_uid, made.st_gid) != (like.st_uid, like.st_gid):
            try:
                os.fchown(out.fileno(), like.st_uid, like.st_gid)
            except PermissionError:
                raise AppError("the config's owner could not be kept: run this as its owner or as root") from None
        os.fchmod(out.fileno(), stat.S_IMODE(like.st_mode))
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
