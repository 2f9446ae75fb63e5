"""The modules of a graph, and what each of them holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from .fold.labels import count_names
from .module_calls import find_calls

if TYPE_CHECKING:
    from .graph import Graph

__all__ = ["ModuleRow", "list_modules"]

LEAF = "AccumulateGrad"


@dataclass(frozen=True, slots=True)
class ModuleRow:
    """One module; all counts are those of the graph as captured, and include its submodules.

    Attributes:
        path: `""` for the outermost module, None for what is outside of any module.
        depth: How many modules are around it.
        nodes: Number of nodes.
        leaves: How many of these are leaves: parameters, or inputs that require grad.
        saved_bytes: Bytes that its nodes keep, each storage once, without those of parameters.
        parameter_bytes: The same of storages that named parameters, buffers or inputs own.
        calls: How often it was called, as far as that is known; else 1.
        own: Names of the nodes that are in no submodule, without leaves, and how often each
            occurs, most frequent first.
    """

    path: str | None
    depth: int
    nodes: int
    leaves: int
    saved_bytes: int
    parameter_bytes: int
    calls: int
    own: tuple[tuple[str, int], ...]


@dataclass(slots=True)
class _Sum:
    """What is added up for one module."""

    nodes: int = 0
    leaves: int = 0
    first: float = inf
    """The lowest sequence number, and below it, for folds, the highest id: when it first ran."""
    last_id: int = -1
    storages: set[int] = field(default_factory=set)


def list_modules(graph: Graph) -> list[ModuleRow]:
    """All modules that have nodes, and those around them, in the order of the forward pass.

    A module stands before its submodules. What is outside of any module comes last, if there is
    any.

    Args:
        graph: With scopes; may be folded.
    """
    own = _group(graph)
    names = {path: count_names(graph.node_table, nodes) for path, nodes in own.items()}
    sums: dict[str | None, _Sum] = {}
    for path, nodes in own.items():
        part = _add_up(graph, nodes, names[path])
        for around in [None] if path is None else _outwards(path):
            _add(sums.setdefault(around, _Sum()), part)
    calls = _count_calls(graph)
    return [
        _row(graph, path, sums[path], calls.get(path, 1), names.get(path, ()))
        for path in _in_order(sums)
    ]


def _group(graph: Graph) -> dict[str | None, list[int]]:
    groups: dict[str | None, list[int]] = {}
    scopes = graph.node_table.scopes
    for node in range(len(graph)):
        groups.setdefault(scopes.get(node), []).append(node)
    return groups


def _add_up(graph: Graph, nodes: Iterable[int], names: Iterable[tuple[str, int]]) -> _Sum:
    table = graph.node_table
    part = _Sum()
    for name, count in names:
        part.nodes += count
        part.leaves += count if name == LEAF else 0
    for node in nodes:
        number = table.sequence_nrs[node]
        part.first = part.first if number is None else min(part.first, number)
        part.last_id = max(part.last_id, node)
        storages = (tensor.storage for tensor in table.saved.get(node, ()))
        part.storages.update(index for index in storages if index is not None)
    return part


def _add(total: _Sum, part: _Sum) -> None:
    total.nodes += part.nodes
    total.leaves += part.leaves
    total.first = min(total.first, part.first)
    total.last_id = max(total.last_id, part.last_id)
    total.storages |= part.storages


def _outwards(path: str) -> Iterable[str]:
    """The module and all modules around it."""
    while path:
        yield path
        path = path.rpartition(".")[0]
    yield ""


def _count_calls(graph: Graph) -> Mapping[str | None, int]:
    return {path: calls.count for path, calls in find_calls(graph).items()}


def _in_order(sums: Mapping[str | None, _Sum]) -> Iterable[str | None]:
    children: dict[str, list[str]] = {}
    for path in sums:
        if path:
            children.setdefault(path.rpartition(".")[0], []).append(path)
    pending = [""] if "" in sums else []
    while pending:
        path = pending.pop()
        yield path
        # The last one to be visited goes onto the stack first.
        inside = children.get(path, [])
        inside.sort(key=lambda child: (sums[child].first, -sums[child].last_id), reverse=True)
        pending += inside
    if None in sums:
        yield None


def _row(
    graph: Graph,
    path: str | None,
    total: _Sum,
    calls: int,
    names: Iterable[tuple[str, int]],
) -> ModuleRow:
    storages = [graph.storages[index] for index in total.storages]
    named = sum(storage.bytes for storage in storages if storage.names)
    return ModuleRow(
        path=path,
        depth=path.count(".") + 1 if path else 0,
        nodes=total.nodes,
        leaves=total.leaves,
        saved_bytes=sum(storage.bytes for storage in storages) - named,
        parameter_bytes=named,
        calls=calls,
        own=tuple(item for item in names if item[0] != LEAF),
    )
