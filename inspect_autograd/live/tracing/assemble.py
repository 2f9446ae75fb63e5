"""From the rows that hooks wrote to the records of a Trace."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence

from ...events.columns import NUMBERS, SlotColumn, StatsColumn
from ...events.table import NO_GRADIENT, EventTable
from ...graph.graph import Graph
from ...graph.tensor_meta import TensorMeta
from .recorder import ALL_UNMEASURED, UNMEASURED

__all__ = ["RowReader", "Unmeasured", "build_table", "find_orders_of_made_nodes"]


class Unmeasured:
    """What the graph alone tells of the gradients that nothing measured.

    The engine checks shape, type and device of every gradient against the metadata of the node
    that receives it, before a hook sees it.

    Args:
        graph: The graph of the trace.
        first: Position of the first entry; those before are taken by what was measured.
    """

    def __init__(self, graph: Graph, first: int = 0) -> None:
        self.metas: list[TensorMeta] = []
        self._first = first
        self._positions: dict[TensorMeta, int] = {}
        self._receives = graph.node_table.receives
        self._input_slots = graph.node_table.input_slots
        self._edges = graph.edge_table
        self._received: dict[int, tuple[int, ...]] = {}
        self._returned: dict[int, tuple[int, ...]] = {}

    def received(self, node: int) -> tuple[int, ...]:
        """Positions of what a node receives, with a gradient in every slot."""
        known = self._received.get(node)
        if known is None:
            known = self._received[node] = tuple(map(self._position, self._receives[node]))
        return known

    def returned(self, node: int) -> tuple[int, ...]:
        """The same for what it returns, which is what the nodes at the other ends receive."""
        known = self._returned.get(node)
        if known is None:
            edges, receives = self._edges, self._receives
            result = [NO_GRADIENT] * self._input_slots[node]
            for place in range(edges.starts[node], edges.starts[node + 1]):
                meta = receives[edges.targets[place]][edges.target_slots[place]]
                result[edges.source_slots[place]] = self._position(meta)
            known = self._returned[node] = tuple(result)
        return known

    def _position(self, meta: TensorMeta | None) -> int:
        if meta is None:
            return NO_GRADIENT
        position = self._positions.get(meta)
        if position is None:
            position = self._positions[meta] = self._first + len(self.metas)
            self.metas.append(meta)
        return position


class RowReader:
    """Reads the rows that a Recorder wrote.

    Args:
        unmeasured: Stands in for what was not measured.
    """

    def __init__(self, unmeasured: Unmeasured) -> None:
        self._unmeasured = unmeasured

    def read(self, flat: Sequence[int], place: int) -> tuple[Sequence[int], Sequence[int], int]:
        """What the row that begins at `place` says was received and returned.

        Returns:
            Positions of what was received, of what was returned, and where the next row begins.
        """
        node = flat[place]
        received, place = self._slots(flat, place + 5, node, self._unmeasured.received)
        returned, place = self._slots(flat, place, node, self._unmeasured.returned)
        return received, returned, place

    def _slots(
        self,
        flat: Sequence[int],
        place: int,
        node: int,
        known: Callable[[int], tuple[int, ...]],
    ) -> tuple[Sequence[int], int]:
        count = flat[place]
        place += 1
        if count == ALL_UNMEASURED:
            return known(node), place
        positions = flat[place : place + count]
        if UNMEASURED in positions:
            every = known(node)
            positions = [
                every[slot] if p == UNMEASURED and slot < len(every) else max(p, NO_GRADIENT)
                for slot, p in enumerate(positions)
            ]
        return positions, place + count


def build_table(
    graph: Graph,
    flat: Sequence[int],
    measured: StatsColumn | None,
    *,
    passes: Mapping[int, int],
    threads: dict[int, int],
    begin_ns: int,
) -> EventTable:
    """The events as columns.

    Args:
        graph: The graph of the trace.
        flat: What the hooks wrote; see `Recorder.flat`.
        measured: What was measured, if anything was.
        passes: Id of the pass of each graph task.
        threads: Index of each thread by its identifier; new ones are added.
        begin_ns: Value of the clock that counts as 0.
    """
    first = 0 if measured is None else len(measured)
    unmeasured = Unmeasured(graph, first)
    read = RowReader(unmeasured).read
    columns: list[array[int]] = [array("q") for _ in range(9)]
    nodes, pass_ids, thread_ids, starts, durations = columns[:5]
    received_ends, received_all, returned_ends, returned_all = columns[5:]
    place, stop = 0, len(flat)
    while place < stop:
        node, task, thread, start, end = flat[place : place + 5]
        received, returned, place = read(flat, place)
        nodes.append(node)
        pass_ids.append(passes[task])
        thread_ids.append(threads.setdefault(thread, len(threads)))
        starts.append(start - begin_ns)
        durations.append(end - start)
        received_all.extend(received)
        received_ends.append(len(received_all))
        returned_all.extend(returned)
        returned_ends.append(len(returned_all))
    note = "" if measured is None else "it could not be measured"
    return EventTable(
        nodes,
        pass_ids,
        thread_ids,
        starts,
        durations,
        received=SlotColumn(received_ends, received_all),
        returned=SlotColumn(returned_ends, returned_all),
        stats=_join_stats(measured, unmeasured.metas, note),
    )


def _join_stats(
    measured: StatsColumn | None, metas: Sequence[TensorMeta], note: str
) -> StatsColumn:
    """What was measured, then what the graph alone tells."""
    if measured is None:
        return StatsColumn(metas, (None,) * (NUMBERS * len(metas)), {})
    return measured.extended(metas, note)


def find_orders_of_made_nodes(
    graph: Graph, made: Mapping[int, Sequence[tuple[int, int]]], starts: Mapping[int, int]
) -> dict[int, int]:
    """Derivative orders of the nodes that recorded passes made: one more than who made them.

    Args:
        graph: The graph, with the orders known so far.
        made: Per graph task, pairs in rising order: the sequence number that followed the
            execution of a node, and its id.
        starts: Per graph task, the sequence number when it began.
    """
    orders = dict(graph.node_table.orders)
    numbers = graph.node_table.sequence_nrs
    for task in sorted(made):
        ends = [number for number, _ in made[task]]
        begin = starts.get(task, ends[0])
        for id, number in enumerate(numbers):
            if number is not None and begin <= number < ends[-1]:
                maker = made[task][bisect_right(ends, number)][1]
                orders[id] = max(orders.get(id, 1), orders.get(maker, 1) + 1)
    return orders
