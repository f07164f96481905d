"""docs/faults.md, from the outcomes: nothing in it but what the run saw."""

from collections.abc import Iterable, Sequence

from tests.faults.fault import BACK_WITHIN_SECONDS, BACK_WITHIN_SECONDS_WITH_BACK_OFF, Outcome
from tests.faults.load import CONNECTIONS
from tests.faults.scene import REQUEST_TIMEOUT, SIGNERS, SLOWNESS_MS

INTRO = f"""\
# Faults

`make faults` brings about every fault below, each on a fresh gateway, and writes this page.
`python -m tests.faults.run --only abort,delay` tries some of them.

All the while {CONNECTIONS} connections post batches of 1, 10 and 50 items without a pause: RSA-2048 (PKCS#1 and PSS),
P-256, P-384 and Ed25519, by kid, by name and inline, `data` and `hash`. Every signature that comes back is verified by
`cryptography` under the key that was asked for; each item has a message of its own, so an answer in the wrong place
does not verify. The token is SoftHSM with {SIGNERS} signers, behind a module that can be told to fail
(`tests/faults/module.c`); {SLOWNESS_MS} ms before each signature keep it slower than the machine, so that a lost signer
shows in the rate. `request_timeout` is {REQUEST_TIMEOUT:g} s where nothing else is said.

- **Honest errors** are items that were answered with an error that says so, by status.
- **Wrong** are signatures that do not verify under their key, and answers that are no answer. There must be none.
- **Missing key** are items that got a 404, though the key is there. There must be none.
- **Unanswered** are items that got nothing. There must be none.
- **Back after** is the time from the end of the fault to the first second in which 90 % of the rate before was signed:
  within {BACK_WITHIN_SECONDS:g} s, and within {BACK_WITHIN_SECONDS_WITH_BACK_OFF:g} s where signers could not start \
meanwhile and the pauses between the tries grew (marked ⏳).\
"""

HEAD = (
    *("fault", "items sent", "signatures verified", "honest errors", "wrong", "missing key", "unanswered"),
    *("longest answer", "back after"),
)


def write_page(outcomes: Sequence[Outcome]) -> str:
    """The whole page."""
    parts = [INTRO, "## What was seen", table(HEAD, map(_row, outcomes)), _totals(outcomes)]
    parts += ["## The faults", table(("fault", "what happens", "calls it was done to"), map(_what, outcomes))]
    parts += ["## Measured besides", *_figures(outcomes)]
    if complaints := [*_complaints(outcomes)]:
        parts += ["## What should not be", "\n".join(complaints)]
    return "\n\n".join(parts) + "\n"


def _row(outcome: Outcome) -> tuple[str, ...]:
    tally = outcome.tally
    errors = [f"{status}: {count:,}" for status, count in sorted(tally.errors.items())]
    return (
        outcome.fault.name + (" ⏳" if outcome.fault.back_off else ""),
        *(f"{tally.sent:,}", f"{tally.verified:,}", ", ".join(errors) or "0"),
        *(f"{tally.wrong:,}", f"{tally.missing:,}", f"{tally.unanswered:,}"),
        *(f"{tally.longest_seconds:.1f} s", _back(outcome)),
    )


def _what(outcome: Outcome) -> tuple[str, ...]:
    return outcome.fault.name, outcome.fault.what, _times(outcome)


def _times(outcome: Outcome) -> str:
    return ", ".join(f"{count:,}" for count in outcome.times)


def _back(outcome: Outcome) -> str:
    if outcome.fault.ends_service or outcome.fault.lasts:
        return "–"
    return "**not**" if outcome.back_after is None else f"{outcome.back_after:.1f} s"


def _totals(outcomes: Sequence[Outcome]) -> str:
    tallies = [outcome.tally for outcome in outcomes]
    sent, verified = sum(tally.sent for tally in tallies), sum(tally.verified for tally in tallies)
    errors = sum(tally.errors.total() for tally in tallies)
    wrong, missing = sum(tally.wrong for tally in tallies), sum(tally.missing for tally in tallies)
    unanswered = sum(tally.unanswered for tally in tallies)
    return (
        f"In all {len(outcomes)} faults, {sent:,} items: {verified:,} signatures verified, {errors:,} honest errors, "
        f"{wrong:,} wrong, {missing:,} missing keys, {unanswered:,} unanswered."
    )


def _figures(outcomes: Iterable[Outcome]) -> Iterable[str]:
    for outcome in outcomes:
        if outcome.figures:
            lines = "\n".join(f"- {what}: {value}" for what, value in outcome.figures.items())
            yield f"**{outcome.fault.name}**\n\n{lines}"


def _complaints(outcomes: Iterable[Outcome]) -> Iterable[str]:
    for outcome in outcomes:
        yield from (f"- {outcome.fault.name}: {complaint}" for complaint in outcome.complaints())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def summary(outcome: Outcome) -> str:
    """An outcome in a line, and its complaints in lines of their own."""
    row = ", ".join(f"{name} {value}" for name, value in zip(HEAD[1:], _row(outcome)[1:], strict=True))
    figures = [f"    {what}: {value}" for what, value in outcome.figures.items()]
    complaints = [f"    BAD: {complaint}" for complaint in outcome.complaints()]
    head = f"{outcome.fault.name}: {row}; {outcome.rate:,.0f} signatures a second before"
    return "\n".join([head, *figures, *complaints])


def details(outcome: Outcome) -> Iterable[str]:
    """What the errors said, in lines."""
    yield f"    calls it was done to: {_times(outcome)}"
    refused = [call for call in outcome.tally.calls if call.refused]
    told = sum(call.retry_after for call in refused)
    yield f"    {len(refused):,} calls refused as a whole, {told:,} of them with a Retry-After"
    for text, count in outcome.tally.texts.most_common(20):
        yield f"    {count:,} × {text}"
