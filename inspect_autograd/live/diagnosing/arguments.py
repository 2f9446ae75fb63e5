"""Read the arguments of diagnose, why_no_grad and watch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from ...errors import ArgumentTypeError
from ...events.recording import Recording

__all__ = ["check_model", "check_recording", "find_losses", "find_optimizers"]


def check_model(model: Any) -> torch.nn.Module | None:
    """The model, or None.

    Raises:
        ArgumentTypeError: It is something else.
    """
    if model is None or isinstance(model, torch.nn.Module):
        return model
    raise ArgumentTypeError(
        f"model is of type {type(model).__name__}; expected a torch.nn.Module",
        remedy="Give the model itself; tensors with names go into params={...}.",
    )


def find_optimizers(optimizer: Any) -> list[Any]:
    """The optimizers: one, or several in a list, tuple or dict.

    Raises:
        ArgumentTypeError: Something else is among them.
    """
    if optimizer is None:
        return []
    given: Iterable[Any] = [optimizer]
    if isinstance(optimizer, Mapping):
        given = optimizer.values()
    elif isinstance(optimizer, list | tuple):
        given = optimizer
    found = list(given)
    for one in found:
        if not isinstance(getattr(one, "param_groups", None), list):
            raise ArgumentTypeError(
                f"optimizer is of type {type(one).__name__}; expected a torch.optim.Optimizer, or "
                "several of them in a list",
                remedy="Give the optimizer that was made of model.parameters().",
            )
    return found


def find_losses(loss: Any) -> list[torch.Tensor]:
    """The tensors to go back from: one, or those in a list, tuple or dict.

    Raises:
        ArgumentTypeError: There is something else.
    """
    if loss is None:
        return []
    given: Iterable[Any] = [loss]
    if isinstance(loss, Mapping):
        given = loss.values()
    elif isinstance(loss, list | tuple):
        given = loss
    found = list(given)
    for one in found:
        if not isinstance(one, torch.Tensor):
            raise ArgumentTypeError(
                f"loss is of type {type(one).__name__}; expected a tensor",
                remedy="Give the tensor that backward() is called on, before .item() or float().",
            )
    return found


def check_recording(recording: Any) -> Recording | None:
    """The recording, or None.

    Raises:
        ArgumentTypeError: It is something else.
    """
    if recording is None or isinstance(recording, Recording):
        return recording
    raise ArgumentTypeError(
        f"recording is of type {type(recording).__name__}; expected a Recording",
        remedy="Give what `with inspect_autograd.record(model) as recording:` gave.",
    )
