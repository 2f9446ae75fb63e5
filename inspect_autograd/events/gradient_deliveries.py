"""What each parameter was given in a backward pass, and why some were given nothing.

A pass delivers a gradient where the AccumulateGrad node of a leaf runs, or, for
`torch.autograd.grad`, which runs none of these, in what it returned for its `inputs`. A reentrant
pass (one that a node of another pass calls, as `torch.utils.checkpoint` does) delivers on behalf
of the pass that called it, so the two are looked at as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf, isnan

from .nested_passes import find_inner_passes, outermost_passes
from .records import BackwardPass, PassInput, TensorStats, TracedParameter
from .table import NO_GRADIENT
from .trace import Trace

__all__ = ["Arrived", "Deliveries", "Delivery", "collect_deliveries"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one parameter was given in a pass.

    Attributes:
        stats: The gradient; the largest one if there were several; None if there was none.
        count: How many gradients were delivered.
        rank: Deliveries in order, nearest to the loss first, begin with the lowest; None if
            there was none.
        reason: Why there was none; empty if there was one.
    """

    stats: TensorStats | None
    count: int
    rank: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Deliveries:
    """What was delivered in one pass.

    Attributes:
        backward_pass: The pass; reentrant passes that it called are part of it.
        parameters: Positions in `Trace.parameters` of those that the pass was to reach.
        deliveries: One for each of these.
        notes: What else there is to say about the choice of these.
    """

    backward_pass: BackwardPass
    parameters: tuple[int, ...]
    deliveries: tuple[Delivery, ...]
    notes: tuple[str, ...]


@dataclass(slots=True)
class Arrived:
    """The events of one parameter in one pass: their orders, and what came."""

    orders: list[int] = field(default_factory=list)
    stats: list[TensorStats | None] = field(default_factory=list)


def collect_deliveries(trace: Trace, pass_id: int | None) -> Deliveries:
    """What a pass delivered; by default the last one that delivered anything to a leaf.

    Args:
        trace: A trace with at least one pass.
        pass_id: Index in `trace.passes`, or None.
    """
    finder = ParameterFinder(trace)
    arrived = _collect_arrived(trace, finder)
    if pass_id is None:
        pass_id = _last_pass_with_gradient(trace, finder, arrived)
    chosen = trace.passes[pass_id]
    merged: dict[int, Arrived] = {}
    for one in find_inner_passes(trace.passes, pass_id):
        for parameter, some in arrived.get(one.id, {}).items():
            target = merged.setdefault(parameter, Arrived())
            target.orders += some.orders
            target.stats += some.stats
    asked, notes = _asked_parameters(trace, chosen, finder)
    returned = _returned_by_grad(chosen, finder)
    deliveries = tuple(
        _delivery(trace.parameters[i], merged.get(i), returned.get(i), chosen) for i in asked
    )
    return Deliveries(chosen, asked, deliveries, (*_pass_notes(trace, chosen), *notes))


class ParameterFinder:
    """Finds the parameter that a leaf node or an input of a pass belongs to."""

    def __init__(self, trace: Trace) -> None:
        self._by_node: dict[int, int] = {}
        by_name: dict[str, int] = {}
        for index, parameter in enumerate(trace.parameters):
            if parameter.node is not None:
                self._by_node.setdefault(parameter.node, index)
            for name in parameter.names:
                by_name.setdefault(name, index)
        self._by_name = by_name
        # A checkpoint makes an AccumulateGrad node of its own for a parameter that the outer
        # graph does not reach; only the name tells whose it is.
        for node, leaf in trace.graph.node_table.parameters.items():
            if node not in self._by_node and leaf.name in by_name:
                self._by_node[node] = by_name[leaf.name]

    def of_node(self, node: int) -> int | None:
        """Position in `Trace.parameters` of the leaf with this AccumulateGrad node."""
        return self._by_node.get(node)

    def of_input(self, given: PassInput) -> int | None:
        """Position in `Trace.parameters` of one of the `inputs=`; None if it is not a leaf."""
        if given.node is not None and given.node in self._by_node:
            return self._by_node[given.node]
        return next((self._by_name[name] for name in given.names if name in self._by_name), None)


