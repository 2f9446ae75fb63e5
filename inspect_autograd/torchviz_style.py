"""make_dot: torchviz's function, with our picture and without its depth limit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import graphviz

from .errors import ArgumentError, ArgumentTypeError
from .live.capture import capture
from .render.dot import Direction, DotOptions, make_dot_parts
from .render.layout import lay_out
from .render.picture import check_direction
from .render.view import View, choose_view

__all__ = ["PictureDigraph", "make_dot"]

TIMEOUT = 300.0
"""Seconds; torchviz has no limit at all."""


class PictureDigraph(graphviz.Digraph):  # type: ignore[misc]  # graphviz has no type hints
    """A `graphviz.Digraph` that can also be drawn where no `dot` is on PATH.

    `source`, `attr`, `node`, `edge` and the rest are those of `graphviz.Digraph`. Without a `dot`
    executable, `render` and `pipe` use the Graphviz inside pygraphviz.
    """

    def pipe(self, format: str | None = None, **options: Any) -> Any:
        """The picture as bytes, or as text with `encoding`; see `graphviz.Digraph.pipe`."""
        try:
            return super().pipe(format, **options)
        except graphviz.ExecutableNotFound:
            data = self._lay_out(format or self.format)
            encoding = options.get("encoding")
            return data.decode("utf-8") if encoding is not None else data

    def render(
        self, filename: str | os.PathLike[str] | None = None, *positional: Any, **options: Any
    ) -> str:
        """Save the source and the picture beside it; see `graphviz.Digraph.render`."""
        try:
            return str(super().render(filename, *positional, **options))
        except graphviz.ExecutableNotFound:
            names = ("directory", "view", "cleanup", "format")
            named = dict(zip(names, positional, strict=False))
            return self._render_without_dot(filename, **named, **options)

    def _render_without_dot(
        self,
        filename: str | os.PathLike[str] | None = None,
        directory: str | os.PathLike[str] | None = None,
        cleanup: bool = False,
        format: str | None = None,
        outfile: str | os.PathLike[str] | None = None,
        **_: Any,
    ) -> str:
        if outfile is not None:
            format = format or Path(outfile).suffix.lstrip(".")
            filename = filename or Path(outfile).with_suffix(".gv")
        wanted = format or self.format
        source = self.save(filename, directory=directory, skip_existing=None)
        picture = outfile if outfile is not None else f"{source}.{wanted}"
        Path(picture).write_bytes(self._lay_out(wanted))
        if cleanup:
            Path(source).unlink()
        return str(picture)

    def _lay_out(self, format: str) -> bytes:
        if format not in ("png", "svg", "pdf"):
            raise ArgumentError(
                f"format is {format!r}; without a dot on PATH it has to be 'png', 'svg' or 'pdf'",
                remedy="Choose one of the three, or install Graphviz.",
            )
        boxes = self.source.count(" [label=")
        return lay_out(self.source, format, timeout=TIMEOUT, boxes=boxes).data


def make_dot(
    var: Any,
    params: Mapping[str, Any] | None = None,
    show_attrs: bool = False,
    show_saved: bool = False,
    max_attr_chars: int = 50,
    *,
    direction: Direction = "down",
) -> PictureDigraph:
    """Draw the autograd graph of a tensor; takes the place of `torchviz.make_dot`.

    The arguments are torchviz's, and `direction`; the picture is ours, with arrows the way
    gradients flow, down from the loss. Graphs of any depth work; one of more than 300 boxes is
    folded, and the picture says how. For the other options see `Graph.render`.

    Args:
        var: A tensor, or a tuple of tensors.
        params: Names for the leaf tensors, for example `dict(model.named_parameters())`.
        show_attrs: Also write what nodes keep that is no tensor.
        show_saved: Also draw the tensors that nodes save for backward.
        max_attr_chars: Longest value that `show_attrs` writes.
        direction: Where arrows go, `down` or to the `right`.

    Returns:
        A `graphviz.Digraph`: `make_dot(loss).render("loss", format="png")` writes `loss.png`. Its
        `graph_attr`, `node_attr` and `edge_attr` hold our defaults, and can be changed.

    Raises:
        ArgumentError: `direction` is neither.
        NoGraphError: No tensor carries a graph; says why.
    """
    if isinstance(max_attr_chars, bool) or not isinstance(max_attr_chars, int):
        raise ArgumentTypeError(
            f"max_attr_chars is {max_attr_chars!r} of type {type(max_attr_chars).__name__}; "
            "expected an int",
            remedy="Give a number of characters such as 50.",
        )
    check_direction(direction)
    shown: View = choose_view(capture(var, params=params), show_saved=show_saved)
    options = DotOptions(
        show_saved=show_saved,
        show_attributes=show_attrs,
        max_attribute_chars=max_attr_chars,
        captions=shown.captions,
        direction=direction,
    )
    dot = make_dot_parts(shown.graph, options)
    return PictureDigraph(
        graph_attr=dot.graph, node_attr=dot.node, edge_attr=dot.edge, body=dot.body
    )
