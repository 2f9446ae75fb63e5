"""Which event of one trace corresponds to which of another.

Where the graphs are the same, node by node and edge by edge, events are matched by position:
same pass, same node, same execution of it. Otherwise:

1. A named leaf is matched by its name (without the prefixes of wrappers such as `_orig_mod.` and
   `module.`): its k-th execution with the k-th of the other trace.
2. The other events are aligned as two sequences in execution order. An event is known by the name
   of its node and by shape and dtype of what it received; named leaves take part as landmarks.
   Equal beginnings and ends are matched first. Between them, what occurs once on either side is
   matched where it comes in the same order (patience alignment, as in `git diff --patience`),
   which leads to new beginnings and ends. What is left between two such anchors is given to
   `difflib` if it is small, or else matched by counting: the k-th of a kind with the k-th.
3. What is still open between two matched neighbours is aligned once more by the name of the node
   alone, so that a changed batch size or width is compared rather than left over.

All of it takes about linear time in the number of events.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from ..graph.graph import Graph
from .table import NO_GRADIENT
from .trace import Trace

__all__ = [
    "MAX_DIFFLIB_EVENTS",
    "MAX_DIFFLIB_PAIRS",
    "Matching",
    "align",
    "match_events",
    "plain_name",
]

MAX_DIFFLIB_EVENTS = 3000
"""Longest stretch, both sides together, that is given to `difflib`."""
MAX_DIFFLIB_PAIRS = 200_000
"""And how many pairs of equal events it may have: `difflib` looks at each of them many times."""

_WRAPPERS = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Matching:
    """Which events of two traces correspond.

    Attributes:
        pairs: Orders of matched events, `(in a, in b)`, in the order of `a`.
        unmatched_a: Orders of the events of `a` that have no counterpart.
        unmatched_b: The same for `b`.
        by_position: Whether the graphs are the same, so that events are matched by position.
    """

    pairs: tuple[Pair, ...]
    unmatched_a: tuple[int, ...]
    unmatched_b: tuple[int, ...]
    by_position: bool


def match_events(a: Trace, b: Trace, *, by_position: bool) -> Matching:
    """Match the events of two traces.

    Args:
        a: One trace.
        b: The other one.
        by_position: Whether their graphs are the same.
    """
    pairs = list(_match_by_position(a, b) if by_position else _match_by_likeness(a, b))
    pairs.sort()
    seen_a = {order for order, _ in pairs}
    seen_b = {order for _, order in pairs}
    return Matching(
        tuple(pairs),
        tuple(order for order in range(len(a)) if order not in seen_a),
        tuple(order for order in range(len(b)) if order not in seen_b),
        by_position,
    )


def _match_by_position(a: Trace, b: Trace) -> Iterator[Pair]:
    there = {key: order for order, key in enumerate(_positions(b))}
    for order, key in enumerate(_positions(a)):
        if key in there:
            yield order, there[key]


def _positions(trace: Trace) -> Iterator[tuple[int, int, int]]:
    """Pass, node, and how often the node has run in this pass, of each event."""
    table = trace.data.table
    seen: Counter[Pair] = Counter()
    for key in zip(table.passes, table.nodes, strict=True):
        yield (*key, seen[key])
        seen[key] += 1


def _match_by_likeness(a: Trace, b: Trace) -> Iterator[Pair]:
    names_a, names_b = _leaf_names(a.graph), _leaf_names(b.graph)
    # A tied parameter may be known by other names on the other side, or by another one first.
    shared = {n for names in names_a.values() for n in names}
    shared &= {n for names in names_b.values() for n in names}
    if not shared:
        names_a = names_b = {}  # Then a leaf is known by its shape, as other nodes are.
    there = {key: order for order, key in _leaf_keys(b, names_b, shared)}
    leaves = {order: there[key] for order, key in _leaf_keys(a, names_a, shared) if key in there}
    yield from leaves.items()
    taken = set(leaves.values())
    aligned = align(_event_keys(a, names_a), _event_keys(b, names_b))
    refined = _refine(_event_names(a, names_a), _event_names(b, names_b), aligned)
    for i, j in (*aligned, *refined):
        if i not in leaves and j not in taken:
            yield i, j


def _leaf_names(graph: Graph) -> dict[int, frozenset[str]]:
    leaves = graph.node_table.parameters.items()
    return {node: frozenset(map(plain_name, leaf.names)) for node, leaf in leaves if leaf.names}


def plain_name(name: str) -> str:
    """A parameter's name without what `torch.compile`, DDP, FSDP and checkpointing add to it."""
    parts = [part for part in name.split(".") if part not in _WRAPPERS]
    if len(parts) > 1 and parts[0] == "module":
        del parts[0]
    return ".".join(parts)


def _leaf_keys(
    trace: Trace, names: Mapping[int, frozenset[str]], shared: set[str]
) -> Iterator[tuple[int, tuple[str, int]]]:
    """The events of leaves that both traces know: the order, the name, and its how-many-th."""
    seen: Counter[str] = Counter()
    for order, node in enumerate(trace.data.table.nodes):
        if node in names:
            name = min(names[node] & shared, default=None)
            if name is not None:
                yield order, (name, seen[name])
                seen[name] += 1