def _collect_arrived(trace: Trace, finder: ParameterFinder) -> dict[int, dict[int, Arrived]]:
    """By pass, then by parameter."""
    table = trace.data.table
    found: dict[int, dict[int, Arrived]] = {}
    for order, node in enumerate(table.nodes):
        parameter = finder.of_node(node)
        if parameter is None:
            continue
        slots = table.received[order]
        position = slots[0] if slots else NO_GRADIENT
        some = found.setdefault(table.passes[order], {}).setdefault(parameter, Arrived())
        some.orders.append(order)
        some.stats.append(None if position == NO_GRADIENT else table.stats[position])
    return found


def _last_pass_with_gradient(
    trace: Trace, finder: ParameterFinder, arrived: Mapping[int, Mapping[int, Arrived]]
) -> int:
    passes = trace.passes
    top = outermost_passes(passes)
    reached = {
        top[index]
        for index, of_pass in arrived.items()
        if any(stats is not None for some in of_pass.values() for stats in some.stats)
    }
    reached |= {p.id for p in passes if p.parent is None and _returned_by_grad(p, finder)}
    return max(reached) if reached else max(top)


def _returned_by_grad(chosen: BackwardPass, finder: ParameterFinder) -> dict[int, TensorStats]:
    """What `autograd.grad` returned, by parameter."""
    if chosen.call != "grad":
        return {}
    found = ((finder.of_input(given), given.stats) for given in chosen.inputs or ())
    return {index: stats for index, stats in found if index is not None and stats is not None}


def _asked_parameters(
    trace: Trace, chosen: BackwardPass, finder: ParameterFinder
) -> tuple[tuple[int, ...], list[str]]:
    """Which parameters the pass was to reach: all of them, unless `inputs=` limited it."""
    count = len(trace.parameters)
    if chosen.inputs is None:
        return tuple(range(count)), []
    found = [finder.of_input(given) for given in chosen.inputs]
    asked = tuple(sorted({index for index in found if index is not None}))
    notes = []
    left = count - len(asked)
    if left:
        what = "1 other parameter is" if left == 1 else f"{left} other parameters are"
        notes.append(f"the pass was limited by its inputs, so {what} not shown")
    others = found.count(None)
    if others:
        what = f"{others} of its inputs {'are no leaves' if others > 1 else 'is no leaf'}"
        notes.append(f"{what} of the trace and not shown")
    return asked, notes


def _pass_notes(trace: Trace, chosen: BackwardPass) -> Iterable[str]:
    own = sum(backward_pass.parent is None for backward_pass in trace.passes)
    if own > 1 and chosen.parent is None:
        yield f"one of {own} passes; backward_pass= chooses another"
    if chosen.outcome.status == "raised":
        yield f"the pass raised {chosen.outcome.error}, so some gradients may be missing"
    if chosen.outcome.status == "running":
        yield "the pass is still running, so some gradients may be missing"


def _delivery(
    parameter: TracedParameter,
    arrived: Arrived | None,
    returned: TensorStats | None,
    chosen: BackwardPass,
) -> Delivery:
    came = [] if arrived is None else [stats for stats in arrived.stats if stats is not None]
    came += [] if returned is None else [returned]
    if came:
        # For what `grad` returned nothing tells the order of arrival; ids grow from the loss on.
        rank = arrived.orders[0] if arrived is not None else parameter.node
        return Delivery(max(came, key=_magnitude), len(came), rank or 0, "")
    return Delivery(None, 0, None, _why_missing(parameter, arrived, chosen))


def _magnitude(stats: TensorStats) -> tuple[bool, float]:
    """Orders gradients by norm, those that are not finite last."""
    if stats.is_finite is False:
        return True, inf
    size = -1.0 if stats.l2 is None else stats.l2
    return False, inf if isnan(size) else size


def _why_missing(parameter: TracedParameter, arrived: Arrived | None, chosen: BackwardPass) -> str:
    if arrived is not None:
        return "its node ran but received no gradient"
    if parameter.node is None:
        return "the traced graph does not reach it"
    if chosen.call == "grad":
        return "torch.autograd.grad returned None for it"
    if chosen.outcome.status == "raised":
        return "its node did not run before the pass raised"
    if chosen.outcome.status == "running":
        return "its node has not run yet"
    return "its node did not run in this pass"
