"""Normalisations: of a row without variance and without eps, of a weight of length 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from .describe_values import describe_tensor, where_text
from .scene import Check, Finding, Scene

__all__ = ["RULES"]

TEXT = (
    "A variance is 0 and eps is 0, or too small for the dtype, so that 1/sqrt(variance + eps) is "
    "Inf ({where})."
)


def _check_inverse_deviation(name: str) -> Check:
    """A rule for a node that saves 1/sqrt(variance + eps) under this name."""

    def check(scene: Scene) -> Finding | None:
        return _finding(name, scene.saved[name], scene.saved[name].isinf())

    return check


def _check_batch_norm(scene: Scene) -> Finding | None:
    if scene.attributes.get("training"):
        name = "result2"
        return _finding(name, scene.saved[name], scene.saved[name].isinf())
    name = "running_var"
    variance = scene.saved[name]
    inverse = (variance + float(scene.attributes["eps"])).rsqrt()
    return _finding(name, variance, inverse.isinf())


def _finding(name: str, saved: torch.Tensor, mask: torch.Tensor) -> Finding | None:
    if not mask.any():
        return None
    text = TEXT.format(where=where_text(mask))
    return Finding("normalization-of-constant", text, {name: describe_tensor(saved, mask, "0")})


def _check_norm(name: str, what: str) -> Callable[[Scene], Finding | None]:
    def check(scene: Scene) -> Finding | None:
        mask = scene.saved[name] == 0
        if not mask.any():
            return None
        text = f"{what} is 0 ({where_text(mask)}), and it is divided by its norm."
        return Finding("norm-at-zero", text, {name: describe_tensor(scene.saved[name])})

    return check


RULES: Mapping[str, Check] = {
    "NativeLayerNormBackward0": _check_inverse_deviation("result2"),
    "NativeGroupNormBackward0": _check_inverse_deviation("result2"),
    "FusedRmsNormBackward0": _check_inverse_deviation("result1"),
    "NativeBatchNormBackward0": _check_batch_norm,
    "CudnnBatchNormBackward0": _check_batch_norm,
    "MiopenBatchNormBackward0": _check_batch_norm,
    "WeightNormInterfaceBackward0": _check_norm("result1", "The norm of a weight"),
}
