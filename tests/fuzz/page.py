"""docs/fuzzing.md, from the outcomes."""

from collections.abc import Sequence

from tests.fuzz.outcome import Outcome
from tests.fuzz.targets import TARGETS

INTRO = """\
# Fuzzing

Everything that reads bytes from outside is a target in `tests/fuzz/`: a function that takes any bytes and raises unless
the promise below was kept. Two drivers feed them.

- `make test` runs each with all its seeds and some hundred inputs by hypothesis. Besides, it sends hostile bodies and
  headers to a real gateway: no 500, the signers that were there are there afterwards, and the gateway and they have not
  grown. (Of 1,500 such calls, sent three times over, the last third left 132 KiB in the gateway, 12 and 20 in its
  signers.)
- `make fuzz` runs each under [atheris](https://github.com/google/atheris) (libFuzzer), which is led by what the code
  reaches, and writes this page. `make fuzz ARGS="--target der --runs 5000000"` goes on with one of them, from the
  corpus in `.hsmgate-fuzz/`.

An input that breaks a promise, that takes 20 s, or for which the process wants more than 2 GiB of address space or
1 GiB of memory, ends the run and is kept in `.hsmgate-fuzz/NAME/`. Only Python leads: ours, asn1crypto, PyJWT,
tomllib and base64. What reads in C or Rust (msgspec, aiohttp's parser, cryptography, pydantic) is fed all the same.\
"""

REMEMBERED = """\
What grows by a few blocks in `batch` and `http` is what items of the same kind mean, which the gateway remembers for at
most 10,000 kinds; without these the number stays as it is. In `jwts` and `callers` it is what is remembered of tokens
and headers that were right, at most 1,000 of each.\
"""

DESCRIBED = """\
`make test` also has [schemathesis](https://schemathesis.io) call a gateway by nothing but its own `/openapi.json`:
examples, coverage, fuzzing and stateful scenarios, with all of its checks, some 2,400 calls. Once it was made to go on:

    HSMGATE_SCHEMATHESIS_EXAMPLES=3000 make test T=tests/api/test_schemathesis.py

53,311 test cases over all 27 operations, 50,131 calls in the gateway's log, in 30 minutes: nothing to complain of.\
"""

FOUND = """\
- An inline public key with a modulus and an exponent of tens of thousands of bits: minutes of arithmetic for one item
  to verify, or rather until the signer was killed. Such keys have the bounds of private ones now.
- A blob that claims a key type without a name, or to expire after the year 9999: a 500 for who asked what it is.
- A body that is not in the `Content-Encoding` that it says: a 500.
- An `Expect` header that is not UTF-8: a 500 of aiohttp's own, which wanted to quote it.
- A token's ECDSA answer of more than 510 bytes: another exception than the documented one.
- Keys and attribute names repeated in a config's errors with their line breaks and escape sequences, at any length; a
  `slot-id` of thousands of digits.
- A JWT whose provider had signed an `exp` of some hundred digits: a 500 when it was exchanged for a session.
- An RSA key that a provider publishes with its private half: a 500 for every token of that key.
- A client certificate of an unknown version: a 500.
- `hsmgate audit verify` printed what a forged file said of itself with its line breaks and escape sequences, so that it
  could write lines of its own; a chain's name with a slash in it, or of 300 characters, ended it with a traceback.
- Seen on the way: each new session token made the gateway look through all living ones.\
"""

HEAD = (
    *("target", "inputs", "time", "inputs/s", "edges", "corpus", "broken promises", "longest input"),
    *("memory at a tenth → at the end", "Python's blocks, likewise"),
)


def write_page(outcomes: Sequence[Outcome]) -> str:
    """The whole page."""
    parts = [INTRO, "## What was seen", _table(HEAD, [_row(outcome) for outcome in outcomes])]
    parts.append(REMEMBERED)
    what = [(name, target.reads, target.promise) for name, target in TARGETS.items()]
    parts += ["## The targets", _table(("target", "reads", "promise"), what)]
    parts += ["## What it found, mended since", FOUND]
    parts += ["## Called by its own description", DESCRIBED]
    return "\n\n".join(parts) + "\n"


def _row(outcome: Outcome) -> tuple[str, ...]:
    if not outcome.looks:
        return (outcome.name, f"{outcome.inputs:,}", *("–",) * 4, f"**{outcome.failed}**", *("–",) * 3)
    warm, end = outcome.warm, outcome.end
    return (
        *(outcome.name, f"{outcome.inputs:,}", f"{outcome.seconds:,.0f} s"),
        *(f"{outcome.inputs / outcome.seconds:,.0f}", f"{outcome.edges:,}", f"{outcome.kept:,}"),
        *(f"**{outcome.failed}**" if outcome.failed else "0", f"{1000 * end.longest_seconds:,.0f} ms"),
        f"{_mib(warm.resident_bytes)} → {_mib(end.resident_bytes)} MiB",
        f"{warm.python_blocks:,} → {end.python_blocks:,}",
    )


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 1024**2:.1f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def summary(outcome: Outcome) -> str:
    """An outcome in a line."""
    return "; ".join(f"{name} {value}" for name, value in zip(HEAD, _row(outcome), strict=True))
