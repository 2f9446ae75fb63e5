"""Folding by module: the nodes of one module scope become one node."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ..module_calls import ModuleCalls, find_calls
from ..tables import NodeTable
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
    that is alone in its module.

    A module that was called several times becomes one node per call, where calls were recorded.
    Where they were not, one that the gradient leaves and enters again (it was called twice, or its
    weight is shared) does. Where a recorded call is left and entered again (it called a module
    that is registered elsewhere), it becomes several parts.

    A graph without scopes gets them from its parameter names first, see `infer_scopes`.
    """
    scoped = infer_scopes(graph)
    calls = find_calls(scoped)
    prefixes = _cut_scopes(scoped.node_table.scopes, depth, calls)
    keys = {
        node: (prefix, calls[prefix].call_of.get(node, -1) if prefix in calls else -1)
        for node, prefix in prefixes.items()
    }
    numbers = {key: number for number, key in enumerate(sorted(set(keys.values())))}
    group_of = array("q", [-1]) * len(graph)
    for node, key in keys.items():
        group_of[node] = numbers[key]
    instances = split_into_instances(scoped.edge_table, group_of)
    boxes = [
        box
        for (prefix, call), number in numbers.items()
        for box in _boxes(scoped.node_table, prefix, call, calls.get(prefix), instances[number])
    ]
    boxes = [box for box in boxes if len(box.members) > 1]
    nodes = sum(len(box.members) for box in boxes)
    text = f"folded {plural(nodes, 'node')} in {plural(len(boxes), 'module')} at depth {depth}"
    folded = quotient(scoped, boxes, by="scope", text=text)
    return graph if folded is scoped else folded


def _boxes(
    table: NodeTable,
    prefix: str,
    call: int,
    calls: ModuleCalls | None,
    instances: Sequence[Sequence[int]],
) -> Iterator[Box]:
    """The boxes of one module, or of one call of it; `call` is -1 where that is not known."""
    is_recorded = calls is not None or any(
        node in table.creations and table.creations[node].call is not None
        for members in instances
        for node in members
    )
    for number, members in enumerate(instances, start=1):
        which = [calls.label(call)] if calls is not None and call >= 0 else []
        if len(instances) > 1:
            which.append(f"{'part' if is_recorded else 'call'} {number} of {len(instances)}")
        label = prefix + (f" ({', '.join(which)})" if which else "")
        yield Box(members, "scope", label, 1, prefix, call=None if call < 0 else call)


def _cut_scopes(scopes: Mapping[int, str], depth: int, calls: Collection[str]) -> dict[int, str]:
    """For every node that is to be folded, its scope cut to `depth` components."""
    paths = {scope: tuple(scope.split(".")) for scope in set(scopes.values()) if scope}
    deepest = _common_depth(paths.values(), calls) + depth
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


def _common_depth(paths: Collection[tuple[str, ...]], calls: Collection[str]) -> int:
    """How many components all scopes share; fewer if that would leave nothing to fold.

    A module that was called several times is not passed by: its calls are what there is to see.
    """
    shared = 0
    path: list[str] = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        path.append(parts[0])
        if ".".join(path) in calls:
            break
        shared += 1
    return min(shared, max(map(len, paths), default=1) - 1)
