"""Drawing a trace into a file: the graph, coloured by the norms of the gradients in it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import ArgumentError, ArgumentTypeError
from ..events.nested_passes import find_inner_passes
from ..events.nonfinite_search import Birth
from ..events.records import BackwardPass, Outcome
from ..events.trace import Trace, TraceData
from ..graph.graph import Graph
from .dot import Direction
from .escape import shorten
from .labels import display_name
from .pass_facts import PassFacts
from .pass_heading import pass_heading
from .picture import check_direction, check_options, render_view
from .trace_overlay import TraceOverlay
from .view import View, ViewName, choose_view

__all__ = ["render_trace"]

MAX_ERROR_CHARS = 200
MAX_REMARKS = 3
MAX_EVIDENCE = 2
MAX_EVIDENCE_CHARS = 400


def render_trace(
    trace: Trace,
    path: str | os.PathLike[str],
    *,
    view: ViewName = "auto",
    direction: Direction = "down",
    backward_pass: int | None = None,
    title: str | None = None,
    timeout: float = 30.0,
) -> Path:
    """Draw one backward pass of a trace into a file; see `Trace.render`.

    Passes that ran inside the pass (a reentrant checkpoint) are drawn with it.

    Args:
        trace: The trace.
        path: Where to write; the suffix chooses the format.
        view: What to show of the graph; see `Graph.render`.
        direction: Where arrows go; see `Graph.render`.
        backward_pass: Id of the pass; by default the last one that is not inside of another.
        title: A line above the picture.
        timeout: Seconds for the layout.

    Returns:
        The path, as given.

    Raises:
        ArgumentError: There is no such pass; or as `Graph.render`.
        ArgumentTypeError: `backward_pass` is no int.
        LayoutError: As `Graph.render`.
    """
    # Before the folding, which may take seconds.
    _, output_format = check_options(path, title, timeout)
    check_direction(direction)
    data = trace.data
    chosen = _choose_pass(data.passes, backward_pass)
    shown = choose_view(data.graph, view)
    passes = () if chosen is None else find_inner_passes(data.passes, chosen.id)
    facts = PassFacts(data, shown.graph, passes)
    captions = [*_captions(facts, chosen), *shown.captions]
    if passes:
        captions.append(_reading_help(data, is_text=output_format == "txt"))
    return render_view(
        View(shown.graph, tuple(captions)),
        path,
        direction=direction,
        title=title,
        timeout=timeout,
        overlay=TraceOverlay(facts),
    )


def _choose_pass(passes: tuple[BackwardPass, ...], id: int | None) -> BackwardPass | None:
    if id is None:
        outer = [backward_pass for backward_pass in passes if backward_pass.parent is None]
        return outer[-1] if outer else passes[-1] if passes else None
    if isinstance(id, bool) or not isinstance(id, int):
        raise ArgumentTypeError(
            f"backward_pass is {id!r} of type {type(id).__name__}; expected the id of a pass, "
            "an int",
            remedy="Give the id of one of trace.passes, or leave it out for the last one.",
        )
    if not passes:
        raise ArgumentError(
            f"backward_pass is {id}, but no backward pass ran in this trace",
            remedy="Leave backward_pass out to draw the graph without one, or run loss.backward() "
            "inside the traced block.",
        )
    for backward_pass in passes:
        if backward_pass.id == id:
            return backward_pass
    raise ArgumentError(
        f"backward_pass is {id}; expected {_list_ids(passes)}",
        remedy="Give the id of one of trace.passes, or leave it out for the last one.",
    )


def _list_ids(passes: tuple[BackwardPass, ...]) -> str:
    ids = [str(backward_pass.id) for backward_pass in passes]
    if len(ids) > 10:
        return f"an id from {ids[0]} to {ids[-1]}"
    return ids[0] if len(ids) == 1 else f"one of {', '.join(ids)}"


def _captions(facts: PassFacts, chosen: BackwardPass | None) -> Iterator[str]:
    """Sentences about the pass: what it was, how it ended, where it is not finite."""
    data = facts.data
    if chosen is None:
        yield "No backward pass ran in this trace, so no node did."
    else:
        yield _heading(facts, chosen)
        if chosen.outcome.status == "raised":
            yield f"The pass raised {_error(data, chosen.outcome)}"
        yield from _nonfinite(facts)
    if data.outcome.status == "raised" and (chosen is None or chosen.outcome != data.outcome):
        yield f"The traced block raised {_error(data, data.outcome)}"
    yield from _shortened("Changed by edit_gradients", data.edits)
    yield from _shortened("Note", data.notes)


def _heading(facts: PassFacts, chosen: BackwardPass) -> str:
    """Which pass it is, what called it, how it ended, and how far it came."""
    count = len(facts.data.passes)
    which = f"Pass {chosen.id} of passes 0 to {count - 1}: " if count > 1 else ""
    total = sum(one.nodes for one in facts.nodes)
    ran = sum(one.ran for one in facts.nodes)
    reach = f"all {total}" if ran == total else f"{ran} of {total}"
    inner = len(facts.passes) - 1
    also = f" Drawn with it: {inner} pass{'es' * (inner > 1)} that its nodes ran." if inner else ""
    return f"{which}{pass_heading(facts.data.graph, chosen)}; {reach} nodes ran.{also}"


def _error(data: TraceData, outcome: Outcome) -> str:
    """`RuntimeError in MulBackward0 (node 3): message`."""
    where = ""
    if outcome.node is not None:
        where = f" in {display_name(data.graph.nodes[outcome.node])} (node {outcome.node})"
    message = shorten((outcome.message or "").strip().split("\n")[0], MAX_ERROR_CHARS)
    return f"{outcome.error or 'an exception'}{where}{f': {message}' if message else ''}"


def _nonfinite(facts: PassFacts) -> Iterator[str]:
    """Where NaN and Inf are, where they come from, in the order of time, and why."""
    bad = sum(len(one.nonfinite) for one in facts.nodes)
    if not bad:
        return
    graph = facts.data.graph
    first = "first seen" if facts.births and facts.births[0].kind == "unknown" else "beginning"
    # What is first seen later may come from what began earlier.
    births = [b for b in facts.births if first == "first seen" or b.kind != "unknown"]
    shown = ", ".join(_origin(graph, birth) for birth in births[:MAX_REMARKS])
    if len(births) > MAX_REMARKS:
        shown += f" and {len(births) - MAX_REMARKS} more nodes"
    came = f", {first} at {shown}" if births else ""
    yield f"NaN or Inf at {bad} {'nodes' if bad > 1 else 'node'}{came}."
    born = {birth.event for birth in births if birth.kind == "born"}
    seen = [one for one in facts.data.evidence if one.event in born and one.text]
    for evidence in seen[:MAX_EVIDENCE]:
        node = graph.nodes[facts.data.table.nodes[evidence.event]]
        text = shorten(evidence.text, MAX_EVIDENCE_CHARS)
        yield f"{display_name(node)} (order {evidence.event}): {text}"


def _origin(graph: Graph, birth: Birth) -> str:
    when = "not run" if birth.event is None else f"order {birth.event}"
    return f"{display_name(graph.nodes[birth.node])} ({when})"


def _shortened(what: str, texts: Sequence[str]) -> Iterator[str]:
    for text in texts[:MAX_REMARKS]:
        yield f"{what}: {shorten(text, MAX_ERROR_CHARS)}"
    if len(texts) > MAX_REMARKS:
        yield f"{what}: {len(texts) - MAX_REMARKS} more."


def _reading_help(data: TraceData, *, is_text: bool) -> str:
    order = "Number: order in trace.events."
    if data.stats_level == "meta":
        return f"{order} Norms were not computed (stats='meta')."
    if is_text:
        return f"{order} |…|: l2 norm of the gradient received."
    return (
        f"{order} |…| and colour: l2 norm of the gradient received. "
        "Width of an arrow: l2 norm of the gradient sent."
    )
