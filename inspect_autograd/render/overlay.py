"""What a picture of a graph can be told to show on top of it, node by node and edge by edge."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..graph.records import Edge, Node
from .style import TEXT, Look

__all__ = ["BoxDress", "Chip", "EdgeDress", "Line", "NodeText", "Overlay", "Start"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line in a box; a bold one is larger too, as it must not be overlooked."""

    text: str
    is_bold: bool = False


@dataclass(frozen=True, slots=True)
class BoxDress:
    """How one box looks.

    Attributes:
        name: Its first line.
        details: The lines below.
        tooltip: What a viewer of the SVG shows at the box.
        look: Shape and colours; its legend is not used.
        text_color: Of all its lines.
        pen: Width of its outline in points; None for the usual one.
    """

    name: str
    details: tuple[Line, ...]
    tooltip: tuple[str, ...]
    look: Look
    text_color: str = TEXT
    pen: float | None = None


@dataclass(frozen=True, slots=True)
class EdgeDress:
    """How one arrow looks.

    Attributes:
        label: What is written behind the usual label.
        tooltip: What a viewer of the SVG shows at the arrow.
        attributes: In DOT.
    """

    label: str = ""
    tooltip: tuple[str, ...] = ()
    attributes: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """Where gradients enter.

    Attributes:
        name: What to call it if it is no root of the graph.
        tooltip: What entered.
    """

    name: str
    tooltip: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeText:
    """A node in a line of text: what stands before its name, after it, and at the end."""

    prefix: str
    gradient: str
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chip:
    """A sample in the legend; without a look it is a mere word."""

    text: str
    look: Look | None = None
    text_color: str = TEXT


class Overlay(Protocol):
    """What is shown on top of a graph."""

    @property
    def starts(self) -> Mapping[int, Start]:
        """The nodes by which gradients enter."""

    def dress_box(self, node: Node, name: str) -> BoxDress:
        """How a node looks whose usual look is `LOOKS[name]`."""

    def dress_edges(self, edges: Sequence[Edge]) -> EdgeDress:
        """How an arrow looks that stands for these edges."""

    def legend(self, names: Collection[str]) -> list[list[Chip]]:
        """Rows of the legend.

        Args:
            names: The looks of `style.LOOKS` that occur.
        """

    def describe(self, node: Node) -> NodeText:
        """A node in text."""
