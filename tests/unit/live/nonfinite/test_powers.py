"""Powers at 0 and of negative numbers."""

from __future__ import annotations

import pytest
import torch

from tests.unit.live.nonfinite.births import births, f32, first_birth


@pytest.mark.parametrize("exponent", [0.5, -1, -2.5, 0.1])
def test_a_fixed_exponent_below_one_at_zero(exponent: float) -> None:
    seen = first_birth((f32(1, 0) ** exponent).sum())
    assert (seen.node, seen.rule) == (
        ("ReciprocalBackward0", "division-by-zero")
        if exponent == -1 and seen.node.startswith("Reciprocal")
        else ("PowBackward0", "pow-at-zero")
    )
    assert "1 of 2 elements, the first at [1]" in seen.text


@pytest.mark.parametrize("exponent", [1, 1.5, 2, 0])
def test_other_exponents_are_finite_at_zero(exponent: float) -> None:
    assert births((f32(1, 0) ** exponent).sum()) == []


def test_the_exponent_is_among_the_values() -> None:
    seen = first_birth((f32(1, 0) ** 0.25).sum())
    assert seen.values["exponent"] == "0.25"
    assert seen.values["self"] == "f32[2], 1 of 2 is 0, first at [1], from 0 to 1"


def test_a_fixed_exponent_behind_a_mask() -> None:
    x = f32(1, 0)
    seen = first_birth(torch.where(x > 0, x**0.5, torch.zeros(2)).sum())
    assert seen.rule == "zero-times-inf"
    assert "x ** e at x = 0" in seen.text


def test_a_negative_number_with_a_fractional_exponent() -> None:
    seen = first_birth((f32(1, -1) ** 0.5).sum())
    assert seen.rule == "outside-domain"
    assert seen.values["self"] == "f32[2], 1 of 2 is negative, first at [1], from -1 to 1"


def test_an_exponent_per_element() -> None:
    # At [0] the exponent is 2, whose derivative at 0 is 0; at [1] it is 0.5.
    seen = first_birth((f32(0, 0, 4) ** f32(2, 0.5, 2)).sum())
    assert (seen.node, seen.rule) == ("PowBackward1", "pow-at-zero")
    assert "1 of 3 elements, the first at [1]" in seen.text


def test_an_exponent_of_zero_is_finite_at_zero() -> None:
    seen = first_birth((f32(0, 0) ** f32(0, 0.5)).sum())
    assert "1 of 2 elements, the first at [1]" in seen.text


def test_a_negative_number_with_a_whole_exponent_may_overflow() -> None:
    seen = first_birth((f32(-1e30) ** 3).sum())
    assert (seen.node, seen.rule) == ("PowBackward0", "overflow")
    assert "3e+60" in seen.text


def test_a_negative_base_has_no_derivative_in_the_exponent() -> None:
    # (-2) ** 2 is 4 and its derivative in x finite; in e it is 4·log(-2).
    seen = first_birth((f32(-2) ** f32(2)).sum())
    assert seen.rule == "outside-domain"
    assert "logarithm" in seen.text


def test_a_negative_base_to_a_fractional_exponent() -> None:
    seen = first_birth((f32(-2) ** torch.tensor([0.5])).sum())
    assert seen.rule == "outside-domain"
    assert "no integer" in seen.text


def test_zero_to_a_negative_power() -> None:
    seen = first_birth((0.0 ** f32(2, -1)).sum())
    assert (seen.node, seen.rule) == ("PowBackward2", "pow-at-zero")
    assert "1 of 2 elements, the first at [1]" in seen.text


def test_another_number_to_a_power_is_not_blamed_on_zero() -> None:
    seen = first_birth((10.0 ** f32(39)).sum())
    assert (seen.node, seen.rule) == ("PowBackward2", "saved-nonfinite")
