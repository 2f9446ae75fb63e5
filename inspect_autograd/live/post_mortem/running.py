"""Which node was running when a backward pass failed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch

from ...diagnosis.scene import RunningFacts
from ...events.recording import Recording
from ...events.trace import Trace
from ...graph.graph import Graph
from ..holders.safe_access import is_kind_of
from ..node_types import short_name
from ..private_torch import LiveNode
from .live_frame import LiveFrame
from .variables import read_variables

__all__ = ["context_of", "find_running", "running_node"]

_NAME = re.compile(r"\bfunction '?(\w*Backward\w*)'? returned", re.IGNORECASE)
_FUNCTION_MODULE = "torch.autograd.function"
_METHODS = ("backward", "vjp", "forward", "setup_context", "jvp")


def find_running(
    frames: Sequence[LiveFrame],
    message: str,
    graph: Graph | None,
    ids: Mapping[LiveNode, int],
    seen: Trace | Recording | None,
) -> RunningFacts | None:
    """The node, from who knows best: the traceback, then a trace, then the message.

    Args:
        frames: The traceback.
        message: Of the failure.
        graph: The graph of the scene.
        ids: Its live nodes.
        seen: What the exception carries.
    """
    node = running_node(frames)
    if node is not None:
        return RunningFacts(short_name(node), ids.get(node), "frames")
    trace = seen.traces[-1] if isinstance(seen, Recording) and seen.traces else seen
    if isinstance(trace, Trace) and trace.data.outcome.node is not None:
        return _from_trace(trace, trace.data.outcome.node, graph, message)
    found = _NAME.search(message)
    if found is None:
        return None
    return RunningFacts(found[1], _only(graph, found[1]), "message")


def running_node(frames: Sequence[LiveFrame]) -> LiveNode | None:
    """The node of the custom Function whose backward the traceback leads into."""
    for live in reversed(frames):
        code = live.frame.f_code
        if code.co_name == "apply" and live.frame.f_globals.get("__name__") == _FUNCTION_MODULE:
            node = read_variables(live.frame).get("self")
        elif code.co_name in ("backward", "vjp"):
            node = context_of(live)
        else:
            continue
        if is_kind_of(node, torch.autograd.function.BackwardCFunction):
            return node
    return None


def context_of(live: LiveFrame) -> LiveNode | None:
    """The `ctx` of a method of a custom Function: its node."""
    code = live.frame.f_code
    if code.co_name not in _METHODS or not code.co_argcount:
        return None
    node = read_variables(live.frame).get(code.co_varnames[0])
    return node if is_kind_of(node, torch.autograd.function.BackwardCFunction) else None


def _from_trace(trace: Trace, id: int, graph: Graph | None, message: str) -> RunningFacts | None:
    if trace.data.outcome.message not in (None, message):
        return None  # It saw another failure.
    known = trace.graph.nodes[id]
    if graph is None:
        return RunningFacts(known.name, None, "trace")
    table = graph.node_table
    if known.sequence_nr is None:
        return RunningFacts(known.name, _only(graph, known.name), "trace")
    same = [
        other
        for other, (name, number) in enumerate(zip(table.names, table.sequence_nrs, strict=True))
        if name == known.name and number == known.sequence_nr
    ]
    return RunningFacts(known.name, same[0] if len(same) == 1 else None, "trace")


def _only(graph: Graph | None, name: str) -> int | None:
    """The node of this name, where there is just one."""
    if graph is None:
        return None
    same = [id for id, other in enumerate(graph.node_table.names) if other == name]
    return same[0] if len(same) == 1 else None
