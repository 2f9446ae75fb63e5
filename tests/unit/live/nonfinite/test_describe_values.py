"""What is said of a tensor in a few words."""

from __future__ import annotations

import math

import pytest
import torch

from inspect_autograd.live.nonfinite.describe_values import (
    count_where,
    describe_tensor,
    first_index,
    format_number,
    where_text,
)

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([1.0, 2.0], "f32[2], from 1 to 2"),
        ([2.0, 2.0], "f32[2], all 2"),
        ([0.0, -0.0], "f32[2], 2 of 2 are 0, first at [0]"),
        ([1.0, 0.0, 0.0], "f32[3], 2 of 3 are 0, first at [1], from 0 to 1"),
        ([-1.0, -0.0], "f32[2], 1 of 2 is 0, first at [1], from -1 to 0"),
        ([1.0, NAN], "f32[2], 1 of 2 is NaN, first at [1]"),
        (
            [INF, -INF, NAN, 0.0],
            (
                "f32[4], 1 of 4 is NaN, first at [2], 1 of 4 is Inf, first at [0], "
                "1 of 4 is -Inf, first at [1], 1 of 4 is 0, first at [3]"
            ),
        ),
        ([], "f32[0], empty"),
        ([[1.0], [0.0]], "f32[2, 1], 1 of 2 is 0, first at [1, 0], from 0 to 1"),
    ],
)
def test_floats(numbers: list[float], text: str) -> None:
    assert describe_tensor(torch.tensor(numbers)) == text


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (torch.tensor(0.0), "f32[] = 0"),
        (torch.tensor(-INF), "f32[] = -Inf"),
        (torch.tensor(NAN), "f32[] = NaN"),
        (torch.tensor(3), "i64[] = 3"),
        (torch.tensor([3, 5]), "i64[2], from 3 to 5"),
        (torch.tensor([True, False]), "b8[2], 1 of 2 is True, first at [0]"),
        (torch.tensor(True), "b8[] = True"),
        (torch.tensor([0j, 1 + 1j]), "c64[2], 1 of 2 is 0, first at [0]"),
        (torch.tensor([complex(0, INF)]), "c64[1], 1 of 1 is Inf, first at [0]"),
        (torch.tensor([2.0**100, 1.0], dtype=torch.bfloat16), "bf16[2], from 1 to 1.26765e+30"),
    ],
)
def test_other_tensors(tensor: torch.Tensor, text: str) -> None:
    assert describe_tensor(tensor) == text


def test_other_elements_can_be_pointed_out() -> None:
    tensor = torch.tensor([1.0, -1.0, 2.0])
    text = describe_tensor(tensor, tensor == -1, "-1")
    assert text == "f32[3], 1 of 3 is -1, first at [1], from -1 to 2"
    zero = torch.tensor([0.0, 1.0])
    assert describe_tensor(zero, zero == 0, "0") == describe_tensor(zero)


def test_the_first_of_several_in_a_tensor_that_is_not_contiguous() -> None:
    mask = torch.zeros(3, 4, dtype=torch.bool)
    mask[1, 3] = mask[2, 0] = True
    assert first_index(mask) == (1, 3)
    # In the transposed one, [0, 2] comes before [3, 1].
    assert first_index(mask.T) == (0, 2)
    assert count_where(mask) == 2
    assert where_text(mask.T) == "2 of 12 elements, the first at [0, 2]"


def test_an_expanded_mask() -> None:
    assert first_index(torch.tensor([[False], [True]]).expand(2, 3)) == (1, 0)


def test_where_in_a_scalar() -> None:
    assert where_text(torch.tensor(True)) == "its only element"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1 / 3, "0.333333"),
        (65504.0, "65504"),
        (1e20, "1e+20"),
        (NAN, "NaN"),
        (INF, "Inf"),
        (7, "7"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert format_number(value) == text
