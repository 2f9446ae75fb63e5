"""Normalisations of rows without variance, and of weights without length."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.unit.live.nonfinite.births import births, first_birth


def test_a_layer_norm_of_a_constant_row_without_eps() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 3.0]], requires_grad=True)
    seen = first_birth(F.layer_norm(x, (2,), eps=0.0)[:, 0].sum())
    assert (seen.node, seen.rule) == ("NativeLayerNormBackward0", "normalization-of-constant")
    assert "1 of 2 elements, the first at [1, 0]" in seen.text
    assert "1 of 2 is Inf, first at [1, 0]" in seen.values["result2"]


def test_with_eps_it_is_finite() -> None:
    x = torch.full((2, 2), 3.0, requires_grad=True)
    assert births(F.layer_norm(x, (2,), eps=1e-5)[:, 0].sum()) == []


def test_a_group_norm_of_a_constant_group_without_eps() -> None:
    x = torch.zeros(2, 2, requires_grad=True)
    seen = first_birth(F.group_norm(x, 1, eps=0.0)[0].sum())
    assert (seen.node, seen.rule) == ("NativeGroupNormBackward0", "normalization-of-constant")
    assert seen.values["eps"] == "0.0"


def test_a_batch_norm_in_evaluation_with_a_running_variance_of_zero() -> None:
    x = torch.zeros(2, 3, requires_grad=True)
    variance = torch.tensor([1.0, 0.0, 1.0])
    out = F.batch_norm(x, torch.zeros(3), variance, training=False, eps=0.0)
    seen = first_birth(out.sum())
    assert (seen.node, seen.rule) == ("NativeBatchNormBackward0", "normalization-of-constant")
    assert "1 of 3 elements, the first at [1]" in seen.text
    assert seen.values["running_var"] == "f32[3], 1 of 3 is 0, first at [1], from 0 to 1"


def test_a_batch_norm_whose_eps_is_large_enough_is_not_blamed() -> None:
    x = torch.zeros(2, 3, requires_grad=True)
    out = F.batch_norm(x, torch.zeros(3), torch.zeros(3), training=False, eps=1e-10)
    seen = first_birth((out * 3e38).sum())  # 3e38 · 1e5
    assert (seen.node, seen.rule) == ("NativeBatchNormBackward0", "")


def test_large_inputs_of_a_layer_norm_overflow_in_the_forward_pass() -> None:
    x = torch.tensor([[1e30, 0.0]], requires_grad=True)
    seen = first_birth(F.layer_norm(x, (2,))[0].sum())
    assert seen.rule == "saved-nonfinite"
    assert "the squares of large inputs overflow" in seen.text


def test_a_weight_of_zeros() -> None:
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 3))
    with torch.no_grad():
        layer.parametrizations.weight.original1[1].zero_()
    found = births(layer(torch.ones(1, 2)).sum())
    assert [(seen.node, seen.rule) for seen in found] == [
        ("WeightNormInterfaceBackward0", "norm-at-zero")
    ]
    assert "1 of 3 elements, the first at [1, 0]" in found[0].text


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 3, float("inf")])
def test_norms_themselves_have_a_finite_gradient_at_zero(p: float) -> None:
    # torch gives them a subgradient, so there is no rule for them.
    x = torch.zeros(2, 2, requires_grad=True)
    assert births(torch.linalg.vector_norm(x, p)) == []
    assert births(torch.cdist(x, x.detach() * 1, p=p).sum()) == []
