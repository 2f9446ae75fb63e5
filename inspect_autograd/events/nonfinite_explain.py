"""Say why NaN or Inf was born: from what was seen at the node, else from names and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..graph.records import Node
from .nonfinite_fixes import FIX_OF_KIND, FIXES, FORMAT_LIMITS, TROUBLE
from .nonfinite_search import Birth, Contribution, NonfiniteSearch
from .records import Event, TensorStats
from .table import NO_GRADIENT, EventView
from .trace import TraceData

__all__ = ["Cause", "explain", "place_of"]

SHOWN = 5
LARGE_IN_HALF = 256.0
"""Two such numbers multiplied are beyond the largest float16."""


class Cause(NamedTuple):
    """The parts of a NonfiniteReport that say why."""

    rule: str
    text: str
    values: Mapping[str, str]
    fix: str


def place_of(data: TraceData, backward_pass: int) -> str:
    """The user's line that ran a pass; empty if it is not known."""
    record = data.passes[backward_pass]
    return record.place if record.file is not None else ""


def explain(data: TraceData, search: NonfiniteSearch, birth: Birth) -> Cause:
    """Why it was born there."""
    match birth.kind:
        case "born":
            return _explain_born(data, birth)
        case "root":
            return _explain_root(data, birth)
        case "accumulated":
            return _explain_accumulated(data, search, birth)
        case "changed":
            return _explain_changed(data, search, birth)
        case "unknown":
            return _explain_unknown(data, search, birth)


def _explain_born(data: TraceData, birth: Birth) -> Cause:
    event = _event(data, birth)
    node = data.graph.nodes[birth.node]
    evidence = next((e for e in data.evidence if e.event == birth.event), None)
    if evidence is not None and evidence.rule:
        fix = FIXES.get(evidence.rule, FIX_OF_KIND["born"])
        return Cause(evidence.rule, evidence.text, evidence.values, fix)
    likely, reason = _likely_cause(node, event, birth)
    if evidence is not None:
        text, values = evidence.text, evidence.values
        if likely == "half-overflow" and "float16" in text:
            reason = ""  # The evidence says so already.
    else:
        text = (
            "It received only finite gradients; what it saved was not looked at, so this is known "
            "from names and numbers alone."
        )
        values = _describe(event)
    fix = FIX_OF_KIND["born"] if not likely else f"If that is it: {FIXES[likely]}"
    return Cause("", f"{text} {reason}".strip(), values, fix)


def _likely_cause(node: Node, event: Event, birth: Birth) -> tuple[str, str]:
    """The rule that comes to mind without having seen the node, and why; it is no proof."""
    returned = event.returned[birth.slot]
    largest = _largest(event.received)
    if returned is not None and birth.what == "Inf" and largest is not None:
        limit = FORMAT_LIMITS.get(returned.meta.dtype)
        if limit is not None and largest > limit:
            return _overflow(returned), (
                f"What it received reaches {largest:.6g}, beyond {limit:.6g}, the largest "
                f"{returned.meta.dtype}, which is what it returns."
            )
        if returned.meta.dtype == "float16" and largest >= LARGE_IN_HALF:
            return "half-overflow", (
                f"Likely an overflow: it received up to {largest:.6g}, and the largest float16 "
                "is 65504."
            )
    if node.name in TROUBLE:
        rule, fact = TROUBLE[node.name]
        return rule, f"Known of {node.name}: {fact}."
    if node.kind == "custom":
        return "custom-function", f"{node.name} belongs to a custom Function: its backward made it."
    if node.kind == "compiled":
        return "compiled", "It stands for a whole graph compiled by torch.compile."
    return "", "A hook on this node may have made it, too."


def _overflow(stats: TensorStats) -> str:
    return "half-overflow" if stats.meta.dtype == "float16" else "overflow"


def _explain_root(data: TraceData, birth: Birth) -> Cause:
    record = data.passes[birth.backward_pass]
    roots = [r for r in record.roots if r.node == birth.node and r.slot == birth.slot]
    values = {"gradient given": _stats_text(roots[0].stats)} if roots else {}
    text = f"The gradient that {record.call} was given for it was not finite before anything ran."
    fix = FIX_OF_KIND["root"]
    if record.parent is not None:
        parent = _name(data, record.parent)
        text += f" The pass was run by the node {parent}, which received a finite gradient."
        fix = f"Look at what {parent} computes before it runs a backward pass of its own."
    return Cause("", text, values, fix)


def _explain_accumulated(data: TraceData, search: NonfiniteSearch, birth: Birth) -> Cause:
    contributions = search.contributions(birth.backward_pass, birth.node, birth.slot)
    dtype = next((c.stats.meta.dtype for c in contributions if c.stats is not None), "")
    limit = FORMAT_LIMITS.get(dtype)
    beyond = "" if limit is None else f": it goes beyond {limit:.6g}, the largest {dtype}"
    text = (
        f"{len(contributions)} gradients are added up there. Each of them is finite, "
        f"their sum is not{beyond}."
    )
    return Cause("", text, _sources(data, contributions), FIX_OF_KIND["accumulated"])


