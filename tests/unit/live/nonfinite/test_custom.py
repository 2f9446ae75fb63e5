"""Custom Functions, compiled graphs: whose code it is."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from tests.unit.live.nonfinite.births import f32, first_birth


class Broken(torch.autograd.Function):
    """Its backward makes NaN by itself."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x * 2

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0] * math.nan


class OnceBroken(Broken):
    """The same, behind a decorator."""

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0] * math.nan


class Inherits(Broken):
    """Its backward stands in the base class."""


def result_of(function: Any, x: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = function.apply(x)
    return result


@pytest.mark.parametrize("function", [Broken, OnceBroken, Inherits])
def test_the_class_and_the_place_of_its_backward(function: type[Broken]) -> None:
    seen = first_birth(result_of(function, f32(1, 2)).sum())
    assert seen.node == f"{function.__name__}Backward"
    assert seen.rule == "custom-function"
    owner: Any = Broken if function is Inherits else function
    code = getattr(owner.backward, "__wrapped__", owner.backward).__code__
    line = code.co_firstlineno
    assert f"`{function.__name__}` (test_custom.py:{line})" in seen.text
    assert seen.values["backward"] == f"{__file__}:{line}"
    assert seen.values["saved_tensors[0]"] == "f32[2], from 1 to 2"


def test_a_saved_tensor_that_is_not_finite_comes_first() -> None:
    seen = first_birth(result_of(Broken, f32(1, math.inf)).sum())
    assert seen.rule == "saved-nonfinite"
    assert "`saved_tensors[0]` holds Inf" in seen.text


def test_what_ctx_carries_is_not_looked_at() -> None:
    class Watched:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"{name} was read")

    class Carries(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.watched = Watched()
            return x * 2

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            return grads[0] * math.nan

    assert first_birth(result_of(Carries, f32(1)).sum()).rule == "custom-function"
