"""Recognize the usual ways to keep graphs alive, and say what to do about each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .holders import (
    Growth,
    HeldGraph,
    HeldTensor,
    Holder,
    HolderPattern,
    HoldingContainer,
    PatternKind,
)
from .tensor_meta import format_bytes

__all__ = ["find_patterns"]

_ORDER: tuple[PatternKind, ...] = (
    "accumulator", "container", "carried over", "gradient", "cycle", "held"
)  # fmt: skip
MIN_TERMS = 3
"""With fewer terms that share nothing, a chain of sums is a loss of several parts."""


def find_patterns(
    graphs: Sequence[HeldGraph], containers: Iterable[HoldingContainer]
) -> tuple[HolderPattern, ...]:
    """What the graphs and their holders look like, the surest signs of a leak first.

    A graph is told of once, under the first kind that fits.
    """
    told: set[int] = set()
    found: list[HolderPattern] = []
    several = {container: container.graphs for container in containers if len(container.graphs) > 1}
    for graph in graphs:
        if graph.growth is not None and graph.growth.terms >= MIN_TERMS:
            found.append(_accumulator(graph, graph.growth))
            told.add(graph.id)
    for container, ids in several.items():
        rest = [id for id in ids if id not in told]
        if len(rest) > 1:
            found.append(_container(container, [graphs[id] for id in rest]))
            told.update(rest)
    found += [pattern for graph in graphs if graph.id not in told for pattern in _single(graph)]
    return tuple(sorted(found, key=lambda pattern: _ORDER.index(pattern.kind)))


def _single(graph: HeldGraph) -> Iterator[HolderPattern]:
    kinds = {holder.kind for holder in graph.holders}
    if "gradient" in kinds:
        yield _make(graph, "gradient", _GRADIENT_TEXT, _GRADIENT_HINT)
    elif graph.freed_nodes and (carried := _find_carried(graph)) is not None:
        yield _carried(graph, carried)
    elif kinds == {"cycle"}:
        yield _make(graph, "cycle", _CYCLE_TEXT, _CYCLE_HINT)
    else:
        yield _held(graph)


_GRADIENT_TEXT = (
    "a gradient carries a graph, as it was made with create_graph=True; the parameter and its "
    "gradient then hold each other"
)
_GRADIENT_HINT = (
    "use torch.autograd.grad for gradients to be differentiated; or set the .grad of the "
    "parameters to None after use (optimizer.zero_grad())"
)
_CYCLE_TEXT = "only objects that refer to each other hold it: garbage that gc has not collected yet"
_CYCLE_HINT = (
    "break the cycle (set one of the references to None, or use weakref), so that the graph is "
    "freed at once; gc.collect() frees it now"
)


def _make(graph: HeldGraph, kind: PatternKind, text: str, hint: str) -> HolderPattern:
    return HolderPattern(kind, text, hint, (graph.id,))


def _accumulator(graph: HeldGraph, growth: Growth) -> HolderPattern:
    name = _name(graph.tensors[0]) or "total"
    if growth.kind == "concatenation":
        text = (
            f"{growth.steps} concatenations in a chain put together {growth.terms} terms that "
            "have only leaves in common: a tensor that grows from step to step"
        )
        hint = (
            f"collect detached tensors in a list instead: outputs.append({_short(name)}.detach())"
        )
        return _make(graph, "accumulator", text, hint)
    text = (
        f"{growth.steps} additions in a chain add up {growth.terms} terms that have only leaves "
        "in common: a running sum, which keeps the graph of every step"
    )
    hint = (
        f"add numbers, not graphs: {name} += loss.item(), or {name} += loss.detach() to stay on "
        "the device"
    )
    return _make(graph, "accumulator", text, hint)


def _short(name: str) -> str:
    return name if name.isidentifier() else "y"


def _container(container: HoldingContainer, graphs: Sequence[HeldGraph]) -> HolderPattern:
    size = format_bytes(sum(graph.saved_bytes for graph in graphs))
    text = (
        f"a {container.type_name} holds {container.tensors} tensors of {len(graphs)} graphs "
        f"({size} saved): {container.holder}"
    )
    name = container.holder.expression or "losses"
    adds = f"{name}.append(loss.item())" if container.type_name == "list" else "loss.item()"
    hint = f"keep values, not graphs: {adds}, or .detach() for tensors"
    return HolderPattern("container", text, hint, tuple(graph.id for graph in graphs))


def _find_carried(graph: HeldGraph) -> tuple[HeldTensor, Holder] | None:
    """A tensor with several elements that something holds for longer than one call."""
    for tensor in graph.tensors:
        if tensor.meta is None or tensor.meta.numel == 1:
            continue
        for holder in tensor.holders:
            if holder.owner or holder.kind in ("global", "local", "class"):
                return tensor, holder
    return None


def _carried(graph: HeldGraph, carried: tuple[HeldTensor, Holder]) -> HolderPattern:
    tensor, holder = carried
    name = holder.expression or "h"
    text = (
        f"a backward pass has freed {graph.freed_nodes} of its nodes, and {tensor.meta} still "
        f"leads into it: a value of an earlier step ({holder})"
    )
    return _make(graph, "carried over", text, f"{name} = {name}.detach() before the next step")


def _held(graph: HeldGraph) -> HolderPattern:
    tensor = graph.tensors[0] if graph.tensors else None
    holders = [holder for holder in graph.holders if holder.kind in ("global", "local", "class")]
    where = holders[0] if holders else next(iter(graph.holders), None)
    text = f"held by {where}" if where else "nothing that Python sees holds it"
    name = where.expression if where else ""
    if not name:
        hint = "look for a hook or an unfinished expression that holds a tensor of it"
    elif tensor is not None and tensor.meta is not None and tensor.meta.numel == 1:
        hint = f"del {name} when it is not needed any more, or keep {name}.item()"
    else:
        hint = f"del {name} when it is not needed any more, or keep {name}.detach()"
    return _make(graph, "held", text, hint)


def _name(tensor: HeldTensor) -> str:
    return next((holder.expression for holder in tensor.holders if holder.expression), "")
