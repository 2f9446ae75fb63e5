"""Conversion to pandas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..graph.import_pandas import import_pandas
from ..graph.records import Node
from .records import Event, TensorStats
from .trace import Trace

if TYPE_CHECKING:
    import pandas

__all__ = ["COLUMNS", "to_dataframe"]

# Types that have a missing value (https://pandas.pydata.org/docs/user_guide/integer_na.html)
# where there may be none; given for all columns, so that an empty trace has the same ones.
COLUMNS = {
    "order": "int64",
    "backward_pass": "int64",
    "node": "int64",
    "name": "object",
    "label": "object",
    "parameter": "object",
    "scope": "object",
    "function": "object",
    "file": "object",
    "line": "Int64",
    "direction": "object",
    "slot": "int64",
    "shape": "object",
    "dtype": "object",
    "device": "object",
    "l2": "float64",
    "min": "float64",
    "max": "float64",
    "mean": "float64",
    "zero_count": "Int64",
    "nan_count": "Int64",
    "inf_count": "Int64",
    "finite": "boolean",
    "note": "object",
    "start_ns": "int64",
    "duration_ns": "int64",
    "thread": "object",
}


def to_dataframe(trace: Trace) -> pandas.DataFrame:
    """A `pandas.DataFrame` with one row per event, direction and slot, in that order.

    `direction` is `received` or `returned`; `slot` counts the output slots of the forward function
    for what was received, and those of `next_functions` for what was returned. `shape` is a
    tuple. A slot without gradient has a row too: all about the gradient is missing there, and
    `note` is `no gradient`. `function`, `file` and `line` tell which call made the node, where that
    was recorded. What is missing otherwise was not computed: a NaN in `l2`, `min`,
    `max` or `mean` is one of the gradient where `finite` is False, else a missing value.

    Raises:
        MissingDependencyError: pandas is not installed.
    """
    pandas = import_pandas()
    # Column by column: a row as an object of its own would take several times the memory.
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    appends = [column.append for column in columns.values()]
    for row in _rows(trace):
        for append, value in zip(appends, row, strict=True):
            append(value)
    return pandas.DataFrame(
        {name: pandas.Series(columns[name], dtype=dtype) for name, dtype in COLUMNS.items()}
    )


def _rows(trace: Trace) -> Iterator[tuple[Any, ...]]:
    nodes, threads = trace.graph.nodes, trace.threads
    known: dict[int, tuple[Any, ...]] = {}
    for event in trace.events:
        if event.node not in known:
            known[event.node] = _node_cells(nodes[event.node])
        before = (event.order, event.backward_pass, event.node, *known[event.node])
        after = (event.start_ns, event.duration_ns, threads[event.thread])
        for direction, slot, stats in _slots(event):
            yield (*before, direction, slot, *_stats_cells(stats), *after)


def _node_cells(node: Node) -> tuple[Any, ...]:
    parameter = None if node.parameter is None else node.parameter.name
    function = None if node.creation is None else node.creation.function
    source = node.source
    place = (None, None) if source is None else (source.file, source.line)
    return node.name, node.label, parameter, node.scope, function, *place


def _slots(event: Event) -> Iterator[tuple[str, int, TensorStats | None]]:
    for slot, stats in enumerate(event.received):
        yield "received", slot, stats
    for slot, stats in enumerate(event.returned):
        yield "returned", slot, stats


def _stats_cells(stats: TensorStats | None) -> tuple[Any, ...]:
    if stats is None:
        return (*[None] * 11, "no gradient")
    meta = stats.meta
    return (
        meta.shape,
        meta.dtype,
        meta.device,
        stats.l2,
        stats.min,
        stats.max,
        stats.mean,
        stats.zero_count,
        stats.nan_count,
        stats.inf_count,
        stats.is_finite,
        stats.note,
    )
