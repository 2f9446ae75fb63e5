"""What a backward pass did, in words: in boxes, in tooltips, at arrows and in lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isnan

from ..events.nonfinite_report import NonfiniteKind
from ..events.records import TensorStats
from ..events.table import NO_GRADIENT
from ..events.trace import TraceData
from .gradient_text import format_duration
from .labels import count_runs
from .norm_scale import format_norm, format_range
from .overlay import Line
from .pass_facts import EdgeFacts, NodeFacts

__all__ = [
    "describe_edges",
    "describe_event",
    "describe_stats",
    "format_orders",
    "join_problems",
    "received_by",
    "remarks",
    "short_stats",
]

ORIGINS: Mapping[NonfiniteKind, tuple[str, str]] = {
    "root": ("WAS GIVEN", "WAS GIVEN"),
    "changed": ("BORN IN A HOOK", "BORN IN A HOOK INSIDE"),
    "accumulated": ("BORN IN A SUM", "BORN IN A SUM INSIDE"),
    "born": ("BORN HERE", "BORN INSIDE"),
    "unknown": ("FIRST SEEN HERE", "FIRST SEEN INSIDE"),
}
"""How NaN or Inf came up: in a box that stands for one node, and in one for several."""
MAX_RUNS = 4
"""Different gradients of one node that its box tells of."""
MAX_LINE_CHARS = 40
MAX_SLOTS = 8
"""Slots of one node that a tooltip tells of."""


def short_stats(stats: TensorStats) -> str:
    """`|0.149|`, `NaN ×2`, or nothing if no numbers are known."""
    if stats.is_finite is False:
        counts = [("NaN", stats.nan_count), ("Inf", stats.inf_count)]
        known = [f"{name} ×{count}" for name, count in counts if count]
        return ", ".join(known) or stats.problem
    return "" if stats.l2 is None else format_norm(stats.l2)


def _stats(stats: TensorStats | None) -> str:
    """`f32[5, 4] |0.149|`, or `none`."""
    if stats is None:
        return "none"
    return " ".join(filter(None, (str(stats.meta), short_stats(stats))))


def received_by(facts: NodeFacts, data: TraceData) -> list[str] | None:
    """What the one node received that a box stands for, in lines; what is not finite first.

    Returns:
        None if the box stands for several nodes, or if it is not known what the node received.
    """
    if facts.nodes == len(facts.orders) == 1:
        stats = _received(data, facts.orders[0])
    elif facts.nodes == 1 and facts.taken and not facts.orders:
        stats = [*facts.taken]
    else:
        return None
    if len(stats) > MAX_RUNS:
        stats.sort(key=lambda one: one is None or one.is_finite is not False)
    runs = count_runs(map(_stats, stats))
    more = [f"… {len(stats)} in all"] if len(runs) > MAX_RUNS else []
    lines: list[str] = []
    for run in (*runs[:MAX_RUNS], *more):
        if lines and len(lines[-1]) + len(run) + 2 <= MAX_LINE_CHARS:
            lines[-1] += f", {run}"
        else:
            lines.append(run)
    return lines


def format_orders(orders: Sequence[int]) -> str:
    """`3. `; `12–57. ` for all from 12 to 57, `12…57. ` for some of these; nothing for none."""
    if not orders:
        return ""
    first, last = orders[0], orders[-1]
    if first == last:
        return f"{first}. "
    return f"{first}{'–' if last - first == len(orders) - 1 else '…'}{last}. "


def remarks(facts: NodeFacts, data: TraceData) -> list[Line]:
    """What else is to be said in a box: norms of several nodes, what is not finite or not run."""
    lines = []
    if facts.norms and (facts.nodes > 1 or len(facts.orders) > 1):
        lines.append(Line(format_range(facts.norms.low, facts.norms.high)))
    if facts.norms.high == inf:
        lines.append(Line("norm overflows"))
    lines += [Line(text, is_bold=True) for text in _nonfinite(facts, data)]
    if facts.raised is not None:
        lines.append(Line("RAISED HERE" if facts.nodes == 1 else "RAISED INSIDE", is_bold=True))
    elif facts.taken and not facts.orders:
        lines.append(Line("returned by autograd.grad, not run"))
    elif facts.nodes == 1 and not facts.ran:
        lines.append(Line("did not run"))
    if facts.nodes > 1 and facts.ran < facts.nodes:
        ran = f"{facts.ran} of {facts.nodes}" if facts.ran else f"none of {facts.nodes}"
        lines.append(Line(f"{ran} nodes ran"))
    return lines


def _nonfinite(facts: NodeFacts, data: TraceData) -> list[str]:
    """Where NaN and Inf came up, and how far they spread inside a box."""
    texts = []
    inside = facts.nodes > 1
    if inside and facts.nonfinite:
        problem = join_problems(facts.received | facts.returned)
        texts.append(f"{problem} at {len(facts.nonfinite)} of {facts.nodes} nodes")
    for kind, words in ORIGINS.items():
        births = [birth for birth in facts.births if birth.kind == kind]
        if births:
            what = frozenset(word for birth in births for word in birth.what.split(" and "))
            texts.append(f"{join_problems(what)} {words[inside]}")
        if births and inside and kind in ("born", "unknown"):
            name = data.graph.node_table.names[births[0].node]
            texts.append(f"at {name}{f' and {len(births) - 1} more' if len(births) > 1 else ''}")
    return texts


def join_problems(problems: frozenset[str]) -> str:
    """`NaN`, `Inf` or `NaN and Inf`."""
    return " and ".join(sorted(problems, reverse=True))


def describe_event(data: TraceData, order: int) -> list[str]:
    """All that is known of one event, for a tooltip."""
    table = data.table
    thread = f" in {data.threads[table.threads[order]]}" if len(data.threads) > 1 else ""
    lines = [f"order {order}, took {format_duration(table.durations_ns[order])}{thread}"]
    for what, positions in (
        ("received", table.received[order]),
        ("returned", table.returned[order]),
    ):
        for slot, position in enumerate(positions[:MAX_SLOTS]):
            stats = None if position == NO_GRADIENT else table.stats[position]
            number = f" {slot}" if len(positions) > 1 else ""
            lines.append(f"{what}{number}: {describe_stats(stats)}")
        if len(positions) > MAX_SLOTS:
            lines.append(f"{what}: {len(positions)} in all")
    return lines


def describe_stats(stats: TensorStats | None) -> str:
    """One gradient in one line, with all numbers; what is not finite first."""
    if stats is None:
        return "no gradient"
    numbers = [
        ("norm", stats.l2),
        ("min", stats.min),
        ("max", stats.max),
        ("mean", stats.mean),
    ]
    known = [(name, number) for name, number in numbers if number is not None]
    parts = [f"{name} {number:.6g}" for name, number in known if not isnan(number)]
    counts = [("zeros", stats.zero_count), ("NaN", stats.nan_count), ("Inf", stats.inf_count)]
    if stats.is_finite is False:
        parts.insert(0, short_stats(stats))
        counts = counts[:1]
    elif stats.l2 == inf:
        parts.insert(0, "the norm overflows, though every element is finite")
    parts += [f"{name} {count}" for name, count in counts if count is not None]
    note = f" ({stats.note})" if stats.note else ""
    return f"{stats.meta} {', '.join(parts)}".rstrip() + note


def describe_edges(facts: EdgeFacts) -> list[str]:
    """What was sent along an arrow, for its tooltip."""
    if facts.idle == facts.edges:
        return ["not run"]
    if not facts.sent:
        return ["no gradient was sent (None)"]
    if facts.edges == 1 and facts.last is not None:
        return [f"sent: {describe_stats(facts.last)}"]
    lines = [f"gradients sent along {facts.sent} of {facts.edges} edges"]
    if facts.norms:
        lines.append(f"norms {format_range(facts.norms.low, facts.norms.high)}")
    if facts.nonfinite:
        lines.append(f"{join_problems(facts.problems)} in {facts.nonfinite} of them")
    return lines


def _received(data: TraceData, order: int) -> list[TensorStats | None]:
    stats = data.table.stats
    return [None if p == NO_GRADIENT else stats[p] for p in data.table.received[order]]
