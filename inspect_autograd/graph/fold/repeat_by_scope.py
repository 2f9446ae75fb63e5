"""Finding repeated blocks by their modules: `layers.0`, `layers.1`, or calls of one module."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from ..module_calls import find_calls
from .blocks import BlockReader
from .quotient import Run

if TYPE_CHECKING:
    from ..graph import Graph

__all__ = ["find_module_runs"]


def find_module_runs(
    graph: Graph, reader: BlockReader, is_allowed: Callable[[set[int]], bool]
) -> list[Run]:
    """Runs of alike blocks that are sibling modules, or calls of one module.

    Siblings have consecutive numbers (`layers.0`, `layers.1`); so have calls, where these were
    recorded. Parameters are not part of a call, since all of them use the same ones.

    Args:
        graph: With scopes; without them nothing is found.
        reader: Of this graph.
        is_allowed: Whether the nodes of a whole run may be folded.

    Returns:
        Disjoint runs. Blocks inside blocks are only looked at where the outer ones do not repeat.
    """
    runs: list[Run] = []
    taken: set[int] = set()
    for family in sorted(
        (*_find_numbered(graph), *_find_called(graph)),
        key=lambda family: (family.depth, family.is_of_calls, family.parent),
    ):
        described = []
        for number, block in sorted(family.blocks.items()):
            if not taken.isdisjoint(block):
                continue
            prefix = family.prefix(number)
            order = reader.order(block, prefix)
            described.append((number, reader.signature(order, prefix), order))
        for numbers, orders in _split_into_runs(described):
            nodes = {node for order in orders for node in order}
            if is_allowed(nodes):
                taken |= nodes
                runs.append(_make_run(graph, family, numbers, orders))
    return runs


@dataclass(frozen=True, slots=True)
class _Family:
    """Blocks that may be alike.

    Attributes:
        parent: The module around numbered siblings, or the module that was called.
        blocks: By number, the nodes.
        is_of_calls: Whether the blocks are calls.
    """

    parent: str
    blocks: Mapping[int, Sequence[int]]
    is_of_calls: bool = False

    @property
    def depth(self) -> int:
        """Components of the path of a block."""
        return self.prefix(0).count(".")

    def prefix(self, number: int) -> str:
        """The module that a block is."""
        return self.parent if self.is_of_calls else _join(self.parent, str(number))


def _find_called(graph: Graph) -> list[_Family]:
    """The calls of each module, without those of a single operation."""
    kinds = graph.node_table.kinds
    families = []
    for path, calls in find_calls(graph).items():
        blocks: dict[int, list[int]] = {}
        for node, call in sorted(calls.call_of.items()):
            if kinds[node] != "leaf":
                blocks.setdefault(call, []).append(node)
        large = {call: block for call, block in blocks.items() if len(block) > 1}
        if path:
            families.append(_Family(path, large, is_of_calls=True))
    return families


def _find_numbered(graph: Graph) -> list[_Family]:
    """The modules with numbers for names."""
    places: dict[str, list[tuple[str, int]]] = {}
    found: dict[str, dict[int, list[int]]] = {}
    for node, scope in graph.node_table.scopes.items():
        if scope not in places:
            parts = scope.split(".")
            places[scope] = [
                (".".join(parts[:depth]), int(part))
                for depth, part in enumerate(parts)
                if part.isdecimal()
            ]
        for parent, number in places[scope]:
            found.setdefault(parent, {}).setdefault(number, []).append(node)
    return [_Family(parent, blocks) for parent, blocks in found.items()]


def _split_into_runs(
    described: list[tuple[int, Hashable, tuple[int, ...]]],
) -> list[tuple[list[int], list[tuple[int, ...]]]]:
    """Maximal runs of two or more consecutive numbers with equal signatures."""
    # Number minus place in the list is constant along consecutive numbers.
    keyed = [
        ((number - place, signature), number, order)
        for place, (number, signature, order) in enumerate(described)
        if signature is not None
    ]
    runs = []
    for _, group in groupby(keyed, key=lambda item: item[0]):
        items = list(group)
        if len(items) > 1:
            runs.append(([number for _, number, _ in items], [order for _, _, order in items]))
    return runs


def _make_run(
    graph: Graph, family: _Family, numbers: list[int], orders: list[tuple[int, ...]]
) -> Run:
    parent, scopes = family.parent, graph.node_table.scopes
    if family.is_of_calls:
        return Run(
            label=f"{parent} (calls {numbers[0] + 1} … {numbers[-1] + 1}) ×{len(numbers)}",
            names=tuple(f"{parent} (call {number + 1})" for number in numbers),
            blocks=tuple(orders),
            scope=parent,
            scopes=tuple(scopes[node] for node in orders[0]),
        )
    names = tuple(_join(parent, str(number)) for number in numbers)
    scope = _join(parent, f"{numbers[0]}…{numbers[-1]}")
    return Run(
        label=f"{names[0]} … {names[-1]} ×{len(names)}",
        names=names,
        blocks=tuple(orders),
        scope=scope,
        scopes=tuple(scope + scopes[node][len(names[0]) :] for node in orders[0]),
    )


def _join(parent: str, child: str) -> str:
    return f"{parent}.{child}" if parent else child
