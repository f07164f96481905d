"""docs/conformance.md, from the results: nothing in it but what the run saw, in an order that does not change."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from string import ascii_lowercase

from tests.conformance.digests import HASHES
from tests.conformance.keys import DESCRIPTORS, TYPES
from tests.conformance.matrix import ABSENT, HASH_NAMES, MODES, PAYLOADS, PSS_MGF
from tests.conformance.outcome import Outcome
from tests.conformance.results import Result, Results

INTRO = """\
# Conformance

`make conformance` signs with every combination of key type, descriptor, mode, MGF hash, hash, `data` or `hash`,
`deterministic_signature` and `context`, on SoftHSM and on NSS, and writes this page. A signature counts where it is
verified: by `cryptography`, or, for hashes that it does not know, by the public-key operation and an encoding of the
test's own (`tests/conformance/emsa.py`), or, for curves that it does not know, by OpenSSL. The run fails on a signature
that does not verify, an answer of 500 or more, an item without an answer, and an error that does not name a member and
a reason.

In the tables ✓ is a signature that was verified, and a number the status of an item's error; its letter says
[why](#why). A field is for all keys of the type that sign at all; where they differ, it has all answers.

## What is crossed with what

Every key is named by every descriptor that there is for it, and asked to sign `data` and `hash`, with each hash and
without `hash_alg`, in each mode of its type and one that its type has not. Then:

- `deterministic_signature` absent, false and true, times `context` absent, given and 256 bytes long, and for RSA each
  of the 17 hashes for MGF1: all crossed;
- but for RSA-3072, RSA-4096 and for the second inline form of a key: one of these two members at a time, and for RSA
  four hashes for MGF1 with each hash.

Items with `deterministic_signature: true` are signed twice and must come out equal. `hash` without `hash_alg` is 32
bytes long. Transient keys are made by `POST /crypto/v1/keys`; one that is refused there counts as one error.\
"""


def write_page(results: Results) -> str:
    letters = {outcome: _letter(index) for index, outcome in enumerate(results.errors())}

    def mark(outcome: Outcome) -> str:
        return {"verified": "✓", "BAD": "**BAD**"}.get(outcome.kind) or f"{outcome.status} {letters[outcome]}"

    parts = [INTRO, "## Totals", *_totals(results), "## Keys", *_keys(results, mark)]
    signing = results.signing_keys()
    for type_ in TYPES:
        of_type = [result for result in results.answered if result.cell.key.type == type_ and result.key in signing]
        if of_type:
            parts += [f"## {type_}", *_type(type_, of_type, mark)]
    return "\n\n".join([*parts, "## Why", *_why(results, letters)]) + "\n"


Mark = Callable[[Outcome], str]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _totals(results: Results) -> Iterator[str]:
    rows = []
    for token in results.tokens:
        counted = Counter((outcome.kind, outcome.status) for outcome in results.outcomes(token))
        kinds = Counter(outcome.kind for outcome in results.outcomes(token))
        statuses = [f"{status}: {counted['error', status]:,}" for kind, status in sorted(counted) if kind == "error"]
        rows.append([token, f"{counted.total():,}", f"{kinds['verified']:,}", ", ".join(statuses), f"{kinds['BAD']:,}"])
    yield _table(["token", "combinations", "verified", "errors, by status", "neither"], rows)


def _keys(results: Results, mark: Mark) -> Iterator[str]:
    yield "✓ where it signs; an error where nothing at all was signed with it; empty where there is no such key."
    signing = results.signing_keys()
    for token in results.tokens:
        rows = []
        for title in (title for titles in TYPES.values() for title in titles):
            row = []
            for how in DESCRIPTORS:
                reason = results.reason_of(token, title, how)
                row.append("✓" if (token, title, how) in signing else mark(reason) if reason else "")
            if any(row):
                rows.append([title, *row])
        yield f"### Keys on {token}"
        yield _table(["key", *DESCRIPTORS], rows)


def _type(type_: str, results: list[Result], mark: Mark) -> Iterator[str]:
    tokens = [*dict.fromkeys(result.cell.token for result in results)]
    yield "Where the tokens differ: " + " / ".join(tokens) + "." if len(tokens) > 1 else f"On {tokens[0]} alone."
    by_choice: defaultdict[tuple[str, str, str], list[Result]] = defaultdict(list)
    for result in results:
        if result.cell.is_plain:
            by_choice[result.cell.hash_alg, result.cell.mode, result.cell.payload].append(result)

    def shown(hash_alg: str, mode: str, payloads: Sequence[str]) -> str:
        return _shown([r for payload in payloads for r in by_choice[hash_alg, mode, payload]], tokens, mark)

    modes = [mode for mode in MODES[type_] if mode not in PSS_MGF]
    yield _table(
        ["hash_alg", *(f"{_mode(mode)}, `{payload}`" for mode in modes for payload in PAYLOADS)],
        ([name, *(shown(name, mode, [payload]) for mode in modes for payload in PAYLOADS)] for name in HASH_NAMES),
    )
    if type_ == "RSA":
        yield "PSS with MGF1 over another hash, for `data` and `hash` alike:"
        rows = ([name, *(shown(name, mode, PAYLOADS) for mode in PSS_MGF)] for name in HASHES)
        yield _table(["hash_alg", *HASHES], rows)
    yield "What was signed above, asked for with:"
    yield _members(results, tokens, mark)


def _members(results: list[Result], tokens: Sequence[str], mark: Mark) -> str:
    """What became of the combinations that are signed as such, once another member was added to them."""
    signed = {_choice(r) for r in results if r.cell.is_plain and r.outcome.kind == "verified"}
    by_member: defaultdict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        cell = result.cell
        if _choice(result) in signed and ABSENT in (cell.deterministic, cell.context):
            mode = "PSS, MGF1 given" if cell.mode in PSS_MGF else cell.mode
            by_member[mode, cell.deterministic if cell.context == ABSENT else cell.context].append(result)
    columns = {"true": "`deterministic_signature: true`", "given": "`context`", "256 bytes": "`context` of 256 bytes"}
    modes = list(dict.fromkeys(mode for mode, _ in by_member))
    rows = ([_mode(mode), *(_shown(by_member[mode, column], tokens, mark) for column in columns)] for mode in modes)
    return _table(["mode", *columns.values()], rows)


def _choice(result: Result) -> tuple[str, ...]:
    return (*result.key, result.cell.hash_alg, result.cell.mode, result.cell.payload)


def _shown(results: Iterable[Result], tokens: Sequence[str], mark: Mark) -> str:
    """All answers, by token where that makes a difference."""
    marks: dict[str, set[str]] = {token: set() for token in tokens}
    for result in results:
        marks[result.cell.token].add(mark(result.outcome))
    texts = [", ".join(sorted(found, key=lambda text: (text != "✓", text))) for found in marks.values()]
    return texts[0] if len(set(texts)) == 1 else " / ".join(text or ABSENT for text in texts)


def _mode(mode: str) -> str:
    return "no mode" if mode == ABSENT else mode


def _why(results: Results, letters: dict[Outcome, str]) -> Iterator[str]:
    yield "Every error that a combination got, and how often. HASH stands for the name of a hash."
    counts = {token: Counter(results.outcomes(token)) for token in results.tokens}
    rows = (
        [letter, str(error.status), error.text.replace("|", "\\|"), *(f"{counts[token][error]:,}" for token in counts)]
        for error, letter in letters.items()
    )
    yield _table(["", "status", "error", *counts], rows)


def _letter(index: int) -> str:
    """a to z, then aa, ab and so on."""
    before, last = divmod(index, 26)
    return (_letter(before - 1) if before else "") + ascii_lowercase[last]
