"""`hsmgate sign` and `hsmgate verify`: files, with a key of a running gateway."""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from hsmgate.cli.gateway import add_gateway, open_client
from hsmgate.cli.outcomes import SignOutcomes, VerifyOutcomes
from hsmgate.cli.parts import Commands, hash_name, run, text
from hsmgate.errors import CommandError, UsageError

if TYPE_CHECKING:
    from hsmgate.cli.outcomes import Outcomes
    from hsmgate.client.batches import Batches
    from hsmgate.client.client import Client
    from hsmgate.client.items import ItemMaker

STDIN = "-"
SUFFIX = ".sig"

LONGEST_SIGNATURE = 64 * 1024
"""Bytes of a file that may hold a signature; of those that are made here none is longer than 5 KiB."""


def add(commands: Commands) -> None:
    """Add the commands."""
    about = "sign files: only their digests travel, unless the key signs whole messages (Ed25519, Ed448, ML-DSA)"
    sign = commands.add_parser("sign", help="sign files", description=about)
    sign.add_argument("--stdout", action="store_true", help=f"print the signature in base64, make no FILE{SUFFIX}")
    sign.add_argument("--json", action="store_true", help="the same for any number of files, a JSON object a line")
    sign.add_argument("--force", action="store_true", help="overwrite signatures that are there")
    sign.set_defaults(run=_sign)

    about = f"verify files under the signatures in FILE{SUFFIX}; exit 0 only if all are good"
    verify = commands.add_parser("verify", help="verify files", description=about)
    verify.add_argument("--signature", metavar="FILE", type=Path, help="the signature of the one file, or of stdin")
    verify.add_argument("--json", action="store_true", help="print a JSON object a line")
    verify.set_defaults(run=_verify)

    for command in (sign, verify):
        command.add_argument("files", metavar="FILE", nargs="+", help=f"{STDIN} is standard input")
        command.add_argument("--key", metavar="NAME|KID", type=text, required=True)
        command.add_argument("--hash", metavar="HASH", type=_hash, help="SHA256, SHA3_384, … (SHA256)")
        command.add_argument("--padding", choices=("pss", "pkcs1"), help="of RSA signatures (pkcs1)")
        add_gateway(command)


def _sign(options: argparse.Namespace) -> int:
    from hsmgate.client.batches import SIGN

    _check_files(options.files)
    if options.stdout and not options.json and len(options.files) > 1:
        raise UsageError("several signatures on standard output are told apart with --json only")
    outcomes = SignOutcomes(printed=options.stdout or options.json, as_json=options.json, force=options.force)
    return _run(options, SIGN, outcomes)


def _verify(options: argparse.Namespace) -> int:
    from hsmgate.client.batches import VERIFY

    _check_files(options.files)
    if options.signature is None and STDIN in options.files:
        raise UsageError("standard input has no signature beside it: name its file with --signature")
    if options.signature is not None and len(options.files) > 1:
        raise UsageError("--signature is of one file only")
    return _run(options, VERIFY, VerifyOutcomes(as_json=options.json))


def _check_files(files: list[str]) -> None:
    if files.count(STDIN) > 1:
        raise UsageError("standard input can be read once only")


def _run(options: argparse.Namespace, path: str, outcomes: "Outcomes") -> int:
    """Do every file; one that cannot be done costs only itself."""
    from hsmgate.client.batches import Batches
    from hsmgate.client.items import ItemMaker
    from hsmgate.client.keys import find_key

    client: Client = open_client(options)
    maker = ItemMaker(run(find_key(client, options.key)), options.hash, options.padding)
    batches = Batches(client, path)
    for batch in _batches(options, maker, outcomes, batches):
        answers = iter(run(batches.run([item for _, item in batch if isinstance(item, bytes)])))
        for name, item in batch:
            if isinstance(item, bytes):
                outcomes.take(name, next(answers))
            else:
                outcomes.fail(name, item)
    return outcomes.end(len(options.files))


def _batches(
    options: argparse.Namespace, maker: "ItemMaker", outcomes: "Outcomes", batches: "Batches"
) -> Iterator[list[tuple[str, bytes | str]]]:
    """Files, each with its item or what is wrong with it, as many as a batch may have."""
    batch: list[tuple[str, bytes | str]] = []
    size = 0
    for name in options.files:
        item = _item(options, name, maker, outcomes)
        batch.append((name, item))
        size += len(item)
        if len(batch) >= batches.most_items or size >= batches.most_bytes:
            yield batch
            batch, size = [], 0
    yield batch


def _item(options: argparse.Namespace, name: str, maker: "ItemMaker", outcomes: "Outcomes") -> bytes | str:
    """The item of a file, or what is wrong with it."""
    try:
        outcomes.check(name)
        with _open(name) as stream:
            return maker.make(stream, _signature(options, name))
    except OSError as error:
        return error.strerror or "it cannot be read"
    except CommandError as error:
        return str(error)


def _open(name: str) -> contextlib.AbstractContextManager[BinaryIO]:
    return contextlib.nullcontext(sys.stdin.buffer) if name == STDIN else Path(name).open("rb")


def _signature(options: argparse.Namespace, name: str) -> bytes | None:
    """The signature to verify. Raises CommandError."""
    if "signature" not in options:
        return None
    file = options.signature or Path(name + SUFFIX)
    try:
        with file.open("rb") as stream:
            signature: bytes = stream.read(LONGEST_SIGNATURE + 1)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
    if len(signature) > LONGEST_SIGNATURE:
        raise CommandError(f"{file}: too long for a signature")
    return signature


def _hash(word: str) -> str:
    from hsmgate.client.items import HASHES

    name = hash_name(word)
    if name not in HASHES:
        raise argparse.ArgumentTypeError(f"of those that are computed here: {', '.join(HASHES)}")
    return name
