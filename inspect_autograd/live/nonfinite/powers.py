"""Powers: `x ** e` has no finite derivative at `x = 0` where `e < 1`."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from .scene import Check, Scene
from .singular import Singular, check_points

__all__ = ["RULES"]

AT_ZERO = "the derivative of x ** e at x = 0 is infinite where e < 1: it is e·x ** (e - 1)"
NEGATIVE = "x ** e is not defined where x < 0 and e is no integer"
NEGATIVE_BASE = "x ** e has no derivative in e where x < 0: that is a logarithm of x"


def _is_zero_base(scene: Scene) -> torch.Tensor:
    # Where e is 1 or more, the gradient there is finite, so it is not among the bad elements.
    return scene.saved["self"] == 0


def _is_negative_with_scalar_exponent(scene: Scene) -> torch.Tensor:
    saved = scene.saved["self"]
    if float(scene.attributes["exponent"]).is_integer():
        return torch.zeros_like(saved, dtype=torch.bool)
    return saved < 0


def _is_zero(scene: Scene) -> torch.Tensor:
    return (scene.saved["self"] == 0) & (scene.saved["exponent"] < 1)


def _is_negative(scene: Scene) -> torch.Tensor:
    return (scene.saved["self"] < 0) & (scene.saved["exponent"].frac() != 0)


def _is_negative_base(scene: Scene) -> torch.Tensor:
    base = scene.saved["self"] < 0
    wants_exponent = len(scene.returned) > 1 and scene.returned[1] is not None
    return base if wants_exponent else torch.zeros_like(base)


def _is_zero_scalar_base(scene: Scene) -> torch.Tensor:
    exponent = scene.saved["exponent"]
    if scene.attributes["self"] != 0:
        return torch.zeros_like(exponent, dtype=torch.bool)
    return exponent < 0


RULES: Mapping[str, Check] = {
    "PowBackward0": check_points(
        [
            Singular("pow-at-zero", "self", "0", AT_ZERO, _is_zero_base),
            Singular(
                "outside-domain", "self", "negative", NEGATIVE, _is_negative_with_scalar_exponent
            ),
        ]
    ),
    "PowBackward1": check_points(
        [
            Singular("pow-at-zero", "self", "0", AT_ZERO, _is_zero),
            Singular("outside-domain", "self", "negative", NEGATIVE, _is_negative),
            Singular("outside-domain", "self", "negative", NEGATIVE_BASE, _is_negative_base),
        ]
    ),
    "PowBackward2": check_points(
        [
            Singular(
                "pow-at-zero",
                "exponent",
                "negative",
                "0 ** e is infinite where e < 0",
                _is_zero_scalar_base,
            ),
        ]
    ),
}