def _event_keys(trace: Trace, names: Mapping[int, frozenset[str]]) -> list[Hashable]:
    """What each event is known by: node name and received metadata; of a leaf its own name."""
    table = trace.data.table
    metas: dict[int, Hashable] = {NO_GRADIENT: None}
    keys = _event_names(trace, names)
    for order, received in enumerate(table.received):
        if table.nodes[order] in names:
            continue
        for position in received:
            if position not in metas:
                meta = table.stats[position].meta
                metas[position] = (meta.shape, meta.dtype)
        keys[order] = (keys[order], *[metas[position] for position in received])
    return keys


def _event_names(trace: Trace, names: Mapping[int, frozenset[str]]) -> list[Hashable]:
    """What each event is known by if shapes are not looked at."""
    node_names = trace.graph.node_table.names
    return [
        ("leaf", min(names[node])) if node in names else node_names[node]
        for node in trace.data.table.nodes
    ]


def _refine(
    a: Sequence[Hashable], b: Sequence[Hashable], aligned: Sequence[Pair]
) -> Iterator[Pair]:
    """What the open stretches between aligned pairs have in common."""
    start_a = start_b = 0
    for stop_a, stop_b in [*aligned, (len(a), len(b))]:
        if start_a < stop_a and start_b < stop_b:
            found = align(a[start_a:stop_a], b[start_b:stop_b])
            yield from ((start_a + i, start_b + j) for i, j in found)
        start_a, start_b = stop_a + 1, stop_b + 1


def align(a: Sequence[Hashable], b: Sequence[Hashable]) -> list[Pair]:
    """Positions of equal elements in two sequences, in an order that both share.

    Returns:
        Pairs `(i, j)` with `a[i] == b[j]`, both growing.
    """
    numbers: dict[Hashable, int] = {}
    left = [numbers.setdefault(key, len(numbers)) for key in a]
    right = [numbers.setdefault(key, len(numbers)) for key in b]
    pairs: list[Pair] = []
    pending = [(0, len(left), 0, len(right))]
    while pending:
        low_a, high_a, low_b, high_b = pending.pop()
        while low_a < high_a and low_b < high_b and left[low_a] == right[low_b]:
            pairs.append((low_a, low_b))
            low_a, low_b = low_a + 1, low_b + 1
        while low_a < high_a and low_b < high_b and left[high_a - 1] == right[high_b - 1]:
            high_a, high_b = high_a - 1, high_b - 1
            pairs.append((high_a, high_b))
        if low_a == high_a or low_b == high_b:
            continue
        middle_a, middle_b = left[low_a:high_a], right[low_b:high_b]
        anchors = [(low_a + i, low_b + j) for i, j in _unique_in_order(middle_a, middle_b)]
        if not anchors:
            pairs += [(low_a + i, low_b + j) for i, j in _align_rest(middle_a, middle_b)]
            continue
        pairs += anchors
        for next_a, next_b in [*anchors, (high_a, high_b)]:
            if low_a < next_a and low_b < next_b:
                pending.append((low_a, next_a, low_b, next_b))
            low_a, low_b = next_a + 1, next_b + 1
    return sorted(pairs)


def _unique_in_order(a: Sequence[int], b: Sequence[int]) -> list[Pair]:
    """The longest run of elements that occur once on either side, in an order that both share."""
    once_a = {key for key, count in Counter(a).items() if count == 1}
    once_b = {key for key, count in Counter(b).items() if count == 1}
    shared = once_a & once_b
    where_b = {key: j for j, key in enumerate(b) if key in shared}
    return _growing([(i, where_b[key]) for i, key in enumerate(a) if key in shared])


def _growing(pairs: Sequence[Pair]) -> list[Pair]:
    """The most of the pairs, ordered by their first part, whose second parts grow too.

    Patience sorting, `O(n log n)`:
    https://en.wikipedia.org/wiki/Longest_increasing_subsequence#Efficient_algorithms
    """
    tops: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for position, (_, j) in enumerate(pairs):
        pile = bisect_left(tops, j)
        before.append(ends[pile - 1] if pile else -1)
        if pile == len(tops):
            tops.append(j)
            ends.append(position)
        else:
            tops[pile], ends[pile] = j, position
    chosen = []
    position = ends[-1] if ends else -1
    while position >= 0:
        chosen.append(pairs[position])
        position = before[position]
    return chosen[::-1]


def _align_rest(a: Sequence[int], b: Sequence[int]) -> list[Pair]:
    """Align two stretches that have no anchors."""
    count_a, count_b = Counter(a), Counter(b)
    pairs = sum(count * count_b[key] for key, count in count_a.items())
    if len(a) + len(b) <= MAX_DIFFLIB_EVENTS and pairs <= MAX_DIFFLIB_PAIRS:
        blocks = SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
        return [(i + k, j + k) for i, j, size in blocks for k in range(size)]
    where = {key: j for j, key in enumerate(_numbered(b))}
    return _growing([(i, where[key]) for i, key in enumerate(_numbered(a)) if key in where])


def _numbered(keys: Sequence[int]) -> Iterator[Pair]:
    """Each element with how often it came before."""
    seen: Counter[int] = Counter()
    for key in keys:
        yield key, seen[key]
        seen[key] += 1
