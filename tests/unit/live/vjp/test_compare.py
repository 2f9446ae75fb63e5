"""What the engine makes of a returned gradient, and what is said of one that is wrong."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from inspect_autograd.live.vjp.compare import Tolerance, gather_returned
from inspect_autograd.live.vjp.diagnose import (
    Compared,
    find_exchanged,
    is_expandable,
    name_fault,
)

LIKE = torch.zeros(2, 3)


def rows(value: Any, like: torch.Tensor = LIKE) -> Any:
    gathered = gather_returned([value, value], like, "x")
    assert gathered.fault == ""
    assert gathered.rows is not None
    assert torch.equal(gathered.rows[0], gathered.rows[1])
    return gathered.rows[0].tolist()


def test_the_engine_leaves_it_as_it_is() -> None:
    assert rows(torch.arange(6.0).reshape(2, 3)) == [0, 1, 2, 3, 4, 5]
    # The dtype is cast.
    assert rows(torch.arange(6).reshape(2, 3).half()) == [0, 1, 2, 3, 4, 5]
    assert rows(torch.arange(6.0).reshape(2, 3).to_sparse()) == [0, 1, 2, 3, 4, 5]


def test_the_imaginary_part_is_dropped_for_a_real_input() -> None:
    assert rows(torch.full((2, 3), 2 + 5j)) == [2] * 6
    assert rows(torch.full((2, 3), 2 + 5j), LIKE.to(torch.complex64)) == [2 + 5j] * 6
    assert rows(torch.full((2, 3), 2.0), LIKE.to(torch.complex64)) == [2] * 6


@pytest.mark.parametrize(
    ("returned", "shape", "sums", "dimensions"),
    [
        ((4, 2, 3), (2, 3), 4, "dimension 0"),
        ((2, 3), (1, 3), 2, "dimension 0"),
        ((5, 2, 3), (2, 1), 15, "dimensions 0, 2"),
        ((2, 3), (), 6, "dimensions 0, 1"),
    ],
)
def test_the_engine_sums(
    returned: tuple[int, ...], shape: tuple[int, ...], sums: float, dimensions: str
) -> None:
    like = torch.zeros(shape)
    gathered = gather_returned([torch.ones(returned)] * 2, like, "x")
    assert gathered.rows is not None
    assert gathered.rows.tolist() == [[sums] * like.numel()] * 2
    assert gathered.note.endswith(f"autograd silently sums over {dimensions}")
    # The engine does so indeed.
    accumulated = torch.zeros(shape, requires_grad=True)

    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x * 1

        @staticmethod
        def backward(ctx: Any, grad: torch.Tensor) -> Any:
            return torch.ones(returned)

    Wrong.apply(accumulated).sum().backward()  # type: ignore[no-untyped-call]
    assert accumulated.grad is not None
    assert accumulated.grad.flatten().tolist() == [sums] * like.numel()


@pytest.mark.parametrize(
    ("returned", "end"),
    [
        ((3, 2), "autograd refuses: it is transposed"),
        ((3,), "autograd refuses: it was not expanded back"),
        ((4,), "autograd refuses"),
        ((2, 4), "autograd refuses"),
    ],
)
def test_the_engine_refuses(returned: tuple[int, ...], end: str) -> None:
    gathered = gather_returned([torch.ones(returned)] * 2, LIKE, "x")
    assert gathered.rows is None
    assert gathered.fault.endswith(end)
    assert gathered.fault.startswith(f"has shape {list(returned)} instead of [2, 3]")


def test_none_and_what_is_no_tensor() -> None:
    assert gather_returned([None, None], LIKE, "x").rows is None
    assert gather_returned([None, None], LIKE, "x").fault == ""
    one_of_them = gather_returned([None, torch.ones(2, 3)], LIKE, "x").rows
    assert one_of_them is not None
    assert one_of_them.sum(1).tolist() == [0, 6]
    assert gather_returned([3, 3], LIKE, "x").fault == "is of type int instead of a tensor"


def test_the_coarsest_dtype_decides() -> None:
    tolerance = Tolerance(None, None)
    assert tolerance.rtol_for([torch.float64]) == 1e-5
    assert tolerance.rtol_for([torch.float64, torch.float32, torch.int64]) == 1e-3
    assert tolerance.rtol_for([torch.complex64]) == 1e-3
    assert tolerance.rtol_for([torch.float16]) == 1e-2
    assert tolerance.rtol_for([torch.float32, torch.bfloat16]) == 5e-2
    assert Tolerance(0.25, None).rtol_for([torch.bfloat16]) == 0.25


def test_shapes_that_can_be_expanded() -> None:
    assert is_expandable(torch.Size([]), torch.Size([2, 3]))
    assert is_expandable(torch.Size([1, 3]), torch.Size([2, 3]))
    assert not is_expandable(torch.Size([2, 3]), torch.Size([3]))
    assert not is_expandable(torch.Size([2]), torch.Size([2, 3]))


def compared(got: Any, expected: Any, name: str = "x", known: Any = None) -> Compared:
    """Row 0 and 1 are for two vectors, row 2 of `expected` for ones."""
    wanted = torch.tensor(expected, dtype=torch.float64)
    found = None if got is None else torch.tensor(got, dtype=torch.float64)
    is_known = torch.tensor(known or [True] * wanted.shape[1])
    wrong = is_known if found is None else ((found - wanted[:2]).abs() > 1e-6).any(0) & is_known
    return Compared(
        name=name,
        shape=torch.Size([wanted.shape[1]]),
        got=found,
        raw=None if found is None else [*found],
        fault="",
        expected=wanted,
        tolerance=torch.full((wanted.shape[1],), 1e-6, dtype=torch.float64),
        known=is_known,
        wrong=wrong,
    )


EXPECTED = [[1.0, -2.0, 3.0], [2.0, 1.0, -1.0], [5.0, 6.0, 7.0]]


@pytest.mark.parametrize(
    ("got", "fault"),
    [
        (None, "is None, but should not be"),
        ([[0.0] * 3, [0.0] * 3], "is zero, but should not be"),
        ([[-1.0, 2.0, -3.0], [-2.0, -1.0, 1.0]], "has the wrong sign"),
        ([[3.0, -6.0, 9.0], [6.0, 3.0, -3.0]], "is off by the factor 3"),
        ([[-0.5, 1.0, -1.5], [-1.0, -0.5, 0.5]], "is off by the factor -0.5"),
        ([[1 / 3, -2 / 3, 1.0], [2 / 3, 1 / 3, -1 / 3]], "is off by the factor 0.333333"),
        (
            [[5.0, 6.0, 7.0], [5.0, 6.0, 7.0]],
            "does not depend on what was received, as if it had been ones",
        ),
        ([[1.0, -2.0, 4.0], [2.0, 1.0, -1.0]], "is wrong at 1 of 3 elements"),
        ([[2.0, 2.0, 4.0], [7.0, 8.0, 9.0]], "is wrong"),
        ([[float("nan"), -2.0, 3.0], [2.0, 1.0, -1.0]], "is not finite, but should be"),
        ([[float("inf"), -2.0, 3.0], [2.0, 1.0, -1.0]], "is not finite, but should be"),
    ],
)
def test_faults(got: Any, fault: str) -> None:
    assert name_fault(compared(got, EXPECTED)) == fault


def test_elements_that_cannot_be_judged_do_not_count() -> None:
    got = [[99.0, 2.0, -3.0], [99.0, -1.0, 1.0]]
    assert name_fault(compared(got, EXPECTED, known=[False, True, True])) == "has the wrong sign"


def test_exchanged_gradients() -> None:
    other = [[4.0, 4.0, 5.0], [5.0, 6.0, 6.0], [1.0, 1.0, 1.0]]
    third = [[7.0, 7.0, 8.0], [8.0, 9.0, 9.0], [1.0, 1.0, 1.0]]
    right = compared(EXPECTED[:2], EXPECTED, "x")
    assert find_exchanged([right, compared(other[:2], other, "y")]) == ""
    assert find_exchanged([right, compared(EXPECTED[:2], other, "y")]) == (
        "what is returned for y is the gradient of x"
    )
    swapped = [compared(other[:2], EXPECTED, "x"), compared(EXPECTED[:2], other, "y")]
    assert find_exchanged(swapped) == "the gradients of arguments x and y are swapped"
    around = [
        compared(other[:2], EXPECTED, "x"),
        compared(third[:2], other, "y"),
        compared(EXPECTED[:2], third, "z"),
    ]
    assert find_exchanged(around) == (
        "what is returned for x is the gradient of y; what is returned for y is the gradient of "
        "z; what is returned for z is the gradient of x"
    )


def test_zeros_are_nobody_s_gradient() -> None:
    zero = [[0.0] * 3] * 3
    assert (
        find_exchanged([compared([[0.0] * 3] * 2, EXPECTED, "x"), compared(None, zero, "y")]) == ""
    )
