"""Conversion to Chrome's trace event format, which Perfetto reads too.

https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

from typing import Any

from ..graph.creation import Creation
from .pass_spans import find_spans
from .records import BackwardPass, Event, TensorStats
from .trace import Trace

__all__ = ["to_chrome_trace"]

PROCESS = 1
"""`pid` of all events: a trace is of one process."""

Span = tuple[int, int]


def to_chrome_trace(trace: Trace) -> dict[str, Any]:
    """The trace as JSON values: a bar for each event, inside one for its backward pass.

    Times are microseconds since the trace began. A pass has no time of its own: its bar reaches
    from the start of its first event to the end of its last one, in the track of the thread that
    called it. Passes without events have no bar; `otherData` names them.
    """
    spans = find_spans(trace.data)
    bars = [_pass_bar(trace, p, spans[p.id]) for p in trace.passes if p.id in spans]
    evidence = {item.event: item.text for item in trace.evidence}
    bars += [_event_bar(trace, event, evidence.get(event.order)) for event in trace.events]
    # What encloses comes first, also where both start at once; sorting keeps passes first then.
    bars.sort(key=lambda bar: (bar["ts"], -bar["dur"]))
    outcome = trace.outcome
    return {
        "traceEvents": [*_names(trace), *bars],
        "displayTimeUnit": "ms",
        "otherData": {
            "made_by": "inspect_autograd",
            "torch_version": trace.environment.torch_version or trace.graph.torch_version,
            "stats_level": trace.stats_level,
            "outcome": " ".join(filter(None, (outcome.status, outcome.error, outcome.message))),
            "passes_without_events": [p.id for p in trace.passes if p.id not in spans],
            "notes": list(trace.notes),
        },
    }


def _names(trace: Trace) -> list[dict[str, Any]]:
    events = [
        {
            "ph": "M",
            "name": "process_name",
            "pid": PROCESS,
            "tid": 0,
            "args": {"name": "backward passes"},
        }
    ]
    for thread, name in enumerate(trace.threads):
        args = {"name": name}
        event = {"ph": "M", "name": "thread_name", "pid": PROCESS, "tid": thread, "args": args}
        events.append(event)
    return events


def _pass_bar(trace: Trace, backward_pass: BackwardPass, span: Span) -> dict[str, Any]:
    nodes = trace.graph.nodes
    outcome = backward_pass.outcome
    args = {
        "pass": backward_pass.id,
        "call": backward_pass.call,
        "place": backward_pass.place,
        "function": backward_pass.function,
        "roots": [f"{_valid(nodes[r.node].label)}: {_text(r.stats)}" for r in backward_pass.roots],
        "retain_graph": backward_pass.retain_graph,
        "create_graph": backward_pass.create_graph,
        "outcome": " ".join(filter(None, (outcome.status, outcome.error, outcome.message))),
    }
    if backward_pass.inputs is not None:
        args["inputs"] = [
            f"{_valid(', '.join(item.names)) or item.node}: {_text(item.stats)}"
            for item in backward_pass.inputs
        ]
    if backward_pass.parent is not None:
        args["called_by_node"] = backward_pass.parent
    name = f"{backward_pass.call} {backward_pass.place}"
    return _bar(name, "backward pass", backward_pass.thread, span, args)


def _event_bar(trace: Trace, event: Event, evidence: str | None) -> dict[str, Any]:
    node = trace.node_of(event)
    args: dict[str, Any] = {
        "order": event.order,
        "pass": event.backward_pass,
        "node": event.node,
        "name": node.name,
        "received": [_text(stats) for stats in event.received],
        "returned": [_text(stats) for stats in event.returned],
    }
    if node.scope is not None:
        args["module"] = _valid(node.scope)
    if node.creation is not None:
        args |= _origin(node.creation)
    if evidence is not None:
        args["evidence"] = evidence
    span = event.start_ns, event.start_ns + event.duration_ns
    bar = _bar(node.label, node.kind, event.thread, span, args)
    if event.is_finite is False:
        args["not_finite"] = True
        bar["cname"] = "terrible"  # The red of chrome://tracing.
    return bar


def _origin(creation: Creation) -> dict[str, Any]:
    """The call and the line that made a node, as far as they are known."""
    args: dict[str, Any] = {}
    if creation.function is not None:
        args["function"] = _valid(creation.function)
    if creation.source is not None:
        args["file"] = _valid(creation.source.file)
        args["line"] = creation.source.line
    if creation.call is not None:
        args["call"] = creation.call
    return args


def _bar(name: str, category: str, thread: int, span: Span, args: dict[str, Any]) -> dict[str, Any]:
    start, end = span
    return {
        "ph": "X",
        "name": _valid(name),
        "cat": category,
        "ts": start / 1000,
        "dur": (end - start) / 1000,
        "pid": PROCESS,
        "tid": thread,
        "args": args,
    }


def _valid(name: str) -> str:
    """The name without lone surrogates, which no viewer accepts."""
    return name.encode("utf-8", "backslashreplace").decode()


def _text(stats: TensorStats | None) -> str:
    return "none" if stats is None else str(stats)
