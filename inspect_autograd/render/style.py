"""How things look: one table of shapes, lines and colours.

Hues are those of Okabe and Ito, which people with any common colour blindness can tell apart
(https://jfly.uni-koeln.de/color/), with fills mixed with white so that black text stays legible.
Nothing is told by colour alone: the shape or the line differs as well.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BACKGROUND",
    "EDGE",
    "FONT",
    "IDLE",
    "LOOKS",
    "MUTED",
    "REPEAT",
    "TEXT",
    "Look",
]

# Measured with the first of these that is installed, drawn by a browser with the first it has.
FONT = "Helvetica,Arial,sans-serif"
# Never transparent: the same file has to be legible on a dark page.
BACKGROUND = "#FFFFFF"
TEXT = "#1A1A1A"
MUTED = "#555555"
EDGE = "#444444"
REPEAT = "#B34700"
IDLE = "#767676"
"""What had no part in a backward pass: text and lines on white, at a contrast of 4.5."""


@dataclass(frozen=True, slots=True)
class Look:
    """How one kind of box is drawn.

    Attributes:
        shape: Graphviz shape.
        style: Graphviz styles, comma-separated.
        fill: Colour of the inside.
        line: Colour of the outline.
        legend: What the legend calls it.
        peripheries: Number of outlines.
    """

    shape: str
    style: str
    fill: str
    line: str
    legend: str
    peripheries: int = 1


LOOKS = {
    "op": Look("box", "filled", "#F4F4F4", "#666666", "operation"),
    "leaf": Look("box", "rounded,filled", "#D5ECF9", "#0072B2", "parameter or input"),
    "nameless": Look("box", "rounded,filled,dashed", "#EEF7FC", "#0072B2", "leaf without a name"),
    "custom": Look("octagon", "filled", "#F4DDEA", "#A2407A", "custom Function (octagon)"),
    "cpp-custom": Look(
        "octagon", "filled", "#F4DDEA", "#A2407A", "C++ Function (double octagon)", 2
    ),
    "compiled": Look("component", "filled", "#FBE6B8", "#8A6200", "torch.compile"),
    "fold": Look("box", "filled", "#D3EEE4", "#00694D", "several nodes as one", 2),
    "saved": Look("ellipse", "filled,dotted", "#FCF9D4", "#6E6700", "saved tensor"),
    "packed": Look("hexagon", "filled,dotted", "#FCF9D4", "#6E6700", "packed (hexagon)"),
    "freed": Look("ellipse", "dashed", "#FFFFFF", "#777777", "freed (dashed, no fill)"),
    "modified": Look(
        "tripleoctagon", "filled,bold", "#FFD9BF", "#B34700", "modified in place (triple line)"
    ),
    "far": Look("box", "rounded,filled,dotted", "#EEF7FC", "#0072B2", "leaf drawn elsewhere"),
    "connector": Look("circle", "filled", "#FFFFFF", "#1A1A1A", "goes on at the same number"),
    "cut": Look("box", "dashed", "#FFFFFF", "#777777", "not captured"),
}
