"""Folding by module: the nodes of one module scope become one node."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from .infer_scopes import infer_scopes
from .instances import split_into_instances
from .labels import plural
from .quotient import Box, quotient

if TYPE_CHECKING:
    from ..graph import Graph

__all__ = ["fold_scopes"]

DEFAULT_DEPTH = 1


def fold_scopes(graph: Graph, depth: int = DEFAULT_DEPTH) -> Graph:
    """The graph with the nodes of every module made one, `depth` components deep.

    Components count below the part of the path that all scopes have in common. Nodes of a module
    whose submodules become boxes stay as they are, and so do nodes of unknown scope and a node
    that is alone in its module. A module that the gradient leaves and enters again (it was called
    twice, or its weight is shared) becomes one node per call.

    A graph without scopes gets them from its parameter names first, see `infer_scopes`.
    """
    scoped = infer_scopes(graph)
    prefixes = _cut_scopes(scoped.node_table.scopes, depth)
    numbers = {prefix: number for number, prefix in enumerate(sorted(set(prefixes.values())))}
    group_of = array("q", [-1]) * len(graph)
    for node, prefix in prefixes.items():
        group_of[node] = numbers[prefix]
    instances = split_into_instances(scoped.edge_table, group_of)
    boxes = []
    for prefix, number in numbers.items():
        calls = instances[number]
        for call, members in enumerate(calls, start=1):
            which = f" (call {call} of {len(calls)})" if len(calls) > 1 else ""
            boxes.append(Box(members, "scope", prefix + which, 1, prefix))
    boxes = [box for box in boxes if len(box.members) > 1]
    nodes = sum(len(box.members) for box in boxes)
    text = f"folded {plural(nodes, 'node')} in {plural(len(boxes), 'module')} at depth {depth}"
    folded = quotient(scoped, boxes, by="scope", text=text)
    return graph if folded is scoped else folded


def _cut_scopes(scopes: Mapping[int, str], depth: int) -> dict[int, str]:
    """For every node that is to be folded, its scope cut to `depth` components."""
    paths = {scope: tuple(scope.split(".")) for scope in set(scopes.values()) if scope}
    deepest = _common_depth(paths.values()) + depth
    # A module that is not as deep as asked for has nodes of its own between those of its
    # submodules, such as the residual sum between attention and feed-forward. One box
    # for these would be entered again and again.
    around = {path[:length] for path in paths.values() for length in range(len(path))}
    cut = {
        scope: ".".join(path[:deepest])
        for scope, path in paths.items()
        if len(path) >= deepest or path not in around
    }
    return {node: cut[scope] for node, scope in scopes.items() if scope in cut}


def _common_depth(paths: Collection[tuple[str, ...]]) -> int:
    """How many components all scopes share; fewer if that would leave nothing to fold."""
    shared = 0
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        shared += 1
    return min(shared, max(map(len, paths), default=1) - 1)
