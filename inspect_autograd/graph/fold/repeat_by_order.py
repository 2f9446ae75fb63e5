"""Finding repeated blocks without names: what repeats in the order of execution.

The nodes that a loop makes have consecutive sequence numbers, so in the order in which the
engine runs them an unrolled loop is periodic.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from ..topology import topological_order
from .blocks import BlockReader
from .labels import common_scope
from .periods import find_free, find_periodic
from .quotient import Run

if TYPE_CHECKING:
    from ..graph import Graph

__all__ = ["find_periodic_runs"]

MIN_COPIES = 3
"""Without names, two stretches of one shape are as likely chance as a loop."""

WINDOW = 3
"""Nodes that are compared at once when guessing periods; fewer recur inside a block too often."""

TRIED_PERIODS = 12
"""How many guesses are checked; the right one is nearly always the first or second."""


def find_periodic_runs(
    graph: Graph, reader: BlockReader, is_allowed: Callable[[set[int]], bool]
) -> list[Run]:
    """Runs of three or more stretches of execution order that are alike.

    A leaf that only one block uses (the weights of a layer) belongs to that block; shared
    ones stay outside.

    Args:
        graph: With or without scopes.
        reader: Of this graph.
        is_allowed: Whether the nodes of a whole run may be folded.
    """
    line = _order_of_execution(graph)
    tokens = _tokenize(graph, line)
    crossings = _count_crossings(graph, line)
    users = _find_leaf_users(graph)
    runs: list[Run] = []
    taken = bytearray(len(line))
    for longest_start, longest_end, period in _find_stretches(tokens):
        start, end = find_free(taken, longest_start, longest_end)
        if end - start < MIN_COPIES * period:
            continue
        first = _choose_first(crossings, start, end, period)
        blocks = [tuple(line[at : at + period]) for at in range(first, end - period + 1, period)]
        for offset, orders in _split_alike(graph, reader, _add_leaves(blocks, users)):
            if is_allowed({node for order in orders for node in order}):
                at = first + offset * period
                taken[at : at + len(orders) * period] = b"\1" * (len(orders) * period)
                runs.append(_make_run(graph, orders))
    return runs


def _order_of_execution(graph: Graph) -> list[int]:
    """Nodes without leaves: highest sequence number first, if all have one."""
    table = graph.node_table
    nodes = [node for node, kind in enumerate(table.kinds) if kind != "leaf"]
    numbers = table.sequence_nrs
    if any(numbers[node] is None for node in nodes):
        return [node for node in topological_order(graph.edge_table) if table.kinds[node] != "leaf"]
    return sorted(nodes, key=lambda node: (-(numbers[node] or 0), node))


def _tokenize(graph: Graph, line: Sequence[int]) -> list[int]:
    """A number for each node, equal for nodes that look alike without their edges."""
    table = graph.node_table
    numbers: dict[Hashable, int] = {}
    tokens = []
    for node in line:
        fold = table.folds.get(node)
        name = table.names[node] if fold is None else fold.names
        key = (name, table.kinds[node], table.receives[node], table.input_slots[node])
        tokens.append(numbers.setdefault(key, len(numbers)))
    return tokens


def _count_crossings(graph: Graph, line: Sequence[int]) -> list[int]:
    """For each place in the line, how many edges lead over the border before it."""
    place = array("q", [-1]) * len(graph)
    for at, node in enumerate(line):
        place[node] = at
    changes = [0] * (len(line) + 2)
    for source, target in zip(graph.edge_table.sources, graph.edge_table.targets, strict=True):
        a, b = place[source], place[target]
        if a >= 0 and b >= 0:
            changes[min(a, b) + 1] += 1
            changes[max(a, b) + 1] -= 1
    return list(accumulate(changes))


def _find_leaf_users(graph: Graph) -> dict[int, list[tuple[int, int]]]:
    """For each leaf the nodes and slots that lead to it."""
    kinds, edges = graph.node_table.kinds, graph.edge_table
    users: dict[int, list[tuple[int, int]]] = {}
    for source, slot, target in zip(edges.sources, edges.source_slots, edges.targets, strict=True):
        if kinds[target] == "leaf":
            users.setdefault(target, []).append((source, slot))
    return users


def _find_stretches(tokens: Sequence[int]) -> list[tuple[int, int, int]]:
    """Stretches `(start, end, period)` of at least three periods, longest first."""
    found = [
        (start, end, period)
        for period in _guess_periods(tokens)
        for start, end in find_periodic(tokens, period)
        if end - start >= MIN_COPIES * period
    ]
    return sorted(found, key=lambda item: (item[0] - item[1], item[2], item[0]))


def _guess_periods(tokens: Sequence[int]) -> list[int]:
    """Distances at which the same few tokens recur, those that explain most nodes first."""
    last: dict[tuple[int, ...], int] = {}
    distances: Counter[int] = Counter()
    windows = zip(*(tokens[shift:] for shift in range(WINDOW)), strict=False)
    for at, window in enumerate(windows):
        if window in last:
            distances[at - last[window]] += 1
        last[window] = at
    ranked = sorted(distances.items(), key=lambda item: (-item[0] * item[1], item[0]))
    return [distance for distance, _ in ranked[:TRIED_PERIODS]]


def _choose_first(crossings: Sequence[int], start: int, end: int, period: int) -> int:
    """Where blocks begin: at the place in a period that the fewest edges lead over.

    Any place would do for a periodic stretch; this one is where the loop that made it began.
    """
    middle = start + (end - start) // (2 * period) * period
    spare = end - start - MIN_COPIES * period
    shifts = range(min(period, spare + 1))
    return start + min(shifts, key=lambda shift: (crossings[middle + shift], shift))


def _add_leaves(
    blocks: Sequence[tuple[int, ...]], users: dict[int, list[tuple[int, int]]]
) -> list[tuple[int, ...]]:
    """The blocks with their own leaves behind, in the order of their first use.

    Only leaves that most blocks have at the same place: the input of the whole network is used by
    one block too, but is not a part of it.
    """
    block_of = {node: index for index, block in enumerate(blocks) for node in block}
    place = {node: at for block in blocks for at, node in enumerate(block)}
    own: list[tuple[int, tuple[int, int], int]] = []
    for leaf, uses in users.items():
        index, *others = {block_of.get(node, -1) for node, _ in uses}
        if index >= 0 and not others:
            own.append((index, min((place[node], slot) for node, slot in uses), leaf))
    frequency = Counter(where for _, where, _ in own)
    leaves: list[list[int]] = [[] for _ in blocks]
    for index, where, leaf in sorted(own):
        if 2 * frequency[where] >= len(blocks):
            leaves[index].append(leaf)
    return [(*block, *behind) for block, behind in zip(blocks, leaves, strict=True)]


def _split_alike(
    graph: Graph, reader: BlockReader, orders: Sequence[tuple[int, ...]]
) -> list[tuple[int, list[tuple[int, ...]]]]:
    """`(index of the first, blocks)` for every run of at least three alike blocks.

    Each block of a run must also lead on to the others in the same way, or out of the run.
    """
    place = {
        node: (index, at) for index, order in enumerate(orders) for at, node in enumerate(order)
    }
    runs: list[tuple[int, list[tuple[int, ...]]]] = []
    shape: Hashable = None
    ways: dict[tuple[int, int], Hashable] = {}
    for index, order in enumerate(orders):
        signature = reader.signature(order, None)
        own = _ways_on(graph, order, place, index)
        fits = all(ways.get(slot, way) == way for slot, way in own.items())
        if runs and signature is not None and signature == shape and fits:
            runs[-1][1].append(order)
        else:
            runs.append((index, [order]))
            ways = {}
        shape = signature
        ways.update(own)
    return [run for run in runs if len(run[1]) >= MIN_COPIES]


def _ways_on(
    graph: Graph, order: Sequence[int], place: Mapping[int, tuple[int, int]], index: int
) -> dict[tuple[int, int], Hashable]:
    """For each place and slot that leads to other blocks: how many blocks on, and where."""
    edges = graph.edge_table
    ways: dict[tuple[int, int], set[tuple[int, int, int]]] = {}
    for at, node in enumerate(order):
        for position in range(edges.starts[node], edges.starts[node + 1]):
            block, target_at = place.get(edges.targets[position], (index, 0))
            if block != index:
                way = (block - index, target_at, edges.target_slots[position])
                ways.setdefault((at, edges.source_slots[position]), set()).add(way)
    return {slot: frozenset(found) for slot, found in ways.items()}


def _make_run(graph: Graph, orders: list[tuple[int, ...]]) -> Run:
    blocks = tuple(reversed(orders))  # Execution runs against the forward pass.
    names = tuple(f"step {number}" for number in range(1, len(blocks) + 1))
    return Run(
        label=f"{names[0]} … {names[-1]} ×{len(names)}",
        names=names,
        blocks=blocks,
        scope=None,
        scopes=tuple(common_scope(graph.node_table, nodes) for nodes in zip(*blocks, strict=True)),
    )
