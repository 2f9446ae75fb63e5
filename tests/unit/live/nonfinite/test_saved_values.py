"""NaN or Inf that the forward pass made, and that a node had saved."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from tests.unit.live.nonfinite.births import f32, first_birth

NAN, INF = math.nan, math.inf


def test_a_factor_that_is_infinite() -> None:
    seen = first_birth((f32(1, 2, 3) * torch.tensor([1, INF, 1])).sum())
    assert (seen.node, seen.rule) == ("MulBackward0", "saved-nonfinite")
    assert "The saved `other` holds Inf already (1 of 3 elements, the first at [1])" in seen.text
    assert "before this operation" in seen.text
    assert seen.values["other"] == "f32[3], 1 of 3 is Inf, first at [1]"


def test_a_factor_that_is_infinite_behind_a_mask() -> None:
    product = f32(1, 2) * torch.tensor([INF, 1])
    seen = first_birth(torch.where(torch.tensor([False, True]), product, torch.zeros(2)).sum())
    assert seen.rule == "saved-nonfinite"
    assert "0 · Inf is NaN" in seen.text


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_an_activation_saves_its_result(name: str) -> None:
    seen = first_birth(getattr(f32(0, NAN), name)().sum())
    assert seen.rule == "saved-nonfinite"
    assert "The saved `result` holds NaN already (1 of 2 elements, the first at [1])" in seen.text
    assert "in this operation or before it" in seen.text


@pytest.mark.parametrize("function", [F.gelu, F.silu, F.mish])
def test_an_activation_saves_its_input(function: object) -> None:
    assert callable(function)
    seen = first_birth(function(f32(0, NAN, INF)).sum())
    assert seen.rule == "saved-nonfinite"
    assert "`self` holds NaN and Inf already (2 of 3 elements, the first at [1])" in seen.text


def test_the_square_root_of_a_negative_number() -> None:
    seen = first_birth(f32(4, -1).sqrt().sum())
    assert (seen.node, seen.rule) == ("SqrtBackward0", "saved-nonfinite")
    assert "the square root of a negative number is NaN" in seen.text


def test_a_loss() -> None:
    seen = first_birth(F.mse_loss(f32(NAN, 1), torch.zeros(2)))
    assert (seen.node, seen.rule) == ("MseLossBackward0", "saved-nonfinite")


def test_attention_scores_that_overflow() -> None:
    x = torch.full((1, 1, 2, 2), 1e20, requires_grad=True)
    seen = first_birth(F.scaled_dot_product_attention(x, x, x).sum())
    assert seen.rule == "saved-nonfinite"
    assert "logsumexp" in seen.text or "output" in seen.text


def test_an_input_is_named_before_the_result_that_it_spoiled() -> None:
    seen = first_birth(torch.special.log_ndtr(f32(-INF, 1)).sum())
    assert "The saved `self` holds Inf already" in seen.text


def test_infinity_elsewhere_in_a_saved_tensor_is_not_the_cause() -> None:
    # A division by Inf has the gradient 0, so only the other element is bad: 1e30 / 1e-30.
    quotient = f32(1, 1) / torch.tensor([INF, 1e-30])
    seen = first_birth(quotient.sum() * 1e30)
    assert (seen.node, seen.rule) == ("DivBackward0", "overflow")


def test_numbers_that_are_no_floats_are_left_out() -> None:
    x = f32(3e38, 1)
    seen = first_birth((x[torch.tensor([1, 1])] * torch.tensor([3e38, 3e38])).sum())
    assert (seen.node, seen.rule) == ("IndexBackward0", "overflow")
