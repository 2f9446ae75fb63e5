"""At which nodes of a backward pass NaN and Inf came up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..events.records import BackwardPass
from ..events.table import NO_GRADIENT
from ..events.trace import TraceData

__all__ = ["Origins", "find_origins"]


@dataclass(frozen=True, slots=True)
class Origins:
    """Nodes, by their ids as captured.

    Attributes:
        births: Those that received only finite numbers and returned others.
        arrivals: Those that received other numbers though only finite ones were sent to them,
            and how many gradients were sent: of several the sum overflowed, of one a hook changed
            it.
        given: Those that were given other numbers by the call of the pass.
    """

    births: frozenset[int] = frozenset()
    arrivals: Mapping[int, int] = field(default_factory=dict)
    given: frozenset[int] = frozenset()


def find_origins(
    data: TraceData, orders: Mapping[int, Sequence[int]], passes: Iterable[BackwardPass]
) -> Origins:
    """Where NaN and Inf came up in some passes.

    Args:
        data: Of the trace.
        orders: The events of each node in these passes.
        passes: The passes.
    """
    births = set()
    bad_slots: dict[tuple[int, int], int] = {}
    for node, events in orders.items():
        for order in events:
            received = data.table.received[order]
            bad_slots |= {(node, slot): 0 for slot in _nonfinite_slots(data, received)}
            returned = data.table.returned[order]
            if _is_known_finite(data, received) and _nonfinite_slots(data, returned):
                births.add(node)
    given = set()
    for root in (root for backward_pass in passes for root in backward_pass.roots):
        if root.stats is not None and root.stats.is_finite is False:
            given.add(root.node)
        if root.stats is None or root.stats.is_finite is not True:
            bad_slots.pop((root.node, root.slot), None)
    return Origins(frozenset(births), _find_arrivals(data, orders, bad_slots), frozenset(given))


def _find_arrivals(
    data: TraceData,
    orders: Mapping[int, Sequence[int]],
    slots: dict[tuple[int, int], int],
) -> dict[int, int]:
    """Of these slots of nodes, the nodes that were sent finite numbers only."""
    if not slots or data.graph.truncation is not None:
        return {}  # What was cut off may have sent anything.
    edges = data.graph.edge_table
    columns = (edges.sources, edges.source_slots, edges.targets, edges.target_slots)
    for source, slot, target, target_slot in zip(*columns, strict=True):
        for order in orders.get(source, ()) if (target, target_slot) in slots else ():
            sent = data.table.returned[order][slot : slot + 1]
            if not _is_known_finite(data, sent):
                del slots[target, target_slot]
                break
            slots[target, target_slot] += any(position != NO_GRADIENT for position in sent)
    return {node: count for (node, _), count in slots.items() if count}


def _nonfinite_slots(data: TraceData, positions: Sequence[int]) -> list[int]:
    stats = data.table.stats
    return [
        slot
        for slot, position in enumerate(positions)
        if position != NO_GRADIENT and stats[position].is_finite is False
    ]


def _is_known_finite(data: TraceData, positions: Iterable[int]) -> bool:
    stats = data.table.stats
    return all(p == NO_GRADIENT or stats[p].is_finite is True for p in positions)
