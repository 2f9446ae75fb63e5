"""Drawing a graph into a file."""

from __future__ import annotations

import math
import os
import warnings
from pathlib import Path
from typing import get_args

from ..errors import ArgumentError, ArgumentTypeError
from ..graph.atomic_write import write_atomically
from ..graph.graph import Graph
from .dot import Direction, DotOptions, to_dot
from .layout import LEGIBLE_DPI, lay_out
from .overlay import Overlay
from .picture_format import choose_format
from .text import render_document
from .view import View, ViewName, choose_view, count_boxes

__all__ = ["FORMATS", "check_direction", "check_options", "draw_svg", "render", "render_view"]

FORMATS = {
    ".png": "png",
    ".svg": "svg",
    ".pdf": "pdf",
    ".dot": "dot",
    ".gv": "dot",
    ".txt": "txt",
}


def render(
    graph: Graph,
    path: str | os.PathLike[str],
    *,
    view: ViewName = "auto",
    direction: Direction = "down",
    show_saved: bool = False,
    show_source: bool = False,
    show_attributes: bool = False,
    title: str | None = None,
    timeout: float = 30.0,
) -> Path:
    """Draw a graph into a file; see `Graph.render`."""
    check_options(path, title, timeout)  # Before the folding, which may take seconds.
    check_direction(direction)
    shown = choose_view(graph, view, show_saved=show_saved)
    return render_view(
        shown,
        path,
        direction=direction,
        show_saved=show_saved,
        show_source=show_source,
        show_attributes=show_attributes,
        title=title,
        timeout=timeout,
    )


def render_view(
    shown: View,
    path: str | os.PathLike[str],
    *,
    direction: Direction = "down",
    show_saved: bool = False,
    show_source: bool = False,
    show_attributes: bool = False,
    title: str | None = None,
    timeout: float = 30.0,
    overlay: Overlay | None = None,
) -> Path:
    """Draw what `choose_view` chose into a file; the options are those of `Graph.render`.

    What an overlay says takes the place of saved tensors and attributes.
    """
    target, output_format = check_options(path, title, timeout)
    if output_format == "txt":
        return write_atomically(
            target, _encode(render_document(shown.graph, shown.captions, title, overlay))
        )
    options = DotOptions(
        show_saved=show_saved,
        show_source=show_source,
        show_attributes=show_attributes,
        title=title,
        captions=shown.captions,
        direction=direction,
        overlay=overlay,
    )
    source = to_dot(shown.graph, options)
    if output_format == "dot":
        return write_atomically(target, _encode(source))
    boxes = count_boxes(shown.graph, show_saved=show_saved)
    picture = lay_out(source, output_format, timeout=timeout, boxes=boxes)
    if picture.dpi is not None and picture.dpi < LEGIBLE_DPI:
        _warn_of_resolution(target, picture.dpi)
    return write_atomically(target, picture.data)


def draw_svg(graph: Graph, *, timeout: float) -> str:
    """The picture of `view="auto"` as SVG."""
    shown = choose_view(graph)
    source = to_dot(shown.graph, DotOptions(captions=shown.captions))
    return lay_out(source, "svg", timeout=timeout, boxes=count_boxes(shown.graph)).data.decode()


def _encode(text: str) -> bytes:
    return text.encode("utf-8")


def check_options(path: object, title: object, timeout: object) -> tuple[Path, str]:
    """Where to write, and in which format; refuses what cannot be."""
    target, output_format = choose_format(
        path,
        FORMATS,
        example="graph.png",
        remedy="The suffix chooses the format: .png, .svg or .pdf for a picture, .dot for "
        "Graphviz source, .txt for text.",
    )
    _check_timeout(timeout)
    if title is not None and not isinstance(title, str):
        raise ArgumentTypeError(
            f"title is {title!r} of type {type(title).__name__}; expected a string or None",
            remedy="Give the text that is to stand above the picture.",
        )
    return target, output_format


def check_direction(direction: object) -> None:
    """Refuse what is no direction."""
    if direction not in get_args(Direction):
        raise ArgumentError(
            f"direction is {direction!r}; expected 'down' or 'right'",
            remedy="Leave direction out: arrows then go down, from the loss to the leaves.",
        )


def _check_timeout(timeout: object) -> None:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise ArgumentTypeError(
            f"timeout is {timeout!r} of type {type(timeout).__name__}; expected seconds",
            remedy="Give a number such as 60.",
        )
    if not (timeout > 0 and math.isfinite(timeout)):
        raise ArgumentError(
            f"timeout is {timeout!r}; expected a finite number of seconds above 0",
            remedy="Give a number such as 60.",
        )


def _warn_of_resolution(target: Path, dpi: float) -> None:
    warnings.warn(
        f"{target.name} would be too large for a PNG, so it was drawn at {dpi:g} dots per inch, "
        "at which small print cannot be read. Use .svg or .pdf, or view='auto' for fewer boxes.",
        stacklevel=5,
    )
