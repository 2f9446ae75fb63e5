"""The first node, in execution order, where two traces differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

from ..errors import ArgumentError, ArgumentTypeError
from .compare_gradients import GradientDifference, Tolerance, compare_events, format_two
from .compare_structure import compare_structure
from .match_events import Matching, match_events, plain_name
from .records import Event, TracedParameter
from .trace import Trace, as_trace

__all__ = ["MAX_DIFFERENCES", "Comparison", "Difference", "Upstream", "compare_traces"]

MAX_DIFFERENCES = 100
"""How many differences a Comparison keeps; it counts all of them."""

_MAX_STEPS_TO_LEAF = 5  # A weight often is behind a transposition or a cast.

Upstream = Literal["same received", "root differs", "received differs"]


@dataclass(frozen=True, slots=True)
class Difference:
    """The first way in which two matched events differ.

    Attributes:
        event_a: Order of the event in `a`.
        event_b: Order of the event in `b`.
        node_a: Id of its node in the graph of `a`.
        node_b: Id of its node in the graph of `b`.
        name: Name of the node in `a`.
        place: What it belongs to: the parameter that the differing slot leads to or that the leaf
            is, or its module; empty if neither is known.
        gradient: Which gradient differs, and how.
        upstream: `same received`: what the node received agrees, so the node itself differs, or
            what it saved in the forward pass. `root differs`: the pass was started with another
            gradient. `received differs`: the difference came to the node from outside.
    """

    event_a: int
    event_b: int
    node_a: int
    node_b: int
    name: str
    place: str
    gradient: GradientDifference
    upstream: Upstream

    def __str__(self) -> str:
        place = f" ({self.place})" if self.place else ""
        return f"#{self.node_a} {self.name}{place}: {self.gradient}"


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """How two traces, `a` and `b`, compare; `print` shows a report.

    Attributes:
        differences: Of matched events that differ, in the order of `a`; the first
            `MAX_DIFFERENCES` of them.
        difference_count: How many matched events differ.
        matched: Orders of the matched events, `(in a, in b)`, in the order of `a`.
        unmatched_a: Orders of the events of `a` that have no counterpart in `b`.
        unmatched_b: The other way round.
        structure: `identical` if both graphs have the same nodes and edges, and leaves of the
            same names and shapes; else the first difference, in words.
        by_position: Whether events were matched by their position in the graph, and not by
            likeness.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        notes: What could not be compared, and what else differs.
    """

    differences: tuple[Difference, ...]
    difference_count: int
    matched: tuple[tuple[int, int], ...]
    unmatched_a: tuple[int, ...]
    unmatched_b: tuple[int, ...]
    structure: str
    by_position: bool
    rtol: float
    atol: float
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> Difference | None:
        """The first matched event of `a` that differs; None if all of them agree."""
        return self.differences[0] if self.differences else None

    @property
    def is_same(self) -> bool:
        """Whether nothing differs: structure, which events there are, and their gradients."""
        left = self.unmatched_a or self.unmatched_b
        return not self.differences and not left and self.structure == "identical"

    def __str__(self) -> str:
        from ..render.comparison_text import render_comparison

        return render_comparison(self)

    def __repr__(self) -> str:
        result = "the same" if self.is_same else f"{self.difference_count} events differ"
        return f"<Comparison: {result}, {len(self.matched)} matched>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The text that IPython shows."""
        printer.text(repr(self) if cycle else str(self))


def compare_traces(a: Trace, b: Trace, *, rtol: float = 1e-5, atol: float = 1e-8) -> Comparison:
    """The first node, in the execution order of `a`, where two traces differ.

    Events are matched as `match_events` describes. Of a gradient, compared are shape, dtype and
    layout, whether it is there, whether it is finite and how many NaN and Inf it has, its norm,
    and its smallest, largest and mean element; not the device, and not how many zeros it has,
    since rounding makes zeros. NaN equals NaN.

    Args:
        a: One trace.
        b: The other one.
        rtol: Relative tolerance, 0 or more. A norm may differ by `rtol` times the larger norm;
            an element, or the mean of all, by `rtol` times the largest element of both gradients.
        atol: Absolute tolerance, 0 or more, which is added to that.

    Raises:
        ArgumentError: A tolerance is below 0 or not finite.
        ArgumentTypeError: An argument is of the wrong type.
    """
    a, b = as_trace(a, "trace"), as_trace(b, "other")
    tolerance = Tolerance(_check_tolerance("rtol", rtol), _check_tolerance("atol", atol))
    structure = compare_structure(a.graph, b.graph)
    matching = match_events(a, b, by_position=structure.has_same_layout)
    differences: list[Difference] = []
    count = unknown = 0
    for ours, theirs in _matched_events(a, b, matching):
        found = compare_events(ours, theirs, tolerance)
        unknown += _without_numbers(ours, theirs)
        if found is not None:
            count += 1
            if len(differences) < MAX_DIFFERENCES:
                differences.append(_describe(a, ours, theirs, found))
    return Comparison(
        differences=tuple(differences),
        difference_count=count,
        matched=matching.pairs,
        unmatched_a=matching.unmatched_a,
        unmatched_b=matching.unmatched_b,
        structure=structure.text,
        by_position=matching.by_position,
        rtol=tolerance.rtol,
        atol=tolerance.atol,
        notes=tuple(_notes(a, b, tolerance, unknown)),
    )


