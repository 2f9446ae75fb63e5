"""See that a tensor was put together step by step: `total += loss` leaves a chain of sums."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ...graph.holders import Growth
from ...graph.tables import EdgeTable
from .group_graphs import Union, targets_of

__all__ = ["MIN_STEPS", "find_growth"]

MIN_STEPS = 3
"""Two sums in a row stand in many losses."""

_COUNTED = {
    "AddBackward0": "sum",
    "SubBackward0": "sum",
    "CatBackward0": "concatenation",
    "StackBackward0": "concatenation",
}
# Between two sums, for `total = 0.9 * total + 0.1 * loss`; only with one input that has a graph.
_PASSED = {"MulBackward0", "DivBackward0", "ToCopyBackward0", "UnsqueezeBackward0"}


def find_growth(
    starts: Iterable[int],
    nodes: Iterable[int],
    edges: EdgeTable,
    name_of: Callable[[int], str],
    is_leaf: Callable[[int], bool],
) -> Growth | None:
    """Look for a long chain of sums, or of concatenations, that begins at one of some nodes.

    Args:
        starts: The nodes of the tensors through which the graph is held.
        nodes: All nodes of the graph other than leaves.
        edges: Of the walk.
        name_of: The name of a node.
        is_leaf: Whether a node is an AccumulateGrad.

    Returns:
        The longest chain; None if none has `MIN_STEPS` steps.
    """
    best: list[int] = []
    best_kind = ""
    for start in dict.fromkeys(starts):
        kind = _COUNTED.get(name_of(start), "")
        chain = _longest_chain(start, kind, edges, name_of) if kind else []
        if len(chain) > len(best):
            best, best_kind = chain, kind
    steps = sum(name_of(node) in _COUNTED for node in best)
    if steps < MIN_STEPS:
        return None
    terms = _count_terms(set(best), nodes, edges, is_leaf)
    return Growth("sum" if best_kind == "sum" else "concatenation", steps, terms)


def _longest_chain(
    start: int, kind: str, edges: EdgeTable, name_of: Callable[[int], str]
) -> list[int]:
    """The longest way from a node over nodes of its kind, in their own order: no recursion."""

    def next_nodes(node: int) -> list[int]:
        targets = targets_of(edges, node)
        if name_of(node) in _PASSED and len(targets) != 1:
            return []
        return [t for t in targets if _COUNTED.get(name_of(t)) == kind or name_of(t) in _PASSED]

    length: dict[int, int] = {}
    follower: dict[int, int | None] = {}
    stack = [start]
    while stack:
        node = stack[-1]
        open_nodes = [t for t in next_nodes(node) if t not in length]
        if open_nodes:
            stack.extend(open_nodes)
            continue
        stack.pop()
        longest = max(next_nodes(node), key=length.__getitem__, default=None)
        follower[node] = longest
        own = int(name_of(node) in _COUNTED)
        length[node] = own + (0 if longest is None else length[longest])
    chain: list[int] = []
    at: int | None = start
    while at is not None:
        chain.append(at)
        at = follower[at]
    # What is only passed at the end belongs to the last term.
    while name_of(chain[-1]) in _PASSED:
        chain.pop()
    return chain


def _count_terms(
    chain: set[int], nodes: Iterable[int], edges: EdgeTable, is_leaf: Callable[[int], bool]
) -> int:
    inner = [node for node in nodes if node not in chain]
    position = {node: place for place, node in enumerate(inner)}
    union = Union(len(inner))
    union.merge(
        (position[node], position[target])
        for node in inner
        for target in targets_of(edges, node)
        if target in position
    )
    terms = {
        union.find(position[target])
        for node in chain
        for target in targets_of(edges, node)
        if target in position
    }
    direct = sum(is_leaf(target) for node in chain for target in targets_of(edges, node))
    return len(terms) + direct
