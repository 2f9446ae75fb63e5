"""From the norm of a gradient to a colour: dark is large, and every power of ten counts alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor, isfinite, log10

__all__ = [
    "NO_COLOR",
    "SHADES",
    "NormScale",
    "contrast",
    "format_norm",
    "format_range",
    "text_color",
]

SHADES = (
    "#F3F4C9",
    "#D5E2AB",
    "#B0D196",
    "#7EC292",
    "#4BB096",
    "#099A9A",
    "#008399",
    "#006A91",
    "#025281",
    "#113D6C",
    "#122955",
)
"""From small to large. Lightness falls in even steps (CIE L* 95 to 17), so the order can be seen in
black and white; hue goes from yellow to blue, which people with any common colour blindness can
tell apart. None of them is near the vermillion of what is not finite."""
NO_COLOR = "#FFFFFF"
"""For a norm of exactly 0, which no logarithm can place."""
MIN_DECADES = 2
"""A scale spans so many powers of ten at least, so that small differences look small."""
MAX_TICKS = 9


@dataclass(frozen=True, slots=True)
class NormScale:
    """A logarithmic scale from one power of ten to another.

    Attributes:
        low: Exponent of its small end.
        high: Exponent of its large end.
    """

    low: int
    high: int

    @classmethod
    def fit(cls, norms: Iterable[float]) -> NormScale | None:
        """The smallest scale that holds all norms; those that are 0 or not finite do not count.

        Returns:
            None if no norm is left.
        """
        usable = [norm for norm in norms if isfinite(norm) and norm > 0]
        if not usable:
            return None
        low, high = floor(log10(min(usable))), ceil(log10(max(usable)))
        while high - low < MIN_DECADES:
            # A norm of 1 alone stands in the middle; else more room below.
            low, high = (low - 1, high + 1) if low == high else (low - 1, high)
        return cls(low, high)

    def position(self, norm: float) -> float:
        """Where a norm is between the ends, from 0 to 1; beyond an end it is at that end."""
        if norm <= 0:
            return 0.0
        if not isfinite(norm):
            return 1.0
        place = (log10(norm) - self.low) / (self.high - self.low)
        return min(max(place, 0.0), 1.0)

    def color(self, norm: float) -> str:
        """The colour of a norm as `#RRGGBB`; white for exactly 0."""
        if norm == 0:
            return NO_COLOR
        return _shade(self.position(norm))

    def ticks(self) -> list[tuple[str, str]]:
        """Powers of ten from end to end for a legend, as text and colour.

        They are evenly spread where there are too many to show each.
        """
        span = self.high - self.low
        count = min(span, MAX_TICKS - 1)
        exponents = [self.low + round(span * i / count) for i in range(count + 1)]
        return [(_power_of_ten(e), _shade((e - self.low) / span)) for e in exponents]


def _power_of_ten(exponent: int) -> str:
    # Not by way of a float: a scale may end at 1e309 or 1e-324, which is none.
    return f"{10.0**exponent:g}" if -3 < exponent < 4 else f"1e{exponent}"


def _shade(position: float) -> str:
    """The colour at a place from 0 to 1, mixed of its two neighbours."""
    place = position * (len(SHADES) - 1)
    index = min(int(place), len(SHADES) - 2)
    share = place - index
    first, second = _channels(SHADES[index]), _channels(SHADES[index + 1])
    mixed = [round(a + (b - a) * share) for a, b in zip(first, second, strict=True)]
    return "#" + "".join(f"{channel:02X}" for channel in mixed)


def _channels(color: str) -> list[int]:
    return [int(color[i : i + 2], 16) for i in (1, 3, 5)]


@lru_cache
def text_color(fill: str) -> str:
    """Black or white, whichever is easier to read on a fill; the contrast is at least 4.5."""
    black, white = "#000000", "#FFFFFF"
    return black if contrast(black, fill) >= contrast(white, fill) else white


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours, from 1 to 21.

    https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio
    """
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: str) -> float:
    red, green, blue = (_linear(channel / 255) for channel in _channels(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def format_norm(norm: float) -> str:
    """`|0.149|`, as `TensorStats` is printed."""
    return f"|{norm:.3g}|"


def format_range(low: float, high: float) -> str:
    """`|0.00123 … 4.1|`, or one number where both ends read the same."""
    first, last = f"{low:.3g}", f"{high:.3g}"
    return format_norm(high) if first == last else f"|{first} … {last}|"
