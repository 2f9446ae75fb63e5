"""What the failing line of the user works on: tensors and nodes, live."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.autograd.graph import GradientEdge

from ..file_owners import LIBRARY, USER, owner_of
from ..holders.safe_access import is_kind_of
from ..node_types import is_node
from .expressions import find_expression, find_operation, find_paths
from .frames import line_of
from .live_frame import LiveFrame
from .variables import read_variables, resolve

__all__ = ["Involved", "find_involved"]

MAX_INVOLVED = 50


@dataclass(slots=True)
class Involved:
    """What the failing line was at; hold it no longer than needed.

    Attributes:
        operation: As `Scene.operation`.
        tensors: As `Scene.involved`.
        nodes: Nodes that the line names.
    """

    operation: str = ""
    tensors: list[torch.Tensor] = field(default_factory=list)
    nodes: list[Any] = field(default_factory=list)


def find_involved(frames: Sequence[LiveFrame]) -> Involved:
    """Read the innermost line of the user, and what PyTorch itself was working on there."""
    place = next((i for i in range(len(frames) - 1, -1, -1) if _is_users(frames[i])), None)
    if place is None:
        return Involved()
    live = frames[place]
    expression = find_expression(live)
    found = Involved(find_operation(live, expression))
    values = [*_named(live, expression), *_arguments(frames[place + 1 :])]
    for value in values:
        if is_kind_of(value, torch.Tensor):
            if all(value is not other for other in found.tensors):
                found.tensors.append(value)
        elif not is_kind_of(value, GradientEdge) and _is_live_node(value):
            found.nodes.append(value)
    del found.tensors[MAX_INVOLVED:]
    return found


def _is_users(live: LiveFrame) -> bool:
    return owner_of(live.frame.f_code.co_filename) == USER


def _named(live: LiveFrame, expression: str) -> Iterator[Any]:
    variables = read_variables(live.frame)
    for path in find_paths(expression, line_of(live)):
        # Of x.grad.zero_ it is x.grad that counts, of x.add_ it is x.
        steps = _prefixes(path)
        yield next((v for step in steps if (v := resolve(variables, step)) is not None), None)


def _prefixes(path: str) -> list[str]:
    ends = [i for i, sign in enumerate(path) if sign in ".["]
    return [path, *(path[:end] for end in reversed(ends))]


def _is_live_node(value: Any) -> bool:
    return _is_torch_type(value) and is_node(value)


def _is_torch_type(value: Any) -> bool:
    return is_kind_of(value, torch.autograd.graph.Node) or type(value).__name__.endswith(
        ("Backward0", "Backward1", "AccumulateGrad")
    )


def _arguments(frames: Sequence[LiveFrame]) -> Iterator[Any]:
    """Tensors among the variables of PyTorch's innermost frame: `param` of an optimizer."""
    inner = [f for f in frames if owner_of(f.frame.f_code.co_filename) == LIBRARY]
    if inner:
        yield from read_variables(inner[-1].frame).values()
