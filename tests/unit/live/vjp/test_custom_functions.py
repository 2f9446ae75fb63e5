"""Custom Functions with mistakes: which node, which argument, which mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from inspect_autograd.events.vjp_report import VjpCheck
from inspect_autograd.live.vjp import check_vjp


def product_with(backward: Callable[..., Any]) -> Any:
    """A Function that computes x * y, with a backward of its own."""

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x, y)
            return x * y

        @staticmethod
        def backward(ctx: Any, grad: torch.Tensor) -> Any:
            x, y = ctx.saved_tensors
            return backward(grad, x, y)

    return Product


def check_product(
    backward: Callable[..., Any],
    x_shape: tuple[int, ...] = (3, 3),
    y_shape: tuple[int, ...] = (3, 3),
    dtype: torch.dtype = torch.float32,
) -> VjpCheck:
    """The check of one call, whose inputs are no leaves and are saved by nobody else."""
    torch.manual_seed(0)
    x = torch.randn(x_shape, dtype=dtype, requires_grad=True)
    y = torch.randn(y_shape, dtype=dtype, requires_grad=True)
    function = product_with(backward)
    report = check_vjp(lambda: function.apply(x + 0, y + 0), node="Product*")
    (check,) = report.checks
    # With the loss alone, the inputs are found among what the node saved.
    again = check_vjp(function.apply(x + 0, y + 0), node="Product*")
    assert [again.checks[0].status, again.checks[0].diagnosis] == [check.status, check.diagnosis]
    return check


def statuses(check: VjpCheck) -> dict[str, str]:
    return {argument.name: argument.status for argument in check.arguments}


def test_a_right_one() -> None:
    check = check_product(lambda g, x, y: (g * y, g * x))
    assert check.status == "right"
    assert statuses(check) == {"x": "right", "y": "right"}
    assert [argument.compared for argument in check.arguments] == [9, 9]
    assert [argument.left_out for argument in check.arguments] == [0, 0]
    assert (check.name, check.precision) == ("ProductBackward", "float64")
    assert [argument.position for argument in check.arguments] == [0, 1]


def test_the_place_is_that_of_the_backward() -> None:
    check = check_product(lambda g, x, y: (g * y, g * x))
    file, _, line = check.place.rpartition(":")
    assert file == __file__
    with open(file, encoding="utf-8") as source:  # noqa: PTH123
        assert source.readlines()[int(line) - 1].strip().startswith("def backward(ctx")
    assert check.label == f"#0 ProductBackward (test_custom_functions.py:{line})"


REFUSED = "arguments of forward (x, y), which autograd refuses"
MISTAKES: dict[str, tuple[Callable[..., Any], str]] = {
    "swapped": (
        lambda g, x, y: (g * x, g * y),
        "the gradients of arguments x and y are swapped",
    ),
    "one in place of the other": (
        lambda g, x, y: (g * y, g * y),
        "what is returned for y is the gradient of x",
    ),
    "sign": (
        lambda g, x, y: (-g * y, g * x),
        "the gradient of argument x has the wrong sign",
    ),
    "factor": (
        lambda g, x, y: (g * y, g * x / 4),
        "the gradient of argument y is off by the factor 0.25",
    ),
    "both": (
        lambda g, x, y: (2 * g * y, -g * x),
        (
            "the gradient of argument x is off by the factor 2; "
            "the gradient of argument y has the wrong sign"
        ),
    ),
    "None": (
        lambda g, x, y: (g * y, None),
        "the gradient of argument y is None, but should not be",
    ),
    "zero": (
        lambda g, x, y: (g * y, torch.zeros_like(y)),
        "the gradient of argument y is zero, but should not be",
    ),
    "NaN": (
        lambda g, x, y: (g * y / 0 * 0, g * x),
        "the gradient of argument x is not finite, but should be",
    ),
    "forgets what was received": (
        lambda g, x, y: (y, g * x),
        "the gradient of argument x does not depend on what was received, as if it had been ones",
    ),
    "transposed": (
        lambda g, x, y: ((g * y).t(), g * x),
        "the gradient of argument x is transposed",
    ),
    "elsewhere": (
        lambda g, x, y: (g * y * (torch.arange(9).reshape(3, 3) != 5), g * x),
        "the gradient of argument x is wrong at 1 of 9 elements",
    ),
    "all over": (
        lambda g, x, y: (g * y.exp(), g * x),
        "the gradient of argument x is wrong",
    ),
    "not a tensor": (
        lambda g, x, y: (0.5, g * x),
        "the gradient of argument x is of type float instead of a tensor",
    ),
    "too few": (
        lambda g, x, y: g * y,
        f"its backward returns 1 value for the 2 {REFUSED}",
    ),
    "too many": (
        lambda g, x, y: (g * y, g * x, g),
        f"its backward returns 3 values for the 2 {REFUSED}",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_named(mistake: str) -> None:
    backward, diagnosis = MISTAKES[mistake]
    check = check_product(backward)
    assert (check.status, check.diagnosis) == ("wrong", diagnosis)


def test_none_at_the_end_is_cut_off_as_the_engine_does() -> None:
    assert check_product(lambda g, x, y: (g * y, g * x, None, None)).status == "right"


def test_the_largest_error_and_where_it_is() -> None:
    def backward(g: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> Any:
        change = torch.zeros(3, 3)
        change[1, 2] = 5.0
        return g * y + change, g * x

    check = check_product(backward)
    wrong = check.arguments[0]
    assert wrong.max_abs_error == pytest.approx(5, rel=1e-4)
    assert [example.index for example in wrong.examples] == [(1, 2)]
    example = wrong.examples[0]
    assert isinstance(example.got, float)
    assert isinstance(example.expected, float)
    assert example.got - example.expected == pytest.approx(5, rel=1e-4)


def test_a_sum_that_the_engine_adds_is_only_a_note() -> None:
    check = check_product(lambda g, x, y: (g * y, g * x), (3, 4), (4,))
    assert check.status == "right"
    (note,) = check.notes
    assert note == (
        "it returns shape [3, 4] for y, whose shape is [4]; autograd silently sums over dimension 0"
    )
    check = check_product(lambda g, x, y: (g * y, g * x), (2, 3, 4), (3, 1))
    assert [note.rpartition("sums over ")[2] for note in check.notes] == ["dimensions 0, 2"]


def test_a_mean_in_place_of_the_sum_is_off_by_a_factor() -> None:
    check = check_product(lambda g, x, y: (g * y, (g * x).mean(0)), (4, 3), (3,))
    assert check.diagnosis == "the gradient of argument y is off by the factor 0.25"
    assert check.notes == ()


def test_swapped_gradients_of_different_shapes() -> None:
    # The engine sums what x's gradient has too much, and would refuse [3] for [2, 3].
    check = check_product(lambda g, x, y: ((g * x).sum(0), g * y), (2, 3), (3,))
    assert check.diagnosis == "the gradients of arguments x and y are swapped"
    assert check.arguments[0].diagnosis == (
        "has shape [3] instead of [2, 3], which autograd refuses: it was not expanded back"
    )


def test_a_shape_that_the_engine_refuses() -> None:
    check = check_product(lambda g, x, y: ((g * y).t(), g * x), (2, 3), (2, 3))
    assert check.diagnosis == (
        "the gradient of argument x has shape [3, 2] instead of [2, 3], which autograd refuses: "
        "it is transposed"
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128, torch.complex64])
def test_other_dtypes(dtype: torch.dtype) -> None:
    right = check_product(lambda g, x, y: (g * y.conj(), g * x.conj()), dtype=dtype)
    assert right.status == "right"
    if dtype.is_complex:
        # For real v: v · conj(y) and v · y are conjugates, but not for the complex v in use.
        wrong = check_product(lambda g, x, y: ((g.conj() * y), g * x.conj()), dtype=dtype)
        assert wrong.diagnosis == (
            "the gradient of argument x is the complex conjugate of what it should be"
        )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_repeated_in_double(dtype: torch.dtype) -> None:
    check = check_product(lambda g, x, y: (g * y, g * x), dtype=dtype)
    assert (check.status, check.precision) == ("right", "float64")
    check = check_product(lambda g, x, y: (g * y, 1.5 * g * x), dtype=dtype)
    assert check.arguments[0].status == "right"
    assert check.arguments[1].diagnosis.startswith("is off by the factor 1.5")