def _explain_changed(data: TraceData, search: NonfiniteSearch, birth: Birth) -> Cause:
    contributions = search.contributions(birth.backward_pass, birth.node, birth.slot)
    if len(contributions) == 1:
        text = "What was returned to it is finite, what it received is not"
    else:
        text = (
            f"The {len(contributions)} gradients returned to it are finite and cannot add up to "
            "what it received"
        )
    text += ": a hook of the program changed it on the way."
    if data.edits:
        more = f", … {len(data.edits) - SHOWN} more" if len(data.edits) > SHOWN else ""
        text += f" inspect_autograd.edit_gradients changed {', '.join(data.edits[:SHOWN])}{more}."
    return Cause("", text, _sources(data, contributions), FIX_OF_KIND["changed"])


def _explain_unknown(data: TraceData, search: NonfiniteSearch, birth: Birth) -> Cause:
    contributions = search.contributions(birth.backward_pass, birth.node, birth.slot)
    if birth.event is not None and not search.has_bad(data.table.received[birth.event]):
        suspects = _find_suspects(data, search, birth.event)
        text = (
            "It returned it, but of what it received not all numbers are known. So it was born "
            f"at {_first(data, [birth.node, *suspects])}."
        )
        return Cause("", text, _describe(_event(data, birth)), FIX_OF_KIND["unknown"])
    if not contributions:
        text = (
            "No node of the trace returned this gradient in this pass, so it came from a part of "
            "the graph that was not traced."
        )
        fix = "Trace from the tensor that the backward pass starts from: trace(that_tensor)."
        return Cause("", text, {}, fix)
    if all(contribution.is_finite for contribution in contributions):
        text = (
            f"What was returned to it is finite, but the graph was {data.graph.truncation}. What "
            "was cut off may have returned more."
        )
        fix = "Trace the whole graph."
        return Cause("", text, _sources(data, contributions), fix)
    suspects = []
    for contribution in contributions:
        if contribution.is_finite is None and contribution.event is not None:
            suspects.append(data.table.nodes[contribution.event])
            suspects += _find_suspects(data, search, contribution.event)
    given = (
        " or in the gradient given to a root" if None in [c.event for c in contributions] else ""
    )
    place = _first(data, list(dict.fromkeys(suspects)))
    where = f"at {place}{given}" if suspects else "in the gradient given to a root"
    text = f"Not all numbers are known of what arrived there. So it was born {where}."
    return Cause("", text, _sources(data, contributions), FIX_OF_KIND["unknown"])


def _find_suspects(data: TraceData, search: NonfiniteSearch, order: int) -> list[int]:
    """The nodes that the unknown part of what an event received came from, nearest first."""
    table = data.table
    found: dict[int, None] = {}
    pending = [order]
    seen = {order}
    for current in pending:  # The list grows while it is read.
        for slot, position in enumerate(table.received[current]):
            if position == NO_GRADIENT or not search.has_unknown([position]):
                continue
            for source in search.contributions(table.passes[current], table.nodes[current], slot):
                if source.is_finite is None and source.event is not None:
                    found[table.nodes[source.event]] = None
                    if source.event not in seen:
                        seen.add(source.event)
                        pending.append(source.event)
    return list(found)


# -- words -------------------------------------------------------------------------------------


def _event(data: TraceData, birth: Birth) -> Event:
    return EventView(data.table)[birth.event or 0]


def _name(data: TraceData, node: int) -> str:
    return f"#{node} {data.graph.nodes[node].label}"


def _first(data: TraceData, nodes: Sequence[int]) -> str:
    names = [_name(data, node) for node in nodes[:SHOWN]]
    more = [f"one of {len(nodes) - SHOWN} more"] if len(nodes) > SHOWN else []
    return " or ".join([*names, *more])


def _largest(stats: Sequence[TensorStats | None]) -> float | None:
    numbers = [s.max_abs for s in stats if s is not None]
    known = [number for number in numbers if number is not None]
    return max(known) if known and len(known) == len(numbers) else None


def _describe(event: Event) -> dict[str, str]:
    values = {}
    for what, gradients in (("received", event.received), ("returned", event.returned)):
        for slot, stats in enumerate(gradients):
            if stats is not None:
                key = f"{what}[{slot}]" if len(gradients) > 1 else what
                values[key] = _stats_text(stats)
    return values


def _sources(data: TraceData, contributions: Sequence[Contribution]) -> dict[str, str]:
    values = {}
    for contribution in contributions[:SHOWN]:
        if contribution.event is None:
            key = "gradient given to the root"
        else:
            key = f"{_name(data, data.table.nodes[contribution.event])}[{contribution.slot}]"
        values[key] = _stats_text(contribution.stats)
    if len(contributions) > SHOWN:
        values["…"] = f"{len(contributions) - SHOWN} more"
    return values


def _stats_text(stats: TensorStats | None) -> str:
    """`f32[3], at most 2.5`; `f32[3], 1 NaN, 1 Inf`."""
    if stats is None:
        return "not known"
    parts = [str(stats.meta)]
    if stats.is_finite is False:
        counts = [("NaN", stats.nan_count), ("Inf", stats.inf_count)]
        numbered = [f"{count} {name}" for name, count in counts if count]
        parts += numbered or [f"{stats.problem} in it"]
    elif stats.max_abs is not None:
        parts.append(f"at most {stats.max_abs:.6g}")
    if stats.note:
        parts.append(stats.note)
    return ", ".join(parts)
