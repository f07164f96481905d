"""Runs the matrix on SoftHSM and on NSS: python -m tests.conformance.run [--sample] [--out FILE] [--dir DIR].

Writes the page and prints the totals. Exits 1 where a cell is neither a verified signature nor an error that says why.
"""

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import aiohttp

from tests.conformance.keys import TRANSIENT, TYPES, Key, inline_keys, transient_key
from tests.conformance.matrix import Cell, cells
from tests.conformance.outcome import Outcome, judge
from tests.conformance.page import write_page
from tests.conformance.results import Refused, Result, Results
from tests.conformance.tokens import NSS_KEYS, SOFTHSM_KEYS, Token, TokenNotMade, make_nss, make_softhsm
from tests.gateway_process import Gateway, serving

ITEMS_A_BATCH = 1000
INLINE = {title for titles in TYPES.values() for title in titles} - {"RSA-4096", "secp224k1", "brainpoolP320r1"}
SAMPLE = {"RSA-2048", "P-256", "brainpoolP320r1", "Ed25519", "Ed448", "DSA-2048-256", "ML-DSA-65"}
"""One key of each type, and a curve that only OpenSSL knows."""


async def run_matrix(tokens: Iterable[Token], *, sample: bool) -> Results:
    """The outcome of every cell, on a gateway over each token."""
    results = Results()
    for token in tokens:
        async with serving(token.config, token.api_key, token.log) as gateway:
            await _run_token(gateway, token, results, sample=sample)
    return results


async def _run_token(gateway: Gateway, token: Token, results: Results, *, sample: bool) -> None:
    keys = [*token.keys, *inline_keys(sorted(INLINE & SAMPLE if sample else INLINE))]
    for title in (title for title in TRANSIENT if not sample or title in SAMPLE):
        made = await _make_transient(gateway, token, title)
        if isinstance(made, Key):
            keys.append(made)
        else:
            results.refused.append(made)
    wanted = (cell for key in keys for cell in cells(token.title, key, "sample" if sample else key.width))
    async for batch in _answered(gateway, wanted):
        results.answered += batch


async def _make_transient(gateway: Gateway, token: Token, title: str) -> Key | Refused:
    body = TRANSIENT[title] | {"name": f"conformance {title}", "key_ops": ["SIGN", "VERIFY"], "transient": True}
    headers = {"Authorization": f"Basic {gateway.api_key}"}
    async with gateway.client.post(gateway.url + "/crypto/v1/keys", json=body, headers=headers) as response:
        text = await response.text()
        if response.ok:
            return transient_key(title, json.loads(text))
        said = response.status < 500 and text
        why = f"POST /crypto/v1/keys: {text.strip()}"
        return Refused(token.title, title, Outcome("error" if said else "BAD", response.status, why))


async def _answered(gateway: Gateway, wanted: Iterator[Cell]) -> AsyncIterator[list[Result]]:
    """The results, batch by batch; one is judged while the next is signed."""
    numbers = itertools.count()
    judging: asyncio.Task[list[Result]] | None = None
    while batch := [(cell, cell.item(next(numbers))) for cell in itertools.islice(wanted, ITEMS_A_BATCH)]:
        # A deterministic signature is asked for twice, to see that it is.
        items = [item for cell, item in batch for _ in range(1 + (cell.deterministic == "true"))]
        answers = await _post(gateway, items)
        if judging is not None:
            yield await judging
        judging = asyncio.create_task(asyncio.to_thread(_judge_all, batch, answers))
    if judging is not None:
        yield await judging


async def _post(gateway: Gateway, items: list[dict[str, Any]]) -> list[Any]:
    """An answer for each item; where the call itself failed, its failure."""
    try:
        status, body = await gateway.post(items)
    except (aiohttp.ClientError, TimeoutError) as error:
        return [f"no answer to the batch: {error!r}"] * len(items)
    answers = json.loads(body) if status == 200 else None
    if not isinstance(answers, list) or len(answers) != len(items):
        return [f"not an answer to each item, but {status}: {body[:200]!r}"] * len(items)
    return answers


def _judge_all(batch: list[tuple[Cell, dict[str, Any]]], answers: list[Any]) -> list[Result]:
    left = iter(answers)
    taken = ((cell, item, [next(left) for _ in range(1 + (cell.deterministic == "true"))]) for cell, item in batch)
    return [Result(cell, item, judge(cell, item, of_cell)) for cell, item, of_cell in taken]


def minimal_request(result: Result | Refused) -> str:
    """What to post to see it again."""
    if isinstance(result, Refused):
        return f"{result.token}: a transient {result.title}"
    item = result.item | {"key": {"a key of the token's": result.cell.key.title}}
    if result.cell.key.how not in ("kid", "name"):
        item["key"] = {result.cell.key.how: result.cell.key.title}
    return f"{result.cell.token}: {json.dumps(item)}"


def report(results: Results) -> str:
    """The totals, and each kind of BAD cell with a request that shows it."""
    lines = []
    for token in results.tokens:
        counted = Counter((outcome.kind, outcome.status) for outcome in results.outcomes(token))
        totals = ", ".join(f"{kind} {status}: {count:,}" for (kind, status), count in sorted(counted.items()))
        lines.append(f"{token}: {totals}")
    bad = results.bad()
    alike = Counter((result.outcome.status, result.outcome.text) for result in bad)
    for (status, text), count in sorted(alike.items()):
        first = next(r for r in bad if (r.outcome.status, r.outcome.text) == (status, text))
        lines.append(f"BAD {count:,} times: {status} {text}\n    {minimal_request(first)}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", action="store_true", help="one key of each type, not everything crossed")
    parser.add_argument("--out", type=Path, help="write the page to this file")
    parser.add_argument("--dir", type=Path, help="keep the tokens in this folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.dir or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        wanted = SAMPLE if arguments.sample else {*SOFTHSM_KEYS, *NSS_KEYS}
        try:
            tokens = [
                make_softhsm(folder / "softhsm", {t: label for t, label in SOFTHSM_KEYS.items() if t in wanted}),
                make_nss(folder / "nss", {t: label for t, label in NSS_KEYS.items() if t in wanted}),
            ]
        except TokenNotMade as error:
            sys.exit(str(error))
        results = asyncio.run(run_matrix(tokens, sample=arguments.sample))
    if arguments.out:
        arguments.out.write_text(write_page(results))
    print(report(results))
    return 1 if results.bad() else 0


if __name__ == "__main__":
    sys.exit(main())
