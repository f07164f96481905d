"""A few shapes of SVG, and scales to place them by.

The colours are of middle lightness and the ground is left clear, so that a picture reads on light and on dark pages.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

BLUE, ORANGE, GREY, FAINT = "#3a86c8", "#d9822b", "#7d8590", "#7d859055"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
LINE_HEIGHT = 15


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a value lies between two edges, by its logarithm or as it is."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The value's place."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values between low and high on a logarithmic scale: 1, 3, 10, 30 and so on."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        values = [first * 10.0**power for power in powers for first in (1, 3)]
        return [value for value in values if self.low <= value <= self.high]


@dataclass(slots=True)
class Picture:
    """A picture that is drawn from back to front."""

    width: int
    height: int
    title: str
    _shapes: list[str] = field(default_factory=list)

    def line(
        self, points: Sequence[tuple[float, float]], colour: str = GREY, width: float = 1.0, dash: str = ""
    ) -> None:
        """A line through the points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self._shapes.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"'
            f' stroke-linejoin="round" stroke-linecap="round"{dashes}/>'
        )

    def bar(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """A rectangle."""
        self._shapes.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" fill="{colour}"/>'
        )

    def dot(self, x: float, y: float, colour: str) -> None:
        """A round mark."""
        self._shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')

    def text(
        self, x: float, y: float, text: str, colour: str = GREY, anchor: str = "start", *, bold: bool = False
    ) -> None:
        """A line of text, its middle at y."""
        weight = ' font-weight="600"' if bold else ""
        self._shapes.append(
            f'<text x="{x:.1f}" y="{y + 4:.1f}" fill="{colour}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'
        )

    def render(self) -> str:
        """The SVG file."""
        return "\n".join(
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}"'
                f' width="{self.width}" height="{self.height}" font-family="{FONT}" font-size="12" role="img">',
                f"<title>{escape(self.title)}</title>",
                *self._shapes,
                "</svg>\n",
            )
        )


def apart(places: Sequence[float], least: float = LINE_HEIGHT) -> list[float]:
    """The places, from high to low on the page, moved so that labels there do not cover each other."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = list(places)
    for above, below in itertools.pairwise(order):
        overlap = least - (moved[below] - moved[above])
        if overlap > 0:
            moved[below] += overlap / 2
            moved[above] -= overlap / 2
    return moved
