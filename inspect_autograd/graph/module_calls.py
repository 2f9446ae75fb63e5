"""Which call of a module each node belongs to, where calls were recorded.

`Creation.call` counts the calls of the module that made the node, `Node.scope`. Of the modules
around it, nothing is recorded; their calls follow from those of what is inside:

- A module with nodes of its own has the calls of these. A node of a submodule belongs to the call
  between whose own nodes it was made; where that does not tell, to the one that it has if every
  call calls the submodule equally often; else to the next one that ends.
- A module without nodes of its own (a Sequential) was called so often that each submodule can have
  had its part in each call. That is only believed if no gradient flows directly from one call to
  another: a loop over submodules inside of one call looks the same, but hands on its state.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import gcd
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .graph import Graph
    from .tables import NodeTable

__all__ = ["ModuleCalls", "find_calls"]


@dataclass(frozen=True, slots=True)
class ModuleCalls:
    """The calls of one module that was called more than once.

    Attributes:
        count: How many calls there were at least, up to the last one that has a node here.
        call_of: By node id, for the nodes in the module and its submodules: the call, counted
            from 0. A parameter belongs to the first call that uses it.
    """

    count: int
    call_of: Mapping[int, int]

    def label(self, call: int) -> str:
        """`call 1 of 2`."""
        return f"call {call + 1} of {self.count}"


@dataclass(slots=True)
class _Module:
    """What is inside of one module while its calls are found."""

    units: dict[str, dict[int, list[int]]] = field(default_factory=dict)
    """By scope and call, the nodes."""
    leaves: list[int] = field(default_factory=list)


def find_calls(graph: Graph) -> dict[str, ModuleCalls]:
    """The modules that were called more than once, by path; none if no calls were recorded.

    Args:
        graph: With scopes; may be folded.
    """
    units = _find_units(graph.node_table)
    repeated = {scope for scope, calls in units.items() if len(calls) > 1}
    if not repeated:
        return {}
    paths = {path for scope in repeated for path in _outwards(scope)}
    found = {}
    for path, module in sorted(_gather(graph.node_table, units, paths).items()):
        call_of = _assign(graph, path, module)
        if len(set(call_of.values())) > 1:
            _add_leaves(graph, call_of, module.leaves)
            found[path] = ModuleCalls(max(call_of.values()) + 1, call_of)
    return found


def _find_units(table: NodeTable) -> dict[str, dict[int, list[int]]]:
    """By scope and call, the nodes that were made in it."""
    units: dict[str, dict[int, list[int]]] = {}
    for node, creation in table.creations.items():
        scope = table.scopes.get(node)
        if scope is not None and creation.call is not None:
            units.setdefault(scope, {}).setdefault(creation.call, []).append(node)
    return units


def _outwards(scope: str) -> Iterable[str]:
    """The module and all modules around it."""
    while scope:
        yield scope
        scope = scope.rpartition(".")[0]
    yield ""


def _gather(
    table: NodeTable, units: Mapping[str, dict[int, list[int]]], paths: set[str]
) -> dict[str, _Module]:
    modules = {path: _Module() for path in paths}
    around = {
        scope: [modules[path] for path in _outwards(scope) if path in paths]
        for scope in set(table.scopes.values())
    }
    for scope, calls in units.items():
        for module in around[scope]:
            module.units[scope] = calls
    for node, scope in table.scopes.items():
        if table.kinds[node] == "leaf":
            for module in around[scope]:
                module.leaves.append(node)
    return modules


def _assign(graph: Graph, path: str, module: _Module) -> dict[int, int]:
    """The call of each node that is no leaf."""
    own = module.units.get(path)
    if own is not None:
        return {} if len(own) == 1 else _assign_to_own(graph.node_table, own, module)
    count = gcd(*(len(calls) for calls in module.units.values()))
    call_of = {
        node: place // (len(calls) // count)
        for calls in module.units.values()
        for place, call in enumerate(sorted(calls))
        for node in calls[call]
    }
    return {} if count == 1 or _are_linked(graph, call_of) else call_of


def _are_linked(graph: Graph, call_of: Mapping[int, int]) -> bool:
    """Whether a gradient flows directly from a node of one call to a node of another one."""
    starts, targets = graph.edge_table.starts, graph.edge_table.targets
    return any(
        call_of.get(target, call) != call
        for node, call in call_of.items()
        for target in targets[starts[node] : starts[node + 1]]
    )


def _assign_to_own(
    table: NodeTable, own: Mapping[int, list[int]], module: _Module
) -> dict[int, int]:
    numbers = sorted(own)
    spans = sorted(
        (span[1], span[0], call)
        for call, nodes in own.items()
        if (span := _span(table, nodes)) is not None
    )
    call_of = {}
    for calls in module.units.values():
        is_even = len(calls) % len(numbers) == 0
        for place, call in enumerate(sorted(calls)):
            span = _span(table, calls[call])
            next_end = len(spans) if span is None else bisect_left(spans, (span[1],))
            found = spans[next_end][2] if next_end < len(spans) else numbers[-1]
            if calls is own:
                found = call
            elif span is None or next_end == len(spans) or spans[next_end][1] > span[0]:
                # It was made between the own nodes of one call and those of the next.
                found = numbers[place // (len(calls) // len(numbers))] if is_even else found
            call_of.update(dict.fromkeys(calls[call], found))
    return call_of


def _span(table: NodeTable, nodes: Iterable[int]) -> tuple[int, int] | None:
    """The first and the last sequence number; None for folds, which have none."""
    numbers = [n for node in nodes if (n := table.sequence_nrs[node]) is not None]
    return (min(numbers), max(numbers)) if numbers else None


def _add_leaves(graph: Graph, call_of: dict[int, int], leaves: Iterable[int]) -> None:
    """Put every leaf to the first of the calls that lead to it."""
    first = min(call_of.values())
    users: dict[int, int] = {}
    starts, targets = graph.edge_table.starts, graph.edge_table.targets
    for node, call in call_of.items():
        for target in targets[starts[node] : starts[node + 1]]:
            users[target] = min(call, users.get(target, call))
    call_of.update((leaf, users.get(leaf, first)) for leaf in leaves)
