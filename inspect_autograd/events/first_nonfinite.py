"""Where NaN or Inf was born: the first node in execution order that made it of finite gradients."""

from __future__ import annotations

from collections import Counter

from ..errors import ArgumentError
from ..graph.records import Node
from .nonfinite_explain import explain, place_of
from .nonfinite_report import NonfiniteReport
from .nonfinite_search import Birth, NonfiniteSearch
from .trace import Trace, TraceData

__all__ = ["NonfiniteReport", "find_first_nonfinite"]

MAX_PASSED_ON = 5


def find_first_nonfinite(trace: Trace) -> NonfiniteReport | None:
    """Where NaN or Inf was born; see `Trace.first_nonfinite`.

    Every gradient that could be reduced is looked at. A node that only received NaN from another
    one is not where it was born, even if it ran first among those of its thread.

    Args:
        trace: Made with `stats="basic"` or `"full"`.

    Returns:
        None if no gradient of which numbers are known has NaN or Inf in it.

    Raises:
        ArgumentError: The trace knows no numbers.
    """
    data = trace.data
    if data.stats_level == "meta":
        raise ArgumentError(
            "trace was made with stats='meta', which knows no values; expected 'basic' or 'full'",
            remedy='Trace again with inspect_autograd.trace(loss, stats="basic").',
        )
    search = NonfiniteSearch(data)
    births = search.find_births()
    if not births:
        return None
    return _report(data, search, births)


def _report(data: TraceData, search: NonfiniteSearch, births: list[Birth]) -> NonfiniteReport:
    first = births[0]
    nodes = data.graph.nodes
    cause = explain(data, search, first)
    passed_on = search.find_passed_on(first)
    names = data.graph.node_table.names
    others = Counter(names[birth.node] for birth in births[1:] if birth.kind != "unknown")
    return NonfiniteReport(
        kind=first.kind,
        what=first.what,
        event=first.event,
        node=first.node,
        node_label=nodes[first.node].label,
        backward_pass=first.backward_pass,
        place=place_of(data, first.backward_pass),
        slot=first.slot,
        rule=cause.rule,
        explanation=cause.text,
        values=cause.values,
        fix=cause.fix,
        passed_on=tuple(f"#{id} {nodes[id].label}" for id in passed_on[:MAX_PASSED_ON]),
        passed_on_count=len(passed_on),
        reached=_find_reached(data, search),
        others=dict(others),
        made_by=_made_by(nodes[first.node]),
    )


def _made_by(node: Node) -> str:
    """The call, line and module, such as `torch.sqrt at train.py:8 in encoder`."""
    creation = node.creation
    if creation is None or (creation.function is None and creation.source is None):
        return ""
    return f"{creation} in {node.scope}" if node.scope else str(creation)


def _find_reached(data: TraceData, search: NonfiniteSearch) -> tuple[str, ...]:
    """Names of the leaves that NaN or Inf arrived at, in the order of arrival, each once."""
    reached: dict[str, None] = {}
    parameters = data.graph.node_table.parameters
    table = data.table
    for order, node in enumerate(table.nodes):
        if node in parameters and search.has_bad(table.received[order]):
            name = parameters[node].name
            reached[f"#{node} {parameters[node].meta} (no name)" if name is None else name] = None
    for backward_pass in data.passes:
        for given in backward_pass.inputs or ():
            if given.stats is not None and given.stats.is_finite is False:
                name = given.names[0] if given.names else None
                if name is None and given.node is not None:
                    name = f"#{given.node} {data.graph.nodes[given.node].label} (no name)"
                reached[name or "an input without a name"] = None
    return tuple(reached)
