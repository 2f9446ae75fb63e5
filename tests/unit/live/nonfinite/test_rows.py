"""Rows: softmax and logsumexp with nothing left, standard deviations of one element."""

from __future__ import annotations

import math

import pytest
import torch

from tests.unit.live.nonfinite.births import births, f32, first_birth

LOW = -math.inf


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dim", [1, -1])
def test_a_row_that_was_masked_as_a_whole(name: str, dim: int) -> None:
    scores = torch.zeros(3, 2, requires_grad=True)
    mask = torch.tensor([[False, True], [True, True], [False, False]])
    weights = getattr(scores.masked_fill(mask, LOW), name)(dim)
    seen = first_birth(weights[:, 0].sum())
    assert seen.rule == "softmax-all-masked"
    assert "was masked with -Inf before the softmax (1 of 3 rows, the first at [1])" in seen.text


def test_a_mask_that_was_added_cannot_be_seen_so_it_is_one_of_several_ways() -> None:
    scores = torch.zeros(2, 2, requires_grad=True)
    weights = (scores + torch.tensor([[0, LOW], [LOW, LOW]])).softmax(-1)
    seen = first_birth(weights.sum())
    assert seen.rule == "softmax-all-masked"
    assert "NaN in whole rows (1 of 2 rows, the first at [1])" in seen.text
    assert "or held NaN" in seen.text


def test_a_mask_that_left_something_is_not_blamed() -> None:
    scores = f32(math.nan, 0)
    weights = scores.masked_fill(torch.tensor([False, True]), LOW).softmax(0)
    assert "or held NaN" in first_birth(weights.sum()).text


def test_a_negative_dimension_of_three() -> None:
    scores = torch.zeros(2, 3, 4, requires_grad=True)
    mask = torch.zeros(2, 3, 4, dtype=torch.bool)
    mask[1, :, 2] = True
    seen = first_birth(scores.masked_fill(mask, LOW).softmax(-2).sum())
    assert "(1 of 8 rows, the first at [1, 2])" in seen.text
    x = torch.full((2, 3, 4), LOW)
    x[:, 0] = 0
    x[1, 0, 2] = LOW
    seen = first_birth(x.requires_grad_().logsumexp(-2).sum())
    assert "(1 of 8 rows, the first at [1, 2])" in seen.text


def test_softmax_over_the_first_dimension() -> None:
    scores = torch.zeros(2, 3, requires_grad=True)
    mask = torch.tensor([[False, True, False], [False, True, True]])
    seen = first_birth(scores.masked_fill(mask, LOW).softmax(0).sum())
    assert "(1 of 3 rows, the first at [1])" in seen.text


@pytest.mark.parametrize(("dim", "rows"), [(1, "1 of 2 rows"), (-1, "1 of 2 rows")])
def test_logsumexp_of_a_row_without_a_finite_entry(dim: int, rows: str) -> None:
    x = torch.tensor([[0, LOW], [LOW, LOW]], requires_grad=True)
    seen = first_birth(x.logsumexp(dim).sum())
    assert (seen.node, seen.rule) == ("LogsumexpBackward0", "logsumexp-all-masked")
    assert f"Every entry of a row is -Inf ({rows}, the first at [1])" in seen.text
    assert seen.values["self"].startswith("f32[2, 2], 3 of 4 are -Inf, first at [0, 1]")


def test_logsumexp_over_all_dimensions() -> None:
    x = torch.full((2, 2), LOW, requires_grad=True)
    seen = first_birth(x.logsumexp((0, 1)))
    assert seen.rule == "logsumexp-all-masked"
    assert "(its only row)" in seen.text


def test_logsumexp_of_infinity() -> None:
    seen = first_birth(f32(math.inf, 1).logsumexp(0))
    assert seen.rule == "saved-nonfinite"
    assert "Inf - Inf" in seen.text


def test_logcumsumexp_that_starts_with_nothing() -> None:
    seen = first_birth(f32(LOW, LOW, 1).logcumsumexp(0).sum())
    assert seen.rule == "logsumexp-all-masked"
    assert "2 of 3 elements, the first at [0]" in seen.text


@pytest.mark.parametrize("name", ["std", "var"])
def test_a_deviation_of_one_element(name: str) -> None:
    with pytest.warns(UserWarning, match="degrees of freedom"):
        seen = first_birth(getattr(f32(3), name)())
    assert seen.rule == "variance-of-too-few"
    assert "The variance of 1 element with correction=1 divides by 1 - 1" in seen.text


@pytest.mark.parametrize("name", ["std_mean", "var_mean"])
def test_a_deviation_of_rows_of_two_with_two_degrees_too_few(name: str) -> None:
    x = torch.ones(3, 2, requires_grad=True)
    with pytest.warns(UserWarning, match="degrees of freedom"):
        seen = first_birth(getattr(torch, name)(x, -1, correction=2)[0].sum())
    assert seen.rule == "variance-of-too-few"
    assert "of 2 elements with correction=2" in seen.text
    assert seen.values["correction"] == "2"


def test_a_deviation_of_equal_numbers_is_finite() -> None:
    assert births(f32(3, 3).std()) == []


def test_a_deviation_of_enough_elements_is_not_blamed_for_what_it_saved() -> None:
    assert first_birth(f32(math.inf, 3).std()).rule == "saved-nonfinite"
