"""Which backward pass ran inside which.

A node may call the engine while it runs, as `torch.utils.checkpoint` does. The pass that it calls
names the node, and the pass in which that node ran; an inner pass has a higher id than its outer.
"""

from __future__ import annotations

from collections.abc import Sequence

from .records import BackwardPass
from .trace import TraceData

__all__ = ["find_callers", "find_inner_passes", "outermost_passes", "pass_depths"]


def find_inner_passes(passes: Sequence[BackwardPass], id: int) -> tuple[BackwardPass, ...]:
    """A pass, and all that ran inside it, at any depth.

    Args:
        passes: All passes of a trace.
        id: Of the pass.
    """
    inside = {id}
    for backward_pass in passes[id + 1 :]:
        if backward_pass.parent_pass in inside:
            inside.add(backward_pass.id)
    return tuple(backward_pass for backward_pass in passes if backward_pass.id in inside)


def outermost_passes(passes: Sequence[BackwardPass]) -> list[int]:
    """For each pass the id of the outermost pass that it ran in; its own id if it ran in none."""
    top: list[int] = []
    for backward_pass in passes:
        outer = backward_pass.parent_pass
        top.append(backward_pass.id if outer is None else top[outer])
    return top


def pass_depths(passes: Sequence[BackwardPass]) -> list[int]:
    """How many passes each pass is nested in."""
    depths: list[int] = []
    for backward_pass in passes:
        outer = backward_pass.parent_pass
        depths.append(0 if outer is None else depths[outer] + 1)
    return depths


def find_callers(data: TraceData) -> dict[int, int]:
    """The order of the event that called each inner pass, by the id of the pass.

    That is the one execution of the calling node in the outer pass. No event tells of a node that
    has not finished, so passes that such a node called are left out.
    """
    called: dict[tuple[int, int], list[int]] = {}
    for backward_pass in data.passes:
        if backward_pass.parent is not None and backward_pass.parent_pass is not None:
            key = (backward_pass.parent_pass, backward_pass.parent)
            called.setdefault(key, []).append(backward_pass.id)
    if not called:
        return {}
    callers: dict[int, int] = {}
    for order, key in enumerate(zip(data.table.passes, data.table.nodes, strict=True)):
        callers.update(dict.fromkeys(called.get(key, ()), order))
    return dict(sorted(callers.items()))
