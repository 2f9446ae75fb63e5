"""diagnose: everything wrong with a program that can be known before it fails."""

from __future__ import annotations

from typing import Any

from ...diagnosis.diagnose_program import diagnose_program
from ...diagnosis.report import Report
from ...errors import ArgumentError
from ..private_torch import not_compiled, unobserved
from .arguments import check_model, check_recording, find_losses, find_optimizers
from .collect import Program, collect
from .predict import predict

__all__ = ["diagnose"]


@not_compiled
def diagnose(
    loss: Any = None,
    model: Any = None,
    optimizer: Any = None,
    *,
    params: Any = None,
    recording: Any = None,
) -> Report:
    """Say what is wrong with a loss, a model and an optimizer, as far as it can be known now.

    Each thing that is wrong is one Diagnosis: why `backward()` would fail, parameters without a
    path to the loss or that the optimizer does not hold, tensors that only look like parameters,
    NaN and Inf, odd types and devices. What is fine but good to know, such as tied parameters, is
    in `Report.facts`. The more is given, the more can be said; each argument may be left out.

    Nothing of the program changes, and none of its code is run. Values are looked at with one
    reduction over all parameters and one over all gradients, and one transfer from each device.

    Args:
        loss: The tensor that `backward()` is to be called on, or several in a list.
        model: The module whose parameters are looked at.
        optimizer: The optimizer, or all of them in a list.
        params: More tensors by name, as for `capture`, that are to be trained.
        recording: What `record` saw of the program; then lines are known.

    Returns:
        The report; `report.diagnoses` is empty where nothing is wrong.

    Raises:
        ArgumentError: Nothing was given.
        ArgumentTypeError: An argument is of the wrong kind.

    Example:
        >>> import torch, inspect_autograd as ia
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
        >>> report = ia.diagnose(model[1](torch.ones(1, 2)).sum(), model)
        >>> print(report.diagnoses[0].summary)
        2 of 4 trainable parameters have no path to the loss: 0 (2 parameters).
    """
    losses, optimizers = find_losses(loss), find_optimizers(optimizer)
    module, seen = check_model(model), check_recording(recording)
    if not losses and module is None and not optimizers and params is None:
        raise ArgumentError(
            "nothing was given to diagnose",
            remedy="Give what there is of it: diagnose(loss, model, optimizer).",
        )
    with unobserved():
        program = Program.of(losses, module, optimizers, params, seen)
        return diagnose_program(collect(program), predict(program) if losses else ())
