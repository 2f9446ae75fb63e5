"""Where a node comes from, in words: its module, and the line that made it."""

from __future__ import annotations

from pathlib import PurePath

from ..graph.graph import Graph
from ..graph.records import Node
from .escape import shorten

__all__ = ["describe_origin", "has_origins", "line_text", "scope_text"]

OUTERMOST = "(outermost)"
MAX_LINE_CHARS = 24


def has_origins(graph: Graph) -> bool:
    """Whether modules or lines were recorded; inferred modules are not worth a column."""
    table = graph.node_table
    return bool(table.creations) or (graph.scopes == "recorded" and bool(table.scopes))


def scope_text(scope: str | None) -> str:
    """The path of a module; nothing outside of any module."""
    return "" if scope is None else scope or OUTERMOST


def line_text(node: Node, limit: int = MAX_LINE_CHARS) -> str:
    """`train.py:12`; of a long name the end of the file and the line are kept."""
    source = node.source
    if source is None:
        return ""
    number = f":{source.line}"
    return shorten(PurePath(source.file).name, max(limit - len(number), 8)) + number


def describe_origin(node: Node) -> list[str]:
    """The call, the line and the module, for a tooltip; what is not known is left out."""
    creation = node.creation
    lines = []
    if node.scope is not None:
        call = "" if creation is None or creation.call is None else f", call {creation.call + 1}"
        lines.append(f"module {scope_text(node.scope)}{call}")
    if creation is None:
        return lines
    if creation.function is not None:
        lines.append(f"made by {creation.function}")
    if creation.source is not None:
        lines.append(f"at {creation.source}")
    if creation.made_by:
        lines.append(f"while {creation.made_by} ran")
    if creation.reason:
        lines.append(f"origin unknown: {creation.reason}")
    return lines
