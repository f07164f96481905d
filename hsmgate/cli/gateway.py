"""What the commands share that ask a running gateway."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from hsmgate.errors import CommandError, UsageError
from hsmgate.secret import Secret

if TYPE_CHECKING:
    from hsmgate.client.address import Address
    from hsmgate.client.client import Client

DEFAULT_URL = "http://127.0.0.1:8080"
LONGEST_CREDENTIAL = 16 * 1024
"""Bytes of an API key or a token; what is longer is another file."""


def add_gateway(command: argparse.ArgumentParser) -> None:
    """Give a command the options that say which gateway, and who calls."""
    group = command.add_argument_group("the gateway")
    group.add_argument(
        "--url",
        type=_address,
        default=os.environ.get("HSMGATE_URL") or DEFAULT_URL,
        help=f"http(s)://HOST:PORT or unix:PATH (HSMGATE_URL, or {DEFAULT_URL})",
    )
    group.add_argument(
        "--api-key-file",
        metavar="FILE",
        type=Path,
        help="the API key, or a session token or JWT (HSMGATE_API_KEY, HSMGATE_API_KEY_FILE)",
    )
    group.add_argument("--ca", metavar="FILE", type=Path, help="the CAs of its certificate, PEM (the system's)")
    group.add_argument("--cert", metavar="FILE", type=Path, help="a client certificate to show, PEM")
    group.add_argument("--cert-key", metavar="FILE", type=Path, help="the certificate's key (in the same file)")
    group.add_argument("--plain-http", action="store_true", help="send the API key over plain http to another machine")


def open_client(options: argparse.Namespace) -> "Client":
    """The gateway that the options name. Raises UsageError, CommandError or ClientError."""
    from hsmgate.client.address import Caller
    from hsmgate.client.client import Client

    if options.cert_key is not None and options.cert is None:
        raise UsageError("--cert-key goes with --cert")
    if options.url.overheard and not options.plain_http:
        raise UsageError(
            f"{options.url}: an API key does not travel over plain http to another machine by accident: "
            "use https or, where others see to that, --plain-http"
        )
    credential = _credential(options.api_key_file)
    if credential is None and options.cert is None:
        raise UsageError("no API key: give --api-key-file, set HSMGATE_API_KEY, or show a certificate with --cert")
    return Client(options.url, Caller(credential, options.cert, options.cert_key, options.ca))


def read_secret(file: Path, what: str) -> Secret:
    """The one line that a file holds. what: its name in errors. Raises CommandError."""
    try:
        with file.open("rb") as stream:
            data = stream.read(LONGEST_CREDENTIAL + 1)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
    return _one_line(data, f"{file}: {what}")


def _credential(file: Path | None) -> Secret | None:
    variable = os.environ.get("HSMGATE_API_KEY")
    if file is None and variable:
        return _visible(_one_line(os.fsencode(variable), "HSMGATE_API_KEY"), "HSMGATE_API_KEY")
    named = file or os.environ.get("HSMGATE_API_KEY_FILE")
    if not named:
        return None
    return _visible(read_secret(Path(named), "the API key"), str(named))


def _one_line(data: bytes, where: str) -> Secret:
    try:
        text = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        text = ""
    if not text or len(data) > LONGEST_CREDENTIAL or "\n" in text or "\0" in text:
        raise CommandError(f"{where} is to be one line of text")
    return Secret(text)


def _visible(secret: Secret, where: str) -> Secret:
    """A header holds nothing else."""
    text = secret.reveal().strip()
    if not (text.isascii() and text.isprintable() and text and " " not in text):
        raise CommandError(f"{where}: no API key, session token or JWT")
    return Secret(text)


def _address(text: str) -> "Address":
    from hsmgate.client.address import Address

    try:
        return Address.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
