"""What became of each file that was to be signed or verified: written, printed, counted."""

import base64
import json
import os
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from hsmgate.cli.parts import printable, say
from hsmgate.errors import CommandError

if TYPE_CHECKING:
    from hsmgate.client.batches import Answer


class Outcomes(ABC):
    """Takes in what became of the files, one after the other."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._bad = 0

    def check(self, name: str) -> None:  # noqa: B027 - most have nothing to look at
        """Raise CommandError where nothing good can become of a file."""

    def fail(self, name: str, reason: str) -> None:
        """A file that could not be done."""
        self._bad += 1
        if self._as_json:
            say(json.dumps({"file": name, "error": reason}))
        else:
            print(f"hsmgate: {printable(name)}: {printable(reason)}", file=sys.stderr)

    def take(self, name: str, answer: "Answer") -> None:
        """What the gateway said of a file."""
        if answer.status != 200:
            self.fail(name, answer.error or f"the gateway answered {answer.status}")
            return
        try:
            self.done(name, answer)
        except CommandError as error:
            self.fail(name, str(error))

    @abstractmethod
    def done(self, name: str, answer: "Answer") -> None:
        """A file that was signed or verified. Raises CommandError."""

    def end(self, count: int) -> int:
        """That were all, and how many. Returns the exit code."""
        if self._bad and count > 1 and not self._as_json:
            print(f"hsmgate: {self._bad} of {count} files: see above", file=sys.stderr)
        return 1 if self._bad else 0


class SignOutcomes(Outcomes):
    """Writes signatures to files beside what was signed, or prints them."""

    def __init__(self, *, printed: bool, as_json: bool, force: bool) -> None:
        super().__init__(as_json=as_json)
        self._printed = printed
        self._force = force

    def check(self, name: str) -> None:
        """Raise CommandError where the signature would overwrite one."""
        if self._file(name) and not self._force and os.path.lexists(f"{name}.sig"):
            raise _there_already(Path(f"{name}.sig"))

    def done(self, name: str, answer: "Answer") -> None:
        """Write the signature. Raises CommandError."""
        signature = answer.body.signature
        if not signature:
            raise CommandError("the gateway answered without a signature")
        if self._file(name):
            _write(Path(f"{name}.sig"), signature, force=self._force)
        elif self._as_json:
            text = base64.b64encode(signature).decode()
            say(json.dumps({"file": name, "kid": answer.body.kid, "signature": text}))
        else:
            say(base64.b64encode(signature).decode())

    def _file(self, name: str) -> bool:
        return not self._printed and name != "-"


class VerifyOutcomes(Outcomes):
    """Prints verdicts."""

    def done(self, name: str, answer: "Answer") -> None:
        """Print the verdict. Raises CommandError."""
        good = answer.body.result
        if good is None:
            raise CommandError("the gateway answered without a verdict")
        self._bad += not good
        if self._as_json:
            say(json.dumps({"file": name, "kid": answer.body.kid, "good": good}))
        else:
            say(f"{printable(name)}: {'good' if good else 'BAD'}")


def _write(file: Path, signature: bytes, *, force: bool) -> None:
    """All of it, or nothing: what was there before stays where it cannot be written. Raises CommandError."""
    part = file.with_name(f"{file.name}.part") if force else file
    try:
        if force:
            part.unlink(missing_ok=True)
        with part.open("xb") as out:
            try:
                out.write(signature)
                out.flush()
            except BaseException:
                part.unlink()
                raise
        part.replace(file)
    except FileExistsError:
        raise _there_already(file) from None
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None


def _there_already(file: Path) -> CommandError:
    return CommandError(f"{file} is there already; --force overwrites it")
