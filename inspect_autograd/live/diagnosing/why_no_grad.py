"""why_no_grad: for every parameter without a gradient the one reason why."""

from __future__ import annotations

from typing import Any

import torch

from ...diagnosis.find_why_no_grad import find_why_no_grad
from ...diagnosis.why_no_grad import WhyNoGrad
from ..private_torch import not_compiled, unobserved
from .arguments import check_recording, find_losses
from .collect import Program, collect

__all__ = ["why_no_grad"]


@not_compiled
def why_no_grad(loss: Any, model: Any, *, recording: Any = None) -> WhyNoGrad:
    """Say of every parameter without a gradient why it has none: exactly one reason each.

    Works before and after `backward()`. The graph of the loss tells which parameters it reaches.
    Why it does not reach one (its module was not called, its output went elsewhere, a line cut
    the path) leaves no mark on tensors; a recording of the step knows it.

    Args:
        loss: The tensor that `backward()` was, or is to be, called on; or several in a list.
        model: A module, or tensors by name, as the `params` of `capture`.
        recording: What `record` saw of the step that computed the loss.

    Returns:
        The reasons, worst first; `print` shows them.

    Raises:
        ArgumentTypeError: An argument is of the wrong kind.

    Example:
        >>> import torch, inspect_autograd as ia
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
        >>> loss = model[1](torch.ones(1, 2)).sum()
        >>> ia.why_no_grad(loss, model).counts
        {'not in the graph': 2, 'backward not run': 2}
    """
    losses, seen = find_losses(loss), check_recording(recording)
    module = model if isinstance(model, torch.nn.Module) else None
    with unobserved():
        params = None if module is not None else model
        return find_why_no_grad(collect(Program.of(losses, module, [], params, seen)))
