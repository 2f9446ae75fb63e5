"""A Trace as JSON values and back.

Events are written as columns, as they are held. What is known of a gradient, and its TensorMeta,
stand in tables and are referred to by position. Kept tensors are not written.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..graph.tensor_meta import TensorMeta
from .record_codec import (
    NUMBERS,
    decode_environment,
    decode_evidence,
    decode_meta,
    decode_outcome,
    decode_parameter,
    decode_pass,
    decode_stats_level,
    encode_environment,
    encode_evidence,
    encode_meta,
    encode_outcome,
    encode_parameter,
    encode_pass,
)
from .records import BackwardPass, Outcome, TensorStats
from .strict_json import (
    Json,
    decode_number,
    decode_strict_graph,
    encode_number,
    encode_strict_graph,
    text,
    whole_number,
)
from .table import NO_GRADIENT, EventTable
from .trace import TraceData

__all__ = ["check_trace", "comparable", "decode_trace", "encode_trace"]

COLUMNS = ("nodes", "passes", "threads", "starts_ns", "durations_ns")


# -- writing -----------------------------------------------------------------------------------


def encode_trace(data: TraceData) -> dict[str, Json]:
    """The trace as values that `json` can write with `allow_nan=False`."""
    table = data.table
    return {
        "stats_level": data.stats_level,
        "outcome": encode_outcome(data.outcome),
        "passes": [encode_pass(backward_pass) for backward_pass in data.passes],
        "parameters": [encode_parameter(parameter) for parameter in data.parameters],
        "evidence": [encode_evidence(evidence) for evidence in data.evidence],
        "threads": list(data.threads),
        "edits": list(data.edits),
        "notes": list(data.notes),
        "environment": encode_environment(data.environment),
        "events": {
            **{name: list(getattr(table, name)) for name in COLUMNS},
            "received": [list(positions) for positions in table.received],
            "returned": [list(positions) for positions in table.returned],
        },
        "stats": _encode_stats_table(table.stats),
        "graph": encode_strict_graph(data.graph),
    }


def _encode_stats_table(stats: Sequence[TensorStats]) -> dict[str, Json]:
    metas: dict[TensorMeta, int] = {}
    positions = [metas.setdefault(record.meta, len(metas)) for record in stats]
    return {
        "metas": [encode_meta(meta) for meta in metas],
        "meta": positions,
        **{name: [encode_number(getattr(record, name)) for record in stats] for name in NUMBERS},
        "note": [record.note for record in stats],
    }


def comparable(data: TraceData) -> dict[str, Json]:
    """Values that are equal for traces that say the same.

    One NaN is not equal to another, so records that hold NaN cannot be compared by themselves.
    And two gradients of which the same is known may share one entry of `EventTable.stats` or not.
    """
    table = data.table
    known: dict[str, int] = {}
    stats: list[TensorStats] = []
    new = array("q", [NO_GRADIENT]) * len(table.stats)

    def renumber(positions: Iterable[int]) -> tuple[int, ...]:
        for position in positions:
            if position != NO_GRADIENT and new[position] == NO_GRADIENT:
                new[position] = known.setdefault(repr(table.stats[position]), len(stats))
                if new[position] == len(stats):
                    stats.append(table.stats[position])
        return tuple([NO_GRADIENT if p == NO_GRADIENT else new[p] for p in positions])

    received = [renumber(positions) for positions in table.received]
    returned = [renumber(positions) for positions in table.returned]
    table = replace(table, received=received, returned=returned, stats=stats)
    return encode_trace(replace(data, table=table))


# -- reading -----------------------------------------------------------------------------------


def decode_trace(value: Mapping[str, Json]) -> TraceData:
    """The trace that `encode_trace` wrote.

    Raises:
        ValueError: What was read is not consistent, so that a trace made of it would be wrong.
        KeyError, TypeError, IndexError, AttributeError, OverflowError: Parts are missing or of
            another kind.
    """
    data = TraceData(
        graph=decode_strict_graph(value["graph"]),
        table=_decode_events(value["events"], _decode_stats_table(value["stats"])),
        stats_level=decode_stats_level(value["stats_level"]),
        outcome=decode_outcome(value["outcome"]),
        passes=tuple(map(decode_pass, value["passes"])),
        parameters=tuple(map(decode_parameter, value["parameters"])),
        evidence=tuple(map(decode_evidence, value["evidence"])),
        threads=tuple(map(text, value["threads"])),
        edits=tuple(map(text, value["edits"])),
        notes=tuple(map(text, value["notes"])),
        environment=decode_environment(value["environment"]),
    )
    check_trace(data)
    return data


def _decode_events(columns: Mapping[str, Json], stats: Sequence[TensorStats]) -> EventTable:
    return EventTable(
        **{name: array("q", columns[name]) for name in COLUMNS},
        received=[tuple(map(whole_number, positions)) for positions in columns["received"]],
        returned=[tuple(map(whole_number, positions)) for positions in columns["returned"]],
        stats=stats,
    )


def _decode_stats_table(columns: Mapping[str, Json]) -> list[TensorStats]:
    metas = [decode_meta(meta) for meta in columns["metas"]]
    positions = [whole_number(position) for position in columns["meta"]]
    if not all(0 <= position < len(metas) for position in positions):
        raise ValueError("a gradient refers to a shape that is not there")
    numbers = [[decode_number(number) for number in columns[name]] for name in NUMBERS]
    rows: list[Any] = [[metas[position] for position in positions], *numbers, columns["note"]]
    return [TensorStats(*fields) for fields in zip(*rows, strict=True)]


def check_trace(data: TraceData) -> None:
    """Refuse a trace whose parts do not fit together.

    Raises:
        ValueError: Columns differ in length, something is referred to that is not there, or a
            pass ran inside one that began later.
    """
    table = data.table
    columns = (*(getattr(table, name) for name in COLUMNS), table.received, table.returned)
    if any(len(column) != len(table) for column in columns):
        raise ValueError("the columns of the events differ in length")
    if any(backward_pass.id != i for i, backward_pass in enumerate(data.passes)):
        raise ValueError("the backward passes are not numbered 0, 1, 2, …")
    _check_nesting(data.passes)
    inputs = [item for p in data.passes for item in p.inputs or ()]
    nodes = [
        *table.nodes,
        *(parameter.node for parameter in data.parameters),
        *(root.node for p in data.passes for root in p.roots),
        *(item.node for item in inputs),
        *(p.parent for p in data.passes),
        *(outcome.node for outcome in _outcomes(data)),
    ]
    _check_range("a node", (node for node in nodes if node is not None), len(data.graph))
    _check_range("a backward pass", table.passes, len(data.passes))
    threads = (*table.threads, *(p.thread for p in data.passes))
    _check_range("a thread", threads, len(data.threads))
    _check_range("an event", (evidence.event for evidence in data.evidence), len(table))
    used = {p for column in (table.received, table.returned) for slots in column for p in slots}
    _check_range("a gradient", used - {NO_GRADIENT}, len(table.stats))


def _check_nesting(passes: Iterable[BackwardPass]) -> None:
    for backward_pass in passes:
        outer = backward_pass.parent_pass
        if (outer is None) != (backward_pass.parent is None):
            raise ValueError("a backward pass names the node or the pass that it ran in, not both")
        if outer is not None and not 0 <= outer < backward_pass.id:
            raise ValueError("a backward pass ran inside one that did not begin before")


def _outcomes(data: TraceData) -> list[Outcome]:
    return [data.outcome, *(backward_pass.outcome for backward_pass in data.passes)]


def _check_range(what: str, indices: Iterable[int], count: int) -> None:
    if not all(0 <= index < count for index in indices):
        raise ValueError(f"{what} is referred to that is not there")