def _matched_events(a: Trace, b: Trace, matching: Matching) -> Iterator[tuple[Event, Event]]:
    events_a, events_b = a.events, b.events
    for i, j in matching.pairs:
        yield events_a[i], events_b[j]


def _without_numbers(a: Event, b: Event) -> int:
    """How many gradients both have, but not with a norm."""
    pairs = zip((*a.received, *a.returned), (*b.received, *b.returned), strict=False)
    return sum(x is not None and y is not None and (x.l2 is None or y.l2 is None) for x, y in pairs)


def _describe(a: Trace, ours: Event, theirs: Event, found: GradientDifference) -> Difference:
    upstream: Upstream = "same received"
    if found.side == "received":
        roots = a.passes[ours.backward_pass].roots
        is_root = any(root.node == ours.node and root.slot == found.slot for root in roots)
        upstream = "root differs" if is_root else "received differs"
    slot = found.slot if found.side == "returned" else None
    return Difference(
        event_a=ours.order,
        event_b=theirs.order,
        node_a=ours.node,
        node_b=theirs.node,
        name=a.graph.node_table.names[ours.node],
        place=_place(a, ours.node, slot),
        gradient=found,
        upstream=upstream,
    )


def _place(trace: Trace, id: int, slot: int | None) -> str:
    """The parameter that a node is, or that a slot of it leads to; else the module."""
    table, edges = trace.graph.node_table, trace.graph.edge_table
    if id in table.parameters:
        return table.parameters[id].name or ""
    if slot is not None:
        node = id
        for _ in range(_MAX_STEPS_TO_LEAF):
            ends = [
                edges.targets[p]
                for p in range(edges.starts[node], edges.starts[node + 1])
                if node != id or edges.source_slots[p] == slot
            ]
            if len(ends) != 1:
                break
            node = ends[0]
            if node in table.parameters:
                return table.parameters[node].name or ""
    return table.scopes.get(id, "")


def _notes(a: Trace, b: Trace, tolerance: Tolerance, unknown: int) -> Iterator[str]:
    levels = a.stats_level, b.stats_level
    if "meta" in levels:
        which = "both were" if levels == ("meta", "meta") else f"{'ab'[levels.index('meta')]} was"
        yield f'no numbers were compared, only shapes and dtypes: {which} traced with stats="meta"'
    else:
        if levels[0] != levels[1]:
            yield (
                f'a was traced with stats="{levels[0]}" and b with stats="{levels[1]}"; '
                "compared is what both have"
            )
        if unknown:
            yield f"{unknown} matched gradients have no norm on one side, so only shapes count"
    if len(a.passes) != len(b.passes):
        yield f"a has {_count(len(a.passes), 'pass', 'passes')}, b has {len(b.passes)}"
    yield from _outcome_note(a, b)
    yield from _parameter_note(a, b, tolerance)
    if a.edits != b.edits:
        yield f"gradients were edited: in a {_list(a.edits)}; in b {_list(b.edits)}"
    versions = a.environment.torch_version, b.environment.torch_version
    if versions[0] != versions[1]:
        yield f"a was made by torch {versions[0] or '?'}, b by torch {versions[1] or '?'}"


def _outcome_note(a: Trace, b: Trace) -> Iterator[str]:
    texts = [f"{trace.outcome.status} {trace.outcome.error or ''}".strip() for trace in (a, b)]
    if texts[0] != texts[1]:
        yield f"a: {texts[0]}; b: {texts[1]}"


def _list(edits: tuple[str, ...]) -> str:
    return "; ".join(edits) or "none"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _parameter_note(a: Trace, b: Trace, tolerance: Tolerance) -> Iterator[str]:
    """Whether the parameters had the same norms to begin with."""
    there = {plain_name(name): p for p in b.parameters for name in p.names}
    differ: list[tuple[str, TracedParameter, TracedParameter]] = []
    compared = 0
    for ours in a.parameters:
        theirs = next((there[n] for n in map(plain_name, ours.names) if n in there), None)
        if theirs is None or ours.l2 is None or theirs.l2 is None:
            continue
        compared += 1
        if not tolerance.agrees(ours.l2, theirs.l2, max(ours.l2, theirs.l2)):
            differ.append((ours.names[0], ours, theirs))
    if differ:
        name, first, other = differ[0]
        norms = format_two(first.l2 or 0.0, other.l2 or 0.0)
        yield (
            f"the values of {len(differ)} of {_count(compared, 'parameter', 'parameters')} had "
            f"other norms before the backward pass, such as {name} |{norms[0]}| against "
            f"|{norms[1]}|"
        )


def _check_tolerance(argument: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ArgumentTypeError(
            f"{argument} is {value!r} of type {type(value).__name__}; expected a number",
            remedy=f"Give a float such as {argument}=1e-5.",
        )
    if not (isfinite(value) and value >= 0):
        raise ArgumentError(
            f"{argument} is {value!r}; expected a finite number, 0 or more",
            remedy=f"Give a float such as {argument}=1e-5; 0 asks for equal numbers.",
        )
    return float(value)
