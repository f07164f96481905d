"""Tries the attacks: python -m tests.attacks.run [--out FILE] [--only NAME,...].

Prints a line for each, and writes the table between the markers of the page. Exits 1 where one gave something.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.attacks import by_bytes, by_credentials, by_items, by_load, by_user  # noqa: F401 - they note their attacks
from tests.attacks.held import HELD
from tests.attacks.stage import ATTACKS, stage
from tests.gateway_process import HSMGATE
from tests.token_tool import Demo

BEGIN, END = "<!-- attacks -->", "<!-- end of attacks -->"
Row = tuple[str, str, str]


async def tried(only: set[str], folder: Path) -> tuple[list[Row], bool]:
    """A row for each attack: what it is, what it gave, what holds it. False where one gave something.

    folder: with a demo in it.
    """
    rows, good = [], True
    async with stage(Demo(folder / "demo"), folder) as there:
        for attack in ATTACKS.values():
            if only and attack.name not in only:
                continue
            try:
                gave = await attack.run(there)
            except AssertionError as error:
                gave, good = f"**it gave something**: {error}"[:300], False
            print(f"{attack.name}: {gave}", flush=True)
            rows.append((attack.what, gave, f"`{attack.name}`{', `make attacks` only' if attack.costly else ''}"))
    return rows, good


def table(rows: list[Row]) -> str:
    lines = ["| | attack | what it gave | held by |", "|---|---|---|---|"]
    lines += [f"| {number} | {' | '.join(row)} |" for number, row in enumerate([*rows, *HELD], 1)]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the table into this page")
    parser.add_argument("--only", metavar="NAME,...", default="", help="these attacks alone")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*HSMGATE, "init", f"{folder}/demo"], check=True, stdout=subprocess.DEVNULL)
        rows, good = asyncio.run(tried({*filter(None, arguments.only.split(","))}, Path(folder)))
    if arguments.out:
        before, _, rest = arguments.out.read_text().partition(BEGIN)
        arguments.out.write_text(f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{rest.partition(END)[2]}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
