"""A comparison of two traces as a report whose first line is the answer."""

from __future__ import annotations

from collections.abc import Iterator

from ..events.compare import Comparison, Difference, Upstream
from .escape import shorten, visible
from .gradient_flow_text import align

__all__ = ["MAX_LINES", "render_comparison"]

MAX_LINES = 20
"""Rows of the table of differing events."""
MAX_NAME_CHARS = 60
EXPLANATIONS: dict[Upstream, str] = {
    "same received": "What it received agrees, so the node itself differs, or what it saved in "
    "the forward pass.",
    "root differs": "It is where the pass began: it was given another gradient, or has another "
    "output.",
    "received differs": "What it received differs, though all matched events before it agree: "
    "the difference came from a node without a counterpart, from a hook or an edit of the "
    "gradient, or from adding up gradients that differ within the tolerance.",
}


def render_comparison(comparison: Comparison) -> str:
    """The report that `print(comparison)` shows."""
    parts = [
        "\n".join(_answer(comparison)),
        _table(comparison),
        "\n".join(_remarks(comparison)),
    ]
    return "\n\n".join(part for part in parts if part)


def _answer(comparison: Comparison) -> Iterator[str]:
    first, matched = comparison.first, len(comparison.matched)
    if first is not None:
        yield f"Traces differ first at {visible(str(first))}"
        yield EXPLANATIONS[first.upstream]
        before = sum(1 for pair in comparison.matched if pair[0] < first.event_a)
        yield (
            f"{comparison.difference_count} of {_events(matched)} that both have differ; "
            f"{before} before the first one agree."
        )
    elif comparison.is_same:
        yield f"Traces are the same: {_events(matched)}, within the tolerances"
    elif not matched:
        yield "Traces have no events in common"
    elif comparison.structure != "identical":
        yield f"Traces agree in all {_events(matched)} that both have, but differ in structure"
    else:
        yield f"Traces agree in all {_events(matched)} that both have, but one has more events"


def _events(count: int) -> str:
    return f"{count} event{'s' * (count != 1)}"


def _table(comparison: Comparison) -> str:
    if comparison.difference_count < 2:
        return ""
    shown = comparison.differences[:MAX_LINES]
    header = ["event a", "event b", "node", "what", "a", "b", "relative"]
    lines = [align(header, [_row(difference) for difference in shown])]
    left = comparison.difference_count - len(shown)
    if left:
        kept = len(comparison.differences)
        where = "" if kept <= MAX_LINES else f"; Comparison.differences has the first {kept}"
        lines.append(f"… and {left} more{where}")
    return "\n".join(lines)


def _row(difference: Difference) -> list[str]:
    found = difference.gradient
    place = f" ({difference.place})" if difference.place else ""
    what = {"l2": "norm"}.get(found.what, found.what)
    return [
        str(difference.event_a),
        str(difference.event_b),
        f"#{difference.node_a} {shorten(visible(difference.name + place), MAX_NAME_CHARS)}",
        f"{found.place} {what}",
        visible(found.a),
        visible(found.b),
        "" if found.relative is None else f"{found.relative:.2g}",
    ]


def _remarks(comparison: Comparison) -> Iterator[str]:
    how = "position in the graph" if comparison.by_position else "parameter name and likeness"
    count_a = len(comparison.matched) + len(comparison.unmatched_a)
    count_b = len(comparison.matched) + len(comparison.unmatched_b)
    yield f"a is this trace ({_events(count_a)}), b the other one ({_events(count_b)})"
    yield f"structure: {visible(comparison.structure)}; events matched by {how}"
    left = [
        f"{_events(len(orders))} of {name} ({_orders(orders)})"
        for name, orders in (("a", comparison.unmatched_a), ("b", comparison.unmatched_b))
        if orders
    ]
    if left:
        yield f"without a counterpart: {'; '.join(left)}"
    yield f"tolerances: rtol={comparison.rtol:g}, atol={comparison.atol:g}"
    yield from (f"note: {visible(note)}" for note in comparison.notes)


def _orders(orders: tuple[int, ...]) -> str:
    """Orders with runs joined: `3, 7–12, …`."""
    runs: list[list[int]] = []
    for order in orders:
        if runs and runs[-1][1] == order - 1:
            runs[-1][1] = order
        else:
            runs.append([order, order])
    texts = [str(first) if first == last else f"{first}–{last}" for first, last in runs[:6]]
    return ", ".join(texts) + (", …" if len(runs) > 6 else "")
