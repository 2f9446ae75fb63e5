"""Run one real node, as the engine would: nothing is freed, and no hook runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from ..node_types import describe_type, short_name
from ..private_torch import LiveNode, input_metadata, plain_engine_entry
from .validate import GradientRefusedError

__all__ = ["Gradients", "RecomputeOnce", "run_node"]

Gradients = Sequence[torch.Tensor | None]


class RecomputeOnce:
    """Lets a checkpoint compute its block again once for all steps, and not for every tensor.

    `torch.utils.checkpoint.GraphExecGroup` (2.9 and newer) makes several calls one pass to a
    checkpoint. Without it a block is computed again whenever one of its tensors is read; the
    gradients are the same.
    """

    def __init__(self) -> None:
        module = sys.modules.get("torch.utils.checkpoint")
        group = getattr(module, "GraphExecGroup", None)
        self._group: AbstractContextManager[Any] | None = None if group is None else group()

    def __call__(self) -> AbstractContextManager[Any]:
        """Around one step."""
        return nullcontext() if self._group is None else self._group


def run_node(node: LiveNode, received: Gradients) -> list[torch.Tensor | None]:
    """What a node returns for what it received: one entry per entry of its `next_functions`.

    Raises:
        GradientRefusedError: The backward of a custom Function returned what does not belong
            there.
        Exception: Whatever the node raises.
    """
    if describe_type(type(node)).is_python:
        return _run_function(node, received)
    returned = node(*received)
    return list(returned) if isinstance(returned, tuple) else [returned]


def _run_function(node: Any, received: Gradients) -> list[torch.Tensor | None]:
    """The `backward` of a custom Function, and around it what `PyNode::apply` does."""
    if any(gradient is None for gradient in received):
        return _run_in_engine(node, received)
    returned = node.apply(*received)
    values = list(returned) if isinstance(returned, tuple) else [returned]
    needed = node.needs_input_grad
    while len(values) > len(needed) and values[-1] is None:
        values.pop()  # Too many are allowed, where they are None.
    name = short_name(node)
    if len(values) != len(needed):
        raise GradientRefusedError(
            f"{name} returned {len(values)} gradients; expected {len(needed)}, one for each "
            "argument of its forward",
            remedy="Return None for each argument that has no gradient.",
        )
    for position, value in enumerate(values):
        if value is not None and not isinstance(value, torch.Tensor):
            raise GradientRefusedError(
                f"{name} returned a {type(value).__name__} at position {position}; "
                "expected a tensor or None",
                remedy="Return the gradient as a tensor.",
            )
    # An edge leads on exactly where an input needs a gradient, and both stand in the same order.
    wanted = iter([value for value, needs in zip(values, needed, strict=True) if needs])
    return [None if target is None else next(wanted) for target, _ in node.next_functions]


def _run_in_engine(node: Any, received: Gradients) -> list[torch.Tensor | None]:
    """The same in a pass of the real engine that ends as soon as the node has run.

    Whether a Function wants zeros in place of missing gradients (`set_materialize_grads`) cannot
    be read from Python; its own `PyNode::apply` knows.
    """
    returned: list[Any] = []
    handles = [node.register_hook(_Stop(returned))]
    slots = [slot for slot, gradient in enumerate(received) if gradient is not None]
    gradients = [received[slot] for slot in slots]
    if not slots:
        # A pass has to start with a gradient, so this one is taken away before the node runs.
        handles.append(node.register_prehook(lambda gradients: (None,) * len(gradients)))
        (expected, *_) = next(iter(input_metadata([node])))
        slots = [0]
        gradients = [torch.zeros(expected.shape, dtype=expected.dtype, device=expected.device)]
    edges = [torch.autograd.graph.GradientEdge(node, slot) for slot in slots]
    try:
        plain_engine_entry()(
            tuple(edges),
            tuple(gradients),
            True,  # retain_graph
            torch.is_grad_enabled(),  # create_graph
            (),
            allow_unreachable=True,
            accumulate_grad=True,
        )
    except _StoppedError:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return list(returned[0])


class _StoppedError(Exception):
    """Ends the pass of `_run_in_engine`; nobody else sees it."""


class _Stop:
    def __init__(self, returned: list[Any]) -> None:
        self._returned = returned

    def __call__(self, grad_inputs: Any, grad_outputs: Any) -> None:
        del grad_outputs
        self._returned.append(grad_inputs)
        raise _StoppedError
