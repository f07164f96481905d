"""The pictures of the page: throughput by batch size, latency by load, slow tokens by the pool's size."""

import itertools
from collections.abc import Callable
from statistics import median

from benchmarks.measures import Record
from benchmarks.svg import BLUE, FAINT, GREY, ORANGE, Picture, Scale, apart

CONNECTIONS = (1, 2, 4, 8, 16, 32, 64)
DELAYS_MS = (0.3, 1, 5)
SESSIONS = (1, 4, 16, 32)
SIGNERS = {2: ORANGE, 1: BLUE}


def throughput(record: Record) -> Picture | None:
    """Signatures per second by batch size, against the C loop."""
    bars = {
        "batches of 1,000, 2 connections": record.get("rate p256 1000"),
        "batches of 100, 4 connections": record.get("rate p256 100"),
        "batches of 10, 8 connections": record.get("rate p256 10"),
        "single items, 64 connections": record.get("rate p256 1"),
    }
    if "ceiling p256" not in record or not all(bars.values()):
        return None
    ceiling = median(record["ceiling p256"])
    picture = Picture(760, 216, "P-256 signatures per second by batch size, against the C loop")
    longest = max(ceiling, *(max(values) for values in bars.values() if values))
    x = Scale(0, longest, 215, 660)
    for row, (label, values) in enumerate(bars.items()):
        if values:
            y, rate = 52 + row * 40, median(values)
            picture.text(x(0) - 12, y + 13, label, anchor="end")
            picture.bar(x(0), y, x(rate) - x(0), 26, BLUE)
            inside = rate > longest / 4
            colour = "#ffffff" if inside else GREY
            picture.text(
                x(rate) + (-10 if inside else 10), y + 13, f"{rate:,.0f}/s", colour, "end" if inside else "start"
            )
            picture.text(x(longest) + 14, y + 13, f"{rate / ceiling:.0%}", BLUE, bold=True)
            picture.line([(x(min(values)), y + 29), (x(max(values)), y + 29)], BLUE, 1.5)
    picture.line([(x(ceiling), 36), (x(ceiling), 206)], GREY, 1.5, "4 4")
    picture.text(x(ceiling), 22, f"the C loop, 2 processes: {ceiling:,.0f}/s", anchor="end", bold=True)
    picture.text(x(longest) + 14, 22, "share of it", BLUE)
    return picture


def latency(record: Record) -> Picture | None:
    """A single item's p50 and p99 by the number of connections that send such."""
    if not all(f"latency p99 {connections}" in record for connections in CONNECTIONS):
        return None
    lines = {name: [median(record[f"latency {name} {n}"]) * 1e3 for n in CONNECTIONS] for name in ("p50", "p99")}
    picture = Picture(760, 340, "Latency of single P-256 items by the number of connections")
    x = Scale(CONNECTIONS[0], CONNECTIONS[-1], 80, 640, log=True)
    y = Scale(min(lines["p50"]) / 1.5, max(lines["p99"]) * 1.3, 270, 36, log=True)
    picture.text(20, 16, "milliseconds until the answer is there")
    _grid(picture, y, (64, 656), lambda value: f"{value:g}")
    for connections in CONNECTIONS:
        rate = median(record[f"latency rate {connections}"])
        picture.text(x(connections), 290, f"{connections}", anchor="middle")
        picture.text(x(connections), 308, f"{rate:,.0f}/s", anchor="middle")
    picture.text(
        360, 328, "connections that send single items, and the signatures per second they get", anchor="middle"
    )
    ends = apart([y(values[-1]) for values in lines.values()])
    for (name, values), end, colour in zip(lines.items(), ends, (BLUE, ORANGE), strict=True):
        _marked(picture, [(x(n), y(value)) for n, value in zip(CONNECTIONS, values, strict=True)], colour)
        picture.text(664, end, f"{name}  {values[-1]:.1f} ms", colour, bold=True)
        picture.text(x(1), y(values[0]) - 14, f"{values[0]:.2f}", colour, "middle")
    return picture


def pools(record: Record) -> Picture | None:
    """Signatures per second on slow tokens, by signers and sessions."""
    names = [f"pool {delay:g} {signers} {n}" for delay in DELAYS_MS for signers in SIGNERS for n in SESSIONS]
    if not all(name in record for name in names):
        return None
    picture = Picture(860, 360, "Signatures per second on slow tokens, by signers and by sessions")
    rates = [median(record[name]) for name in names]
    y = Scale(min(rates) / 1.6, max(SIGNERS) * max(SESSIONS) * 1000 / min(DELAYS_MS), 290, 52, log=True)
    if "ceiling p256" in record:
        y = Scale(y.low, 2 * max(*rates, *record["ceiling p256"]), 290, 52, log=True)
    picture.text(20, 14, "signatures per second")
    for panel, delay in enumerate(DELAYS_MS):
        left = 80 + panel * 245
        x = Scale(0, len(SESSIONS) - 1, left + 14, left + 180)
        picture.text(left + 97, 36, f"a token that takes {delay:g} ms", anchor="middle", bold=True)
        _grid(picture, y, (left, left + 194), (lambda value: f"{value:,.0f}") if panel == 0 else lambda _: "")
        if "ceiling p256" in record:
            limit = y(median(record["ceiling p256"]))
            picture.line([(left, limit), (left + 194, limit)], GREY, 1.5, "1 4")
        for place, sessions in enumerate(SESSIONS):
            picture.text(x(place), 310, f"{sessions}", anchor="middle")
        ends = []
        for signers, colour in SIGNERS.items():
            ideal = [(x(place), y(signers * n * 1000 / delay)) for place, n in enumerate(SESSIONS)]
            picture.line(_below(ideal, y.end), colour, 1, "5 4")
            values = [median(record[f"pool {delay:g} {signers} {n}"]) for n in SESSIONS]
            _marked(picture, [(x(place), y(value)) for place, value in enumerate(values)], colour)
            ends.append((y(values[-1]), f"{values[-1] / 1000:.1f}k", colour))
        for at, (_, text, colour) in zip(apart([end[0] for end in ends]), ends, strict=True):
            picture.text(left + 190, at, text, colour, bold=True)
    picture.text(420, 330, "sessions of each signer", anchor="middle")
    legend = "dashed: what the token's time allows" + (
        "; dotted: the C loop on the plain token" if "ceiling p256" in record else ""
    )
    picture.text(80, 350, "1 signer", BLUE, bold=True)
    picture.text(140, 350, "2 signers", ORANGE, bold=True)
    picture.text(220, 350, legend)
    return picture


def _grid(picture: Picture, y: Scale, between: tuple[float, float], label: Callable[[float], str]) -> None:
    for value in y.ticks():
        picture.line([(between[0], y(value)), (between[1], y(value))], FAINT)
        picture.text(between[0] - 8, y(value), label(value), anchor="end")


def _below(points: list[tuple[float, float]], top: float) -> list[tuple[float, float]]:
    """A rising line, cut off where it leaves the picture."""
    for place, ((x0, y0), (x1, y1)) in enumerate(itertools.pairwise(points)):
        if y1 < top:
            return [*points[: place + 1], (x0 + (x1 - x0) * (y0 - top) / (y0 - y1), top)]
    return points


def _marked(picture: Picture, points: list[tuple[float, float]], colour: str) -> None:
    picture.line(points, colour, 2)
    for x, y in points:
        picture.dot(x, y, colour)


CHARTS = {"throughput": throughput, "latency": latency, "pools": pools}
