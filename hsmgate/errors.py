"""Everything hsmgate raises on purpose.

    HsmgateError
     ├─ ConfigError             the config file cannot be used; lists every problem
     ├─ ProvisionError          `hsmgate init` could not make what it should
     ├─ AppError                `hsmgate app` could not change the apps of the config
     ├─ SignerStartError        a token could not be opened
     │   ├─ PinRefused          the token refused the PIN: never tried again by itself
     │   └─ TokenMisconfigured  the config names a module or token that cannot be right
     ├─ GatewayBroken           a part of a serving gateway has ended that it must not go on without: a bug
     ├─ FrameError              the two ends of a signer's socket disagree: a bug
     ├─ AuditError              an audit log, or the key to verify it with, could not be read
     ├─ CommandError            a command could not do what it was asked to
     │   └─ UsageError          its options, or the environment, do not go together
     ├─ ClientError             a gateway could not be asked
     │   └─ Refused             it refused a call; `status` is the call's HTTP status
     └─ ItemError               one batch item failed; `status` is the item's HTTP status
         ├─ BadItem        400  the item is wrong in itself
         ├─ NotPermitted   403  the key or the app does not allow the operation
         ├─ NotFound       404  what the item names is not there, or not any more
     │   └─ NoSuchKey       no such key, or none that the app may use
         ├─ AmbiguousKey   409  more than one key answers to that descriptor
         ├─ Unsupported    422  this token or version cannot do the combination
         ├─ TooMany        429  the app has come to a limit of its own; try again
         ├─ TokenFailed    500  the token failed on this item
         ├─ NoSigner       503  no signer could be had; try again
         └─ DeadlinePassed 504  the batch's time was up

An item's text goes to the caller, so it names the member and never holds a secret.
"""

from collections.abc import Sequence


class HsmgateError(Exception):
    """The root of the tree. Its text is fit to be shown to an operator."""


class ConfigError(HsmgateError):
    """The config cannot be used. `problems` holds one line for each mistake, led by its key path."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class ProvisionError(HsmgateError):
    """`hsmgate init` could not make the demo; the text says what is in the way."""


class AppError(HsmgateError):
    """`hsmgate app` could not do what it should; the config is as it was."""


class SignerStartError(HsmgateError):
    """A signer could not open its token. Worth another try unless a subclass says otherwise."""


class PinRefused(SignerStartError):
    """The token refused the PIN. Trying again would lock the token, so nobody does."""


class TokenMisconfigured(SignerStartError):
    """Module, URI or token can only be put right by the operator."""


class GatewayBroken(HsmgateError):
    """A part of a serving gateway has ended that it must not go on without."""


class FrameError(HsmgateError):
    """What came over a signer's socket is not a frame of ours."""


class AuditError(HsmgateError):
    """An audit log, or the key to verify it with, could not be read."""


class CommandError(HsmgateError):
    """A command could not do what it was asked to; the text says why."""


class UsageError(CommandError):
    """What was asked does not go together, or something to go by is missing."""


class ClientError(HsmgateError):
    """A gateway could not be asked: it cannot be reached, is not trusted, or is no hsmgate."""


class Refused(ClientError):
    """A gateway refused a call. The text is its own."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{text} (HTTP {status})")
        self.status = status


PIN_REFUSED = 3
"""The exit code by which a service manager knows that another start would bring the token nearer to locking itself."""

_EXIT_CODES: dict[type[HsmgateError], int] = {UsageError: 2, PinRefused: PIN_REFUSED}


def exit_code(error: HsmgateError) -> int:
    """The exit code of a command that ended with this error."""
    return _EXIT_CODES.get(type(error), 1)


class ItemError(HsmgateError):
    """One batch item failed."""

    status: int = 500


class BadItem(ItemError):
    """The item is wrong in itself: a member is missing, ill-typed or contradicts another."""

    status = 400


class NotPermitted(ItemError):
    """The key or the app does not allow the operation."""

    status = 403


class NotFound(ItemError):
    """What the item names is not there, or not any more."""

    status = 404


class NoSuchKey(NotFound):
    """No such key, or none that the app may use: the text is the same for both."""

    def __init__(self) -> None:
        super().__init__("key: no such key")


class AmbiguousKey(ItemError):
    """More than one key answers to the descriptor."""

    status = 409


class Unsupported(ItemError):
    """The token, the key or this version cannot do the combination."""

    status = 422


class TooMany(ItemError):
    """The app has come to a limit of its own. Trying again later helps."""

    status = 429


class TokenFailed(ItemError):
    """The token failed on this item."""

    status = 500


class NoSigner(ItemError):
    """No signer could be had in time. Trying again later may help."""

    status = 503


class DeadlinePassed(ItemError):
    """The batch's time was up before the item was signed."""

    status = 504


_SHOWN_AT_MOST = 200


def shown(word: str) -> str:
    """A word that somebody wrote, as an error may repeat it: in one line, visible, and at most 200 characters of it."""
    visible = word if word.isprintable() else word.encode("unicode_escape").decode()
    return visible if len(visible) <= _SHOWN_AT_MOST else f"{visible[: _SHOWN_AT_MOST - 1]}…"
