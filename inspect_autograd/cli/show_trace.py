"""What `inspect-autograd show` prints of a trace."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from ..events.records import Event
from ..events.trace import Trace
from ..render.escape import visible
from ..render.trace_lines import Line, choose_lines, list_lines
from ..render.trace_rows import TraceRows
from .node_details import describe_node_fully, node_data
from .result import Say
from .show_graph import choose_node, no_match_lines
from .trace_pass import check_pass
from .wording import reword

__all__ = ["show_trace"]

WIDTH = 120
NUMBERS = "Look it up: --json gives the number of each node, and so do reports of NaN."


def show_trace(trace: Trace, options: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Print the trace, or the part of it that was asked for; the same as data."""
    if options.flow is not None:
        return _flow(trace, options, say)
    if options.slowest is not None:
        return _slowest(trace, options.slowest, say)
    if options.node is not None:
        return _node(trace, options, say)
    return _table(trace, options, say)


def _table(trace: Trace, options: argparse.Namespace, say: Say) -> dict[str, Any]:
    lines = list_lines(trace.data, options.find)
    if lines or options.find is None:
        say(reword(trace.table(max_lines=options.max_lines, nodes=options.find)))
    else:
        say(_no_event(trace, options.find))
    report = None if trace.stats_level == "meta" else trace.first_nonfinite()
    if report is not None:
        say(f"\n{_escape(str(report))}")
    data = {} if options.find is None else {"pattern": options.find}
    return data | {
        "outcome": trace.outcome,
        "stats_level": trace.stats_level,
        "passes": trace.passes,
        "found": sum(line.order is not None for line in lines),
        "events": _events_of(trace, lines, options.max_lines),
        "edits": trace.edits,
        "notes": trace.notes,
        "first_nonfinite": report,
    }


def _no_event(trace: Trace, pattern: str) -> str:
    found = len(trace.graph.find(pattern))
    if not found:
        return no_match_lines(trace.graph, pattern)
    match = "matches" if found == 1 else "match"
    ran = "it did not run" if found == 1 else "none of them ran"
    return f"{found} of {len(trace.graph)} nodes {match} {pattern!r}, but {ran}"


def _flow(trace: Trace, options: argparse.Namespace, say: Say) -> dict[str, Any]:
    id = getattr(options, "pass")
    check_pass(trace, id)
    flow = trace.gradient_flow(
        by=options.flow, learning_rate=options.learning_rate, backward_pass=id
    )
    say(reword(str(flow)))
    return {
        "flow": {field.name: getattr(flow, field.name) for field in fields(flow)}
        | {"flag_counts": flow.flag_counts}
    }


def _slowest(trace: Trace, count: int, say: Say) -> dict[str, Any]:
    events = trace.slowest(count)
    say("\n".join(_rows(trace, (event.order for event in events))) or "no node ran")
    if events:
        nodes = "node" if len(events) == 1 else f"{len(events)} nodes"
        say(f"the {nodes} that took longest, of {_count(len(trace))}")
    return {"slowest": [_event_data(trace, event) for event in events]}


def _node(trace: Trace, options: argparse.Namespace, say: Say) -> dict[str, Any]:
    node = choose_node(trace.graph, options.node, remedy=NUMBERS)
    events = trace.of(node)
    shown = events[: options.max_lines]
    text = [describe_node_fully(trace.graph, node), ""]
    if events:
        text += ["ran", *(f"  {row}" for row in _rows(trace, (event.order for event in shown)))]
    else:
        text.append("did not run in this trace")
    if len(events) > len(shown):
        text.append(f"  … and {len(events) - len(shown)} more times")
    say("\n".join(text))
    return {
        "node": node_data(trace.graph, node),
        "found": len(events),
        "events": [_event_data(trace, event) for event in shown],
    }


def _rows(trace: Trace, orders: Iterable[int]) -> Sequence[str]:
    """Lines of the table under its titles, in this order."""
    events = trace.events
    lines = [
        Line(event.backward_pass, event.order, None, event.is_finite is False)
        for event in (events[order] for order in orders)
    ]
    return TraceRows(trace.data, WIDTH).aligned(lines)


def _events_of(trace: Trace, lines: Sequence[Line], most: int) -> list[dict[str, Any]]:
    """The events of these lines as data; of many of them the ends, and what is not finite."""
    about_events = [line for line in lines if line.order is not None]
    kept: Iterable[int] = range(len(about_events))
    if len(about_events) > most:
        kept = choose_lines(about_events, most)
    events = trace.events
    orders = [about_events[position].order for position in kept]
    return [_event_data(trace, events[order]) for order in orders if order is not None]


def _event_data(trace: Trace, event: Event) -> dict[str, Any]:
    plain = {field.name: getattr(event, field.name) for field in fields(event)}
    return plain | {"label": trace.node_of(event).label, "is_finite": event.is_finite}


def _count(events: int) -> str:
    return f"{events} event{'s' * (events != 1)}"


def _escape(text: str) -> str:
    """The text with what a terminal would act on escaped, but for its line breaks."""
    return "\n".join(visible(line) for line in text.splitlines())
