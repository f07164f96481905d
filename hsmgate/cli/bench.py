"""`hsmgate bench`: how many signers and sessions a token wants."""

import argparse
import logging
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from hsmgate.cli.parts import Commands, add_config, hash_name, run, say, say_json, say_table, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hsmgate.bench.rows import Row

SIGNERS = (1, 2, 4)
SESSIONS = (1, 2, 4, 8)
MOST = 256


def add(commands: Commands) -> None:
    """Add the command."""
    about = "find out how many signers and sessions a token wants: sign with a key of it, in pools of each size"
    bench = commands.add_parser("bench", help="find out how many signers and sessions a token wants", description=about)
    bench.add_argument(
        "--key", metavar="NAME|KID", type=text, required=True, help="what to sign with; no key is made or deleted"
    )
    bench.add_argument("--token", metavar="NAME", help="the config's token (the only one)")
    bench.add_argument("--signers", metavar="N,…", type=_numbers, help="numbers to try (1,2,4 and the config's)")
    bench.add_argument("--sessions", metavar="N,…", type=_numbers, help="numbers to try (1,2,4,8 and the config's)")
    bench.add_argument("--seconds", metavar="S", type=_seconds, default=3.0, help="for each size (3)")
    bench.add_argument("--hash", metavar="HASH", type=hash_name, help="SHA256, SHA3_384, … (SHA256)")
    bench.add_argument("--padding", choices=("pss", "pkcs1"), help="of RSA signatures (pkcs1)")
    bench.add_argument("--json", action="store_true", help="print the figures for a script")
    add_config(bench)
    bench.set_defaults(run=_bench)


def _bench(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from hsmgate.bench.rows import recommended
    from hsmgate.bench.run import Plan, choose_token, measure
    from hsmgate.config import Config

    logging.getLogger().setLevel(logging.WARNING)
    config = Config.load(options.config)
    token = choose_token(config, options.token)
    signers = options.signers or sorted({*SIGNERS, token.signers})
    sessions = options.sessions or sorted({*SESSIONS, token.sessions})
    sizes = [(many, each) for many in signers for each in sessions]
    padding = {"pss": "PSS", "pkcs1": "PKCS1_V15"}.get(options.padding)
    plan = Plan(config, token, options.key, options.hash, padding, sizes, options.seconds)
    rows: list[Row] = []
    with tqdm(total=len(sizes), unit="size", leave=False, disable=None, file=sys.stderr) as bar:

        def take(row: "Row") -> None:
            rows.append(row)
            bar.update()

        key = run(measure(plan, take))
    best = recommended(rows)
    if options.json:
        advice = None if best is None else {"signers": best.signers, "sessions": best.sessions}
        shown = {"token": token.name, "kid": key.kid, "rows": [asdict(row) for row in rows], "recommended": advice}
        say_json(shown)
    else:
        _print(rows, best)
    return 0 if best is not None else 1


def _print(rows: "Sequence[Row]", best: "Row | None") -> None:
    head = ("SIGNERS", "SESSIONS", "ITEMS/S", "MEDIAN ms", "99% ms", "")
    say_table(head, [(str(row.signers), str(row.sessions), *_figures(row), _remark(row, best)) for row in rows])
    if best is None:
        say("\nno size did well")
    else:
        say(f"\nsigners = {best.signers}\nsessions = {best.sessions}")


def _figures(row: "Row") -> tuple[str, str, str]:
    if not row.items_per_second:
        return "", "", ""
    return f"{row.items_per_second:.0f}", f"{row.median_ms:.2f}", f"{row.p99_ms:.2f}"


def _remark(row: "Row", best: "Row | None") -> str:
    return "recommended" if row is best else row.failed or ""


def _numbers(words: str) -> list[int]:
    numbers = [int(word) for word in words.split(",") if word.isascii() and word.isdigit() and len(word) < 5]
    if len(numbers) != words.count(",") + 1 or not all(1 <= number <= MOST for number in numbers):
        raise argparse.ArgumentTypeError(f"numbers from 1 to {MOST}, with commas between them")
    return sorted({*numbers})


def _seconds(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("from 0.1 to 3600")
    return seconds
