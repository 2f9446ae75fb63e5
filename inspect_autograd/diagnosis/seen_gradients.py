"""What a recording tells about the gradients of parameters, by the names that a model has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..events.effects import Cut
from ..events.gradient_deliveries import collect_deliveries
from ..events.recording import Recording
from ..events.records import BackwardPass
from ..events.timeline import ModuleSpan
from ..events.trace import Trace
from ..graph.graph import Graph

__all__ = ["SeenGradients", "find_seen", "plain_name"]

_WRAPPERS = ("module.", "_orig_mod.")
"""What DistributedDataParallel, DataParallel and torch.compile put before the names of a model."""


@dataclass(slots=True)
class SeenGradients:
    """By `plain_name`.

    Attributes:
        cuts: Behind which a parameter lies: those that cost it its path come first.
        calls: Calls of modules, by path.
        delivered: The pass that last gave a parameter a gradient.
        refused: Why a pass from this loss gave it none.
        reached: A pass whose graph reaches it.
        loss_passes: The passes that started from this loss.
        is_ambiguous: Whether the names could be those of several recorded models, so that
            nothing is known.
    """

    cuts: dict[str, list[Cut]] = field(default_factory=dict)
    calls: dict[str, list[ModuleSpan]] = field(default_factory=dict)
    delivered: dict[str, BackwardPass] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    reached: dict[str, BackwardPass] = field(default_factory=dict)
    loss_passes: list[BackwardPass] = field(default_factory=list)
    is_ambiguous: bool = False


def plain_name(name: str) -> str:
    """A name without what a wrapper puts before it."""
    while name.startswith(_WRAPPERS):
        name = name.partition(".")[2]
    return "" if f"{name}." in _WRAPPERS else name


def find_seen(
    recording: Recording, graph: Graph | None, names: Sequence[str], modules: Sequence[str]
) -> SeenGradients:
    """What a recording saw.

    Args:
        recording: Of this process or from a file.
        graph: Of the loss in question.
        names: Of the parameters, as the model in question has them.
        modules: Paths of its modules.
    """
    data = recording.data
    paths = {span.path for span in data.modules}
    recorded = {name for cut in data.cuts for name in cut.parameters}
    for trace in data.traces:
        recorded |= {name for parameter in trace.parameters for name in parameter.names}
    prefix = _find_prefix(names, modules, recorded, paths)
    seen = SeenGradients(is_ambiguous=prefix is None)
    if prefix is None:
        return seen
    for span in data.modules:
        _add(seen.calls, span.path, prefix, span)
    for cut in sorted(data.cuts, key=lambda cut: not cut.lost):
        for name in cut.lost or cut.parameters:
            _add(seen.cuts, name, prefix, cut)
    for trace in data.traces:
        _read_trace(seen, trace, graph, prefix)
    return seen


def _find_prefix(
    names: Iterable[str], modules: Iterable[str], recorded: set[str], paths: set[str]
) -> str | None:
    """What the recording has before the names of the model; None if that cannot be told.

    A recording of several models, or of none in particular, puts a name before each.
    """
    wanted = {("tensor", plain_name(name)) for name in names}
    wanted |= {("module", plain_name(path)) for path in modules}
    known = [("tensor", name) for name in recorded] + [("module", path) for path in paths]
    roots = {f"{plain_name(name).partition('.')[0]}." for _, name in known} | {""}
    scores = {
        root: len(wanted & {(kind, _own_name(name, root)) for kind, name in known})
        for root in roots - {"."}
    }
    best = max(scores.values())
    found = [root for root, score in scores.items() if score == best]
    if "" in found:
        return ""
    return found[0] if len(found) == 1 else None


def _add(found: dict[str, list[object]] | dict[str, list[Cut]] | dict[str, list[ModuleSpan]],
         name: str, prefix: str, value: object) -> None:  # fmt: skip
    own = _own_name(name, prefix)
    if own is not None:
        found.setdefault(own, []).append(value)  # type: ignore[arg-type]


def _own_name(name: str, prefix: str) -> str | None:
    plain = plain_name(name)
    if not prefix:
        return plain
    if f"{plain}." == prefix:
        return ""
    return plain_name(plain.removeprefix(prefix)) if plain.startswith(prefix) else None


def _read_trace(seen: SeenGradients, trace: Trace, graph: Graph | None, prefix: str) -> None:
    names = [
        [own for name in parameter.names if (own := _own_name(name, prefix)) is not None]
        for parameter in trace.parameters
    ]
    for one in trace.passes:
        if one.parent is not None:
            continue
        is_this = graph is not None and _starts_from(one, trace, graph)
        if is_this:
            seen.loss_passes.append(one)
        for index, parameter in enumerate(trace.parameters):
            if parameter.node is not None:
                seen.reached.update(dict.fromkeys(names[index], one))
        if len(trace.events):
            _read_deliveries(seen, trace, one, names, is_this=is_this)
        elif one.call == "backward" and one.inputs is None and one.outcome.error is None:
            # Without events, what the graph reaches counts as delivered.
            for index, parameter in enumerate(trace.parameters):
                if parameter.node is not None:
                    seen.delivered.update(dict.fromkeys(names[index], one))


def _read_deliveries(
    seen: SeenGradients,
    trace: Trace,
    one: BackwardPass,
    names: Sequence[Sequence[str]],
    *,
    is_this: bool,
) -> None:
    arrived = collect_deliveries(trace, one.id)
    for index, delivery in zip(arrived.parameters, arrived.deliveries, strict=True):
        if delivery.stats is not None and one.call != "grad":
            seen.delivered.update(dict.fromkeys(names[index], one))
        elif is_this:
            seen.refused.update(dict.fromkeys(names[index], delivery.reason))


def _starts_from(one: BackwardPass, trace: Trace, graph: Graph) -> bool:
    """Whether a pass started from a root of a graph, by name and number of its node."""
    return not _numbers([root.node for root in one.roots], trace.graph).isdisjoint(
        _numbers([root.node for root in graph.roots], graph)
    )


def _numbers(nodes: Iterable[int], graph: Graph) -> set[tuple[str, int]]:
    table = graph.node_table
    numbers: Mapping[int, int | None] | Sequence[int | None] = table.sequence_nrs
    return {(table.names[node], number) for node in nodes if (number := numbers[node]) is not None}
