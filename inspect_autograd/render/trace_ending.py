"""What stands below the table of a trace: how it ended, and what to know about it."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from ..events.trace import TraceData
from .escape import shorten, visible
from .labels import display_name

__all__ = ["ending_lines"]

MAX_TEXTS = 5
MAX_LINES_PER_TEXT = 4
MAX_NAME_CHARS = 60
NOTHING_RAN = (
    "nothing ran: no backward pass went through this graph. Call loss.backward() inside the "
    "block `with inspect_autograd.trace(loss) as trace:`, on that very loss."
)


def ending_lines(data: TraceData, nonfinite: Sequence[int], width: int) -> list[str]:
    """The outcome, what is not finite, the edits and the notes.

    Args:
        data: The trace.
        nonfinite: Orders of the events that are not finite.
        width: Longest line.
    """
    texts = [_outcome(data, any_nonfinite=bool(nonfinite))]
    if nonfinite:
        texts.append(_nonfinite(data, nonfinite))
    notes = [note for note in data.notes if note != data.outcome.message]
    for what, entries in (("edit", data.edits), ("note", notes)):
        texts += [f"{what}: {entry}" for entry in entries[:MAX_TEXTS]]
        if len(entries) > MAX_TEXTS:
            texts.append(f"… and {len(entries) - MAX_TEXTS} more: trace.{what}s")
    return [line for text in texts for line in _wrap(text, width)]


def _outcome(data: TraceData, *, any_nonfinite: bool) -> str:
    outcome = data.outcome
    message = (outcome.message or "").strip()
    events = f"{len(data.table)} event{'s' * (len(data.table) != 1)}"
    if outcome.status == "nothing ran":
        return f"{NOTHING_RAN} {message}"
    if outcome.status == "running":
        return f"running: {events} so far{message and f'; {message}'}"
    if outcome.status == "completed":
        is_known = bool(data.table) and all(stats.is_finite for stats in data.table.stats)
        finite = ", every gradient is finite" if is_known and not any_nonfinite else ""
        return f"completed: {events}{finite}{message and f'; {message}'}"
    where = "" if outcome.node is None else f" in {_name(data, outcome.node)} (node {outcome.node})"
    error = outcome.error or "an exception"
    return f"raised {error}{where} after {events}{message and f': {message}'}"


def _nonfinite(data: TraceData, orders: Sequence[int]) -> str:
    first = orders[0]
    name = _name(data, data.table.nodes[first])
    if len(orders) == 1:
        return f"! marks what is not finite: {name} (order {first}); see trace.first_nonfinite()"
    return (
        f"! marks what is not finite: {len(orders)} events, the first is {name} (order {first}); "
        "see trace.first_nonfinite()"
    )


def _name(data: TraceData, node: int) -> str:
    return shorten(display_name(data.graph.nodes[node]), MAX_NAME_CHARS)


def _wrap(text: str, width: int) -> list[str]:
    """The text in lines, the later ones indented; the middle of a very long text is left out."""
    text = shorten(visible(" ".join(text.split())), MAX_LINES_PER_TEXT * (width - 10))
    return wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)
