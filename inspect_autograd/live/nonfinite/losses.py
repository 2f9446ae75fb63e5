"""Loss functions that divide by a weight, or that give an impossible target an infinite loss."""

from __future__ import annotations

from collections.abc import Mapping

from .describe_values import describe_tensor, where_text
from .scene import Check, Finding, Scene

__all__ = ["RULES"]


def _check_total_weight(scene: Scene) -> Finding | None:
    total = scene.saved["total_weight"]
    if (total != 0).any():
        return None
    text = "The weights of all targets add up to 0, and reduction='mean' divides by their sum: 0/0."
    values = {"total_weight": describe_tensor(total)}
    return Finding("no-target-weight", text, values)


def _check_ctc(scene: Scene) -> Finding | None:
    loss = scene.saved["result0"]
    impossible = loss.isinf()
    if not impossible.any():
        return None
    text = (
        f"The loss is Inf ({where_text(impossible)}): the input is too short for its target, so "
        "no alignment exists, and the derivative is NaN."
    )
    return Finding("ctc-impossible", text, {"result0": describe_tensor(loss)})


RULES: Mapping[str, Check] = {
    "NllLossBackward0": _check_total_weight,
    "NllLoss2DBackward0": _check_total_weight,
    "CtcLossBackward0": _check_ctc,
    "CtcLossBackward1": _check_ctc,
    "CudnnCtcLossBackward0": _check_ctc,
}
