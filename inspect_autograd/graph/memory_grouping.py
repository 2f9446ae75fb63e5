"""Which row of a SavedMemory a node belongs to: by operation, node, module or line."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Literal

from .creation import SourceLine
from .fold.labels import current_label
from .memory_rows import Identity

if TYPE_CHECKING:
    from .graph import Graph

__all__ = ["MemoryBy", "rows_by"]

MemoryBy = Literal["op", "node", "scope", "line"]

OUTSIDE = "(outside of any module)"
OUTERMOST = "(outermost)"
NO_LINE = "(line not known)"

Keys = tuple[Callable[[int], Hashable], Callable[[Any, int], Identity]]


def rows_by(graph: Graph, kind: MemoryBy, depth: int | None) -> Keys:
    """The row that a node belongs to, and what a row is about.

    Args:
        graph: With module scopes, for rows by scope.
        kind: What rows are about.
        depth: How many components of module paths to keep; None for all.
    """
    table = graph.node_table
    if kind == "op":
        return table.names.__getitem__, lambda name, _: (name, None, None, None)
    if kind == "scope":
        return _rows_by_scope(graph, depth)
    if kind == "line":
        return _rows_by_line(graph)

    def identify(node: int, _: int) -> Identity:
        name = f"#{node} {current_label(table, node)}"
        return (name, node, table.scopes.get(node), _source_of(graph, node))

    return lambda node: node, identify


def _rows_by_scope(graph: Graph, depth: int | None) -> Keys:
    scopes = graph.node_table.scopes

    def key_of(node: int) -> str | None:
        scope = scopes.get(node)
        return scope if scope is None or depth is None else ".".join(scope.split(".")[:depth])

    def identify(scope: str | None, _: int) -> Identity:
        name = OUTSIDE if scope is None else scope or OUTERMOST
        return (name, None, scope, None)

    return key_of, identify


def _rows_by_line(graph: Graph) -> Keys:
    creations = graph.node_table.creations.values()
    sources = {creation.source for creation in creations if creation.source is not None}
    files: dict[str, set[str]] = {}
    for source in sources:
        files.setdefault(source.short, set()).add(source.file)

    def identify(source: SourceLine | None, _: int) -> Identity:
        if source is None:
            return (NO_LINE, None, None, None)
        # Two files of one name, in different folders.
        is_unique = len(files[source.short]) == 1
        name = f"{source.short} in {source.function}" if is_unique else str(source)
        return (name, None, None, source)

    return lambda node: _source_of(graph, node), identify


def _source_of(graph: Graph, node: int) -> SourceLine | None:
    creation = graph.node_table.creations.get(node)
    return None if creation is None else creation.source
