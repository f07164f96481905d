"""[[token]]: a token, and the signers that work on it."""

import shlex
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from hsmgate.config.words import Name, Seconds, Section, Text, Verification
from hsmgate.domain.uri import TokenURI


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


Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Token(Section):
    """[[token]]: a token, and the signers that work on it."""

    name: Name
    """your name for it, in logs (`A-Z a-z 0-9 _ . -`)"""

    module: Text
    """the PKCS#11 library; a name without a slash is searched for by the dynamic linker"""

    uri: Annotated[str, AfterValidator(_token_uri)]
    """RFC 7512: `token`, `serial`, `manufacturer`, `model`, `slot-id`, `slot-description`; must match exactly one
    token"""

    pin_source: Annotated[Text, AfterValidator(_pin_source)] = Field(repr=False)
    """where the PIN is, never the PIN itself: `file:PATH`, `env:NAME`, `credential:NAME` or `command:PROGRAM
    ARGUMENT…`, see below"""

    signers: Annotated[int, Field(ge=1, le=256)] = 2
    """processes that load the module; shared out among the `workers`, at least one for each"""

    sessions: Annotated[int, Field(ge=1, le=256)] = 1
    """sessions, with a thread each, in every one of them: `signers × sessions` items are signed at a time"""

    operation_timeout: Seconds = 10.0
    """seconds for one call into the module; a signer that is longer about it is killed and replaced"""

    verify_signatures: Verification | None = None
    """the same, for this token; without it, as in `[server]`"""

    drain: bool = False
    """`true`: it takes no new work. What it has is done, its signers stay, its keys are listed; what only it could do
    is a 503 of its item. For maintenance, while the gateway serves"""

    required: bool = True
    """`false`: the gateway is ready without it, as long as another token signs. One that is required, and does not
    sign, has `/readyz` say 503, unless it is drained or other tokens have all of its keys"""

    env: dict[Variable, str] = {}
    """environment of the signers, beside `PATH`, `HOME`, the locale and a `GLIBC_TUNABLES` that suits OpenSSL. Their
    working directory is the config's folder"""

    init_args: Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")] = ""
    """passed as `pReserved` to `C_Initialize` (NSS softokn wants it)"""
