"""Finite differences against derivatives that are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from inspect_autograd.live.vjp.finite_differences import Differences, Repeated, repeat_forward
from inspect_autograd.live.vjp.forward_call import Argument, CannotCheckError, ForwardCall


def call_of(
    function: Callable[..., Any], *tensors: torch.Tensor, outputs: list[Any] | None = None
) -> ForwardCall:
    return ForwardCall(
        repeat=lambda values: function(*values),
        tensors=list(tensors),
        arguments=tuple(
            Argument(i, i, f"x{i}", i, i)
            for i, tensor in enumerate(tensors)
            if tensor.is_floating_point() or tensor.is_complex()
        ),
        outputs=outputs,
        differentiable=None,
        random_state=None,
        is_custom=False,
        argument_names=[f"x{i}" for i in range(len(tensors))],
        tensor_positions=frozenset(range(len(tensors))),
        source="a test",
    )


def differences(
    function: Callable[..., Any], x: torch.Tensor, eps: float | None = None
) -> Differences:
    """With ones for vectors, so that each slope is a sum of derivatives."""
    repeated = repeat_forward(call_of(function, x), [0])
    return Differences(repeated, torch.ones(3, len(repeated.value)).to(repeated.value), eps)


def test_slopes_of_smooth_functions() -> None:
    x = torch.tensor([0.3, -2.0, 1e-4, 50.0], dtype=torch.float64)
    slopes = list(differences(torch.sin, x).slopes(0))
    expected = [math.cos(value) for value in x.tolist()]
    assert [slope.expected[0] for slope in slopes] == pytest.approx(expected, rel=1e-7)
    assert all(len(slope.expected) == 3 for slope in slopes)
    assert all(slope.bend < 1e-4 for slope in slopes)


def test_the_error_is_within_the_noise_that_is_allowed() -> None:
    # Far from 0 the value is large, and rounding with it.
    x = torch.tensor([0.5], dtype=torch.float64)
    (slope,) = differences(lambda x: x + 1e6, x).slopes(0)
    error = abs(slope.expected[0] - 1)
    assert 0 < error <= slope.noise


def test_slopes_sum_over_outputs_and_count_sizes() -> None:
    x = torch.tensor([2.0], dtype=torch.float64)
    (slope,) = differences(lambda x: torch.cat([3 * x, -x]), x).slopes(0)
    assert slope.expected[0] == pytest.approx(2)
    assert slope.scale == pytest.approx(4)


def test_complex_slopes_follow_the_convention_of_torch() -> None:
    x = torch.tensor([1 + 2j, -0.5j], dtype=torch.complex128, requires_grad=True)
    torch.sin(x).sum().backward(torch.tensor(1.0 + 0j))
    assert x.grad is not None
    slopes = differences(torch.sin, x.detach()).slopes(0)
    assert [slope.expected[0] for slope in slopes] == pytest.approx(x.grad.tolist(), rel=1e-6)
    # |x|² is not holomorphic; its gradient is 2x.
    slopes = differences(lambda x: (x * x.conj()).real, x.detach()).slopes(0)
    assert [slope.expected[0] for slope in slopes] == pytest.approx([2 + 4j, -1j], rel=1e-6)


def test_inputs_are_as_before_afterwards() -> None:
    x = torch.tensor([0.3, -2.0], dtype=torch.float64)
    all_slopes = differences(torch.sin, x)
    list(all_slopes.slopes(0))
    assert x.tolist() == [0.3, -2.0]


def test_a_function_may_write_into_its_inputs() -> None:
    x = torch.tensor([0.3, -2.0], dtype=torch.float64)
    slopes = list(differences(lambda x: x.mul_(x), x).slopes(0))
    assert [slope.expected[0] for slope in slopes] == pytest.approx([0.6, -4.0])


def test_equal_infinities_are_no_change() -> None:
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    mask = torch.tensor([True, False])
    slopes = list(differences(lambda x: x.masked_fill(mask, float("-inf")), x).slopes(0))
    assert [slope.expected[0] for slope in slopes] == pytest.approx([0, 1])


@pytest.mark.parametrize(
    ("function", "at", "expected"),
    [
        (torch.abs, 0.0, None),
        (torch.abs, 1e-7, 1.0),
        (torch.relu, -1e-7, 0.0),
        (torch.round, 0.5, None),
        (torch.round, 0.5 + 1e-7, 0.0),
        (torch.sqrt, 0.0, None),
        (torch.sin, 0.0, 1.0),
    ],
)
def test_refine_finds_kinks_and_jumps(
    function: Callable[..., Any], at: float, expected: float | None
) -> None:
    x = torch.tensor([at, 1.0], dtype=torch.float64)
    slope = differences(function, x).refine(0, (0,), 1e-5)
    if expected is None:
        assert slope is None
    else:
        assert slope is not None
        assert slope.expected[0] == pytest.approx(expected, abs=1e-5)


def test_single_precision_where_double_fails() -> None:
    def only_single(x: torch.Tensor) -> torch.Tensor:
        if x.dtype is torch.float64:
            raise TypeError("no")
        return x.sin()

    x = torch.tensor([0.3, -2.0])
    repeated = repeat_forward(call_of(only_single, x), [0])
    assert repeated.dtype is torch.float32
    slopes = Differences(repeated, torch.ones(3, 2, dtype=torch.float64), None).slopes(0)
    expected = [math.cos(0.3), math.cos(-2.0)]
    for slope, right in zip(slopes, expected, strict=True):
        assert abs(slope.expected[0] - right) <= slope.noise + 1e-4
    assert repeat_forward(call_of(torch.sin, x), [0]).dtype is torch.float64


def test_only_what_is_varied_decides_on_the_precision() -> None:
    x = torch.tensor([0.3, -2.0], dtype=torch.float16)
    assert repeat_forward(call_of(torch.sin, x), [0]).dtype is torch.float64
    indices = torch.tensor([1, 0])
    repeated = repeat_forward(call_of(lambda x, i: x[i], x, indices), [0])
    assert repeated.dtype is torch.float64
    assert repeated.outputs[0].tolist() == x[indices].tolist()


def test_half_precision_inputs_are_too_coarse_if_they_cannot_be_widened() -> None:
    def only_half(x: torch.Tensor) -> torch.Tensor:
        if x.dtype is not torch.float16:
            raise TypeError("no")
        return x.float()

    with pytest.raises(CannotCheckError, match="it computes in float16, which is too coarse"):
        repeat_forward(call_of(only_half, torch.ones(2, dtype=torch.float16)), [0])


def test_what_cannot_be_repeated() -> None:
    x = torch.tensor([0.3, -2.0])

    def fail(_: torch.Tensor) -> torch.Tensor:
        raise ValueError("broken")

    for function, outputs, message in [
        (fail, None, "repeating its forward function raised ValueError: broken"),
        (lambda x: x.half(), None, "it computes in float16, which is too coarse"),
        (torch.sin, [torch.cos(x)], "gave another result"),
        (torch.sin, [torch.ones(3)], "gave another result"),
    ]:
        with pytest.raises(CannotCheckError, match=message):
            repeat_forward(call_of(function, x, outputs=outputs), [0])


def test_outputs_that_carry_no_gradient_are_left_aside() -> None:
    x = torch.tensor([0.3, -2.0], dtype=torch.float64)
    call = call_of(lambda x: (x > 0, x, x * 2), x)
    repeated = Repeated(call, [x], [1, 2])
    assert repeated.value.tolist() == [0.3, -2.0, 0.6, -4.0]
