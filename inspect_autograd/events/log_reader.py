"""Puts the lines of a log together to a trace, also where the log ends too early."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter

from ..graph.graph import Graph
from ..graph.records import NodeKind
from .codec import check_trace
from .record_codec import (
    decode_environment,
    decode_evidence,
    decode_outcome,
    decode_parameter,
    decode_pass,
    decode_stats,
    decode_stats_level,
)
from .records import (
    BackwardPass,
    Environment,
    Evidence,
    Outcome,
    StatsLevel,
    TensorStats,
    TracedParameter,
)
from .strict_json import Json, decode_strict_graph, text, whole_number
from .table import NO_GRADIENT, EventTable
from .trace import TraceData

__all__ = ["ENDS_HERE", "LogReader"]

ENDS_HERE = "the log ends here: the process was ended or is still running"

MOST_MISSING = 1_000_000
"""Nodes, passes or threads that are named but described in no line; more of them are damage."""

OP: NodeKind = "op"
Row = tuple[int, int, int, int, int, int, tuple[int, ...], tuple[int, ...]]


class LogReader:
    """Reads one line after another; `finish` makes the trace."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._stats_level: StatsLevel | None = None
        self._environment = Environment()
        self._outcome: Outcome | None = None
        self._passes: dict[int, BackwardPass] = {}
        self._parameters: tuple[TracedParameter, ...] = ()
        self._evidence: list[Evidence] = []
        self._threads: tuple[str, ...] = ()
        self._texts: dict[str, list[str]] = {"edit": [], "note": []}
        self._rows: list[Row] = []
        self._names: dict[int, str] = {}
        self._stats: list[TensorStats] = []
        self._positions: dict[str, int] = {}
        self._readers: dict[str, Callable[[Mapping[str, Json]], None]] = {
            "header": self._read_header,
            "graph": self._read_graph,
            "threads": self._read_threads,
            "parameters": self._read_parameters,
            "pass": self._read_pass,
            "event": self._read_event,
            "evidence": self._read_evidence,
            "edit": self._read_text,
            "note": self._read_text,
            "outcome": self._read_outcome,
        }

    def read(self, value: Mapping[str, Json]) -> None:
        """Take in one line.

        Raises:
            ValueError, KeyError, TypeError, IndexError, AttributeError: It is damaged.
        """
        kind = value["kind"]
        if kind not in self._readers:
            raise ValueError(f"there is no kind {kind!r}")
        self._readers[kind](value)

    def _read_header(self, value: Mapping[str, Json]) -> None:
        self._stats_level = decode_stats_level(value["stats_level"])
        self._environment = decode_environment(value["environment"])

    def _read_graph(self, value: Mapping[str, Json]) -> None:
        self._graph = decode_strict_graph(value)

    def _read_threads(self, value: Mapping[str, Json]) -> None:
        self._threads = tuple(map(text, value["names"]))

    def _read_parameters(self, value: Mapping[str, Json]) -> None:
        self._parameters = tuple(map(decode_parameter, value["parameters"]))

    def _read_pass(self, value: Mapping[str, Json]) -> None:
        backward_pass = decode_pass(value)
        self._passes[backward_pass.id] = backward_pass

    def _read_event(self, value: Mapping[str, Json]) -> None:
        names = ("order", "node", "pass", "thread", "start_ns", "duration_ns")
        order, node, backward_pass, thread, start, duration = (
            whole_number(value[name]) for name in names
        )
        received = tuple([self._put(stats) for stats in value["received"]])
        returned = tuple([self._put(stats) for stats in value["returned"]])
        self._names[node] = text(value["name"])
        self._rows.append((order, node, backward_pass, thread, start, duration, received, returned))

    def _put(self, value: Mapping[str, Json] | None) -> int:
        if value is None:
            return NO_GRADIENT
        key = repr(value)  # What most gradients share with another one is decoded once.
        position = self._positions.get(key)
        if position is None:
            position = self._positions[key] = len(self._stats)
            self._stats.append(decode_stats(value))
        return position

    def _read_evidence(self, value: Mapping[str, Json]) -> None:
        self._evidence.append(decode_evidence(value))

    def _read_text(self, value: Mapping[str, Json]) -> None:
        self._texts[value["kind"]].append(text(value["text"]))

    def _read_outcome(self, value: Mapping[str, Json]) -> None:
        self._outcome = decode_outcome(value)

    # -- the end -------------------------------------------------------------------------------

    def finish(self, *, is_cut: bool) -> TraceData:
        """The trace that was read.

        Args:
            is_cut: Whether the last line was incomplete.

        Raises:
            ValueError: There is no graph, or the lines do not fit together.
        """
        if self._graph is None or self._stats_level is None:
            raise ValueError("it ends before the graph")
        if self._outcome is None or is_cut:
            self._complete(self._graph)
        self._sort_rows()
        data = TraceData(
            graph=self._graph,
            table=_to_table(self._rows, self._stats),
            stats_level=self._stats_level,
            outcome=self._outcome or Outcome("running", message=ENDS_HERE),
            passes=tuple(self._passes[id] for id in sorted(self._passes)),
            parameters=self._parameters,
            evidence=tuple(self._evidence),
            threads=self._all_threads(),
            edits=tuple(self._texts["edit"]),
            notes=tuple(self._texts["note"]),
            environment=self._environment,
        )
        check_trace(data)
        return data

    def _sort_rows(self) -> None:
        """Bring events into their order, which that of the lines need not be with many threads."""
        self._rows.sort(key=itemgetter(0))
        if any(row[0] != order for order, row in enumerate(self._rows)):
            raise ValueError("the events are not numbered 0, 1, 2, …")

    def _all_threads(self) -> tuple[str, ...]:
        known = len(self._threads)
        used = (*(row[3] for row in self._rows), *(p.thread for p in self._passes.values()))
        missing = _bounded(max(used, default=-1) + 1 - known)
        return (*self._threads, *(f"thread {known + i}" for i in range(missing)))

    # -- what a log that ends too early lacks --------------------------------------------------

    def _complete(self, graph: Graph) -> None:
        self._texts["note"].append(ENDS_HERE)
        self._close_gaps()
        self._add_passes()
        self._add_nodes(graph)

    def _close_gaps(self) -> None:
        """Number the events anew where a thread had no time to write one of them."""
        new = {order: i for i, order in enumerate(sorted(row[0] for row in self._rows))}
        orders = (*new, *(evidence.event for evidence in self._evidence))
        missing = max(orders, default=-1) + 1 - len(new)
        if not missing or len(new) < len(self._rows) or min(new, default=0) < 0:
            return
        self._rows = [(new[row[0]], *row[1:]) for row in self._rows]
        kept = [evidence for evidence in self._evidence if evidence.event in new]
        self._evidence = [replace(evidence, event=new[evidence.event]) for evidence in kept]
        self._texts["note"].append(
            f"the log lacks {missing} event{'s' * (missing > 1)} that came before its end; "
            "the others are numbered anew"
        )

    def _add_passes(self) -> None:
        """Make up the passes whose own line is missing from what their events tell."""
        threads = {row[2]: row[3] for row in reversed(self._rows)}
        count = max((*self._passes, *threads), default=-1) + 1
        _bounded(count - len(self._passes))
        for id in range(count):
            if id not in self._passes:
                self._passes[id] = _unknown_pass(id, threads.get(id, 0))

    def _add_nodes(self, graph: Graph) -> None:
        """Add nodes that ran, and came to light after the graph was last written."""
        used = {row[1] for row in self._rows}
        used |= {p.parent for p in self._passes.values() if p.parent is not None}
        missing = _bounded(max(used, default=-1) + 1 - len(graph))
        if not missing:
            return
        self._texts["note"].append(
            f"of {missing} node{'s' * (missing > 1)} that came to light while the block ran only "
            "the name is known: the log ends before their edges"
        )
        table, edges = graph.node_table, graph.edge_table
        ids = range(len(graph), len(graph) + missing)
        nodes = replace(
            table,
            names=[*table.names, *(self._names.get(id, "unknown") for id in ids)],
            kinds=[*table.kinds, *([OP] * missing)],
            sequence_nrs=[*table.sequence_nrs, *(None for _ in ids)],
            receives=[*table.receives, *(() for _ in ids)],
            input_slots=[*table.input_slots, *(0 for _ in ids)],
            origins=None if table.origins is None else [*table.origins, *ids],
        )
        starts = array("q", [*edges.starts, *(edges.starts[-1] for _ in ids)])
        self._graph = replace(graph, node_table=nodes, edge_table=replace(edges, starts=starts))


def _bounded(missing: int) -> int:
    if missing > MOST_MISSING:
        raise ValueError(f"{missing} things are referred to that are not there")
    return max(missing, 0)


def _unknown_pass(id: int, thread: int) -> BackwardPass:
    return BackwardPass(
        id=id,
        call="engine",
        file=None,
        line=None,
        function=None,
        roots=(),
        inputs=None,
        retain_graph=False,
        create_graph=False,
        graph_task=None,
        thread=thread,
        parent=None,
        outcome=Outcome("running", message=ENDS_HERE),
    )


def _to_table(rows: Sequence[Row], stats: Sequence[TensorStats]) -> EventTable:
    return EventTable(
        nodes=array("q", [row[1] for row in rows]),
        passes=array("q", [row[2] for row in rows]),
        threads=array("q", [row[3] for row in rows]),
        starts_ns=array("q", [row[4] for row in rows]),
        durations_ns=array("q", [row[5] for row in rows]),
        received=[row[6] for row in rows],
        returned=[row[7] for row in rows],
        stats=stats,
    )
