"""Loss functions whose weights add up to 0, or whose target is impossible."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from tests.unit.live.nonfinite.births import births, first_birth


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 2, 2)])
def test_targets_whose_class_weight_is_zero(shape: tuple[int, ...]) -> None:
    scores = torch.zeros(shape, requires_grad=True)
    targets = torch.zeros((shape[0], *shape[2:]), dtype=torch.long)
    weight = torch.tensor([0.0, 1.0, 1.0])
    seen = first_birth(F.cross_entropy(scores, targets, weight=weight))
    assert seen.node.startswith("NllLoss")
    assert seen.rule == "no-target-weight"
    assert seen.values["total_weight"] == "f32[] = 0"


def test_targets_that_are_all_ignored_are_finite() -> None:
    scores = torch.zeros(2, 3, requires_grad=True)
    assert births(F.cross_entropy(scores, torch.tensor([-100, -100]))) == []


def test_ctc_with_a_target_longer_than_its_input() -> None:
    # Three equal letters need a blank between them: five steps, but there are two.
    scores = torch.zeros(2, 1, 3, requires_grad=True)
    arguments = (torch.tensor([[1, 1, 1]]), torch.tensor([2]), torch.tensor([3]))
    seen = first_birth(F.ctc_loss(scores.log_softmax(-1), *arguments))
    assert (seen.node, seen.rule) == ("CtcLossBackward0", "ctc-impossible")
    assert seen.values["result0"] == "f32[1], 1 of 1 is Inf, first at [0]"
    loss = F.ctc_loss(scores.log_softmax(-1), *arguments, zero_infinity=True)
    assert births(loss) == []


def test_an_infinite_weight_is_not_a_missing_one() -> None:
    scores = torch.zeros(2, 3, requires_grad=True)
    weight = torch.tensor([math.inf, 1.0, 1.0])
    seen = first_birth(F.cross_entropy(scores, torch.tensor([0, 1]), weight=weight))
    assert seen.node == "NllLossBackward0"
    assert seen.rule == "saved-nonfinite"


def test_ctc_of_probabilities_that_are_nan_is_not_impossible() -> None:
    scores = torch.full((3, 1, 3), math.nan, requires_grad=True)
    loss = F.ctc_loss(scores, torch.tensor([[1]]), torch.tensor([3]), torch.tensor([1]))
    seen = first_birth(loss)
    assert (seen.node, seen.rule) == ("CtcLossBackward0", "saved-nonfinite")
