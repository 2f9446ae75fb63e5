"""The log of a trace: one JSON object a line, written while the trace runs.

What ran is in the file even if the process is killed. The first line is the header; each line
says in `kind` what it is: `header`, `graph`, `threads`, `parameters`, `pass`, `event`,
`evidence`, `edit`, `note`, `outcome`. A later `graph`, `threads`, `parameters` or `outcome` line
replaces the earlier one, and so does a later `pass` line with the same id; the others add to what
is there.

Lines are written with `json.dumps(line, allow_nan=False, ensure_ascii=False)` and a newline, in
UTF-8 with `errors="surrogatepass"`, since names may hold lone surrogates.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from ..graph.graph import Graph
from .log_reader import LogReader
from .record_codec import encode_environment, encode_parameter, encode_stats
from .record_codec import encode_evidence as _evidence
from .record_codec import encode_outcome as _outcome
from .record_codec import encode_pass as _pass
from .records import (
    BackwardPass,
    Environment,
    Event,
    Evidence,
    Outcome,
    StatsLevel,
    TracedParameter,
)
from .strict_json import Json, encode_strict_graph
from .trace import TraceData

__all__ = [
    "LOG_FORMAT",
    "LOG_SCHEMA_VERSION",
    "encode_edit",
    "encode_event",
    "encode_evidence",
    "encode_graph_line",
    "encode_header",
    "encode_note",
    "encode_outcome",
    "encode_parameters",
    "encode_pass",
    "encode_threads",
    "read_log",
]

LOG_FORMAT = "inspect_autograd.trace-log"
LOG_SCHEMA_VERSION = 1
"""Rises with every change that an older reader would misunderstand."""

DAMAGED = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)
"""What reading a value that is not as we write it may raise."""


# -- writing -----------------------------------------------------------------------------------


def encode_header(
    graph: Graph, stats_level: StatsLevel, environment: Environment
) -> dict[str, Json]:
    """The first line. The graph itself is a line of its own, which has to be written too."""
    return {
        "format": LOG_FORMAT,
        "schema_version": LOG_SCHEMA_VERSION,
        "kind": "header",
        "stats_level": stats_level,
        "node_count": len(graph),
        "environment": encode_environment(environment),
    }


def encode_graph_line(graph: Graph) -> dict[str, Json]:
    """The graph; again, whole, when nodes have come to light."""
    return {"kind": "graph", **encode_strict_graph(graph)}


def encode_threads(names: Iterable[str]) -> dict[str, Json]:
    """The names of the threads, all of them so far."""
    return {"kind": "threads", "names": list(names)}


def encode_parameters(parameters: tuple[TracedParameter, ...]) -> dict[str, Json]:
    """The traced parameters, all of them."""
    return {"kind": "parameters", "parameters": [encode_parameter(p) for p in parameters]}


def encode_pass(backward_pass: BackwardPass) -> dict[str, Json]:
    """A backward pass: when it begins, and again when it ends."""
    return {"kind": "pass", **_pass(backward_pass)}


def encode_event(event: Event, node_name: str) -> dict[str, Json]:
    """One execution of a node.

    Args:
        event: The event.
        node_name: `Node.name` of its node, so that the line can be read without the graph.
    """
    return {
        "kind": "event",
        "order": event.order,
        "node": event.node,
        "name": node_name,
        "pass": event.backward_pass,
        "thread": event.thread,
        "start_ns": event.start_ns,
        "duration_ns": event.duration_ns,
        "received": [encode_stats(stats) for stats in event.received],
        "returned": [encode_stats(stats) for stats in event.returned],
    }


def encode_evidence(evidence: Evidence) -> dict[str, Json]:
    """What was seen at a node; after the line of its event."""
    return {"kind": "evidence", **_evidence(evidence)}


def encode_edit(text: str) -> dict[str, Json]:
    """One entry of `Trace.edits`."""
    return {"kind": "edit", "text": text}


def encode_note(text: str) -> dict[str, Json]:
    """One entry of `Trace.notes`."""
    return {"kind": "note", "text": text}


def encode_outcome(outcome: Outcome) -> dict[str, Json]:
    """How the whole traced block ended: the last line of a complete log."""
    return {"kind": "outcome", **_outcome(outcome)}


# -- reading -----------------------------------------------------------------------------------


def read_log(lines: Iterable[str | bytes]) -> TraceData:
    """The trace that was written line by line.

    A log that ends before its `outcome` line, maybe in the middle of a line, is read as far as it
    goes: its outcome is `running`, and a note says so.

    Args:
        lines: The lines of the file with or without their ends; bytes are read as UTF-8.

    Raises:
        ValueError: The lines are not a log, or a line before the last one is damaged.
    """
    reader = LogReader()
    number = 0
    broken: tuple[int, Exception] | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if broken is not None:
            raise ValueError(f"line {broken[0]}: {broken[1]}") from broken[1]
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            broken = number, error  # Which is no damage if nothing follows.
            continue
        _read(reader, number, value)
    return reader.finish(is_cut=broken is not None)


def _read(reader: LogReader, number: int, value: Json) -> None:
    try:
        if number == 1:
            _check_header(value)
        reader.read(value)
    except DAMAGED as error:
        raise ValueError(f"line {number}: {type(error).__name__}: {error}") from error


def _check_header(value: Mapping[str, Json]) -> None:
    if value["format"] != LOG_FORMAT or value["schema_version"] != LOG_SCHEMA_VERSION:
        raise ValueError(f"expected the header of a {LOG_FORMAT} {LOG_SCHEMA_VERSION}")
