"""Finding repeated blocks by their names: `layers.0`, `layers.1`, and so on."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import groupby
from typing import TYPE_CHECKING

from .blocks import BlockReader
from .quotient import Run

if TYPE_CHECKING:
    from ..graph import Graph

__all__ = ["find_sibling_runs"]


def find_sibling_runs(
    graph: Graph, reader: BlockReader, is_allowed: Callable[[set[int]], bool]
) -> list[Run]:
    """Runs of sibling modules with consecutive numbers whose blocks are alike.

    Args:
        graph: With scopes; without them nothing is found.
        reader: Of this graph.
        is_allowed: Whether the nodes of a whole run may be folded.

    Returns:
        Disjoint runs. Blocks inside blocks are only looked at where the outer ones do not repeat.
    """
    runs: list[Run] = []
    taken: set[int] = set()
    for parent, blocks in _find_numbered(graph):
        described = []
        for number, block in sorted(blocks.items()):
            if not taken.isdisjoint(block):
                continue
            prefix = _join(parent, str(number))
            order = reader.order(block, prefix)
            described.append((number, reader.signature(order, prefix), order))
        for numbers, orders in _split_into_runs(described):
            nodes = {node for order in orders for node in order}
            if is_allowed(nodes):
                taken |= nodes
                runs.append(_make_run(graph, parent, numbers, orders))
    return runs


def _find_numbered(graph: Graph) -> list[tuple[str, dict[int, list[int]]]]:
    """`(parent, {number: nodes in parent.number})`, outermost parents first."""
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
    return sorted(found.items(), key=lambda item: (item[0].count(".") + bool(item[0]), item[0]))


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


def _make_run(graph: Graph, parent: str, numbers: list[int], orders: list[tuple[int, ...]]) -> Run:
    names = tuple(_join(parent, str(number)) for number in numbers)
    scope = _join(parent, f"{numbers[0]}…{numbers[-1]}")
    scopes = graph.node_table.scopes
    return Run(
        label=f"{names[0]} … {names[-1]} ×{len(names)}",
        names=names,
        blocks=tuple(orders),
        scope=scope,
        scopes=tuple(scope + scopes[node][len(names[0]) :] for node in orders[0]),
    )


def _join(parent: str, child: str) -> str:
    return f"{parent}.{child}" if parent else child
