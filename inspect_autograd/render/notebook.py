"""What a notebook shows for a graph."""

from __future__ import annotations

import warnings
from contextlib import suppress

from ..graph.graph import Graph
from .picture import draw_svg

__all__ = ["TIMEOUT", "notebook_svg"]

TIMEOUT = 10.0
"""Seconds; who waits for the output of a cell did not ask for a picture by name."""


def notebook_svg(graph: Graph) -> str | None:
    """The picture as SVG that fits into the page, or None: the notebook then shows the text.

    An exception would stand in the place of the output, so there is none, whatever goes wrong.
    """
    try:
        svg = draw_svg(graph, timeout=TIMEOUT)
    except Exception as error:
        with suppress(Warning):
            warnings.warn(f"no picture of the graph: {error}", stacklevel=2)
        return None
    # Only the element: in a page, an XML declaration is an error.
    svg = svg[svg.index("<svg") :]
    return svg.replace("<svg", '<svg style="max-width: 100%; height: auto"', 1)
