"""Custom Functions of every kind: their outputs, randomness, dtypes, and what cannot be checked."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from inspect_autograd.live.vjp import check_vjp


def apply(function: Any, *args: Any) -> Any:
    """`apply` carries no annotations."""
    return function.apply(*args)


class Shifted(torch.autograd.Function):
    """In the style of `setup_context`, with a default, and a tensor that needs no gradient."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: torch.Tensor, mask: torch.Tensor, shift: float = 1.0) -> Any:
        return (x + shift) ** 2 * mask, 3, mask > 0

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, mask, ctx.shift = inputs
        ctx.save_for_backward(x, mask)

    @staticmethod
    def vjp(ctx: Any, *grads: Any) -> Any:
        x, mask = ctx.saved_tensors
        assert len(grads) == 3
        return 2 * grads[0] * (x + ctx.shift) * mask, None, None


def test_setup_context_defaults_and_outputs_of_other_kinds() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    mask = torch.tensor([1.0, 0.0])
    report = check_vjp(lambda: apply(Shifted, x, mask), node="Shift*")
    (check,) = report.checks
    assert check.status == "right"
    (argument,) = check.arguments
    assert (argument.name, argument.position, argument.compared) == ("x", 0, 2)


class TwoOutputs(torch.autograd.Function):
    """The second output's gradient is forgotten; the third is marked as not differentiable."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, forget: bool) -> Any:
        ctx.forget = forget
        constant = x.detach().clone()
        ctx.mark_non_differentiable(constant)
        return 2 * x, 3 * x, constant

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, first: Any, second: Any, third: Any) -> Any:
        assert not third.any()
        return (2 * first if ctx.forget else 2 * first + 3 * second), None


@pytest.mark.parametrize("forget", [True, False])
@pytest.mark.parametrize("values", [1.0, [1.0, 2.0]])
def test_every_output_counts(forget: bool, values: Any) -> None:
    x = torch.tensor(values, requires_grad=True)
    report = check_vjp(lambda: sum(apply(TwoOutputs, x, forget)[:2]).sum(), node="Two*")
    assert report.is_right == (not forget)
    assert report.checks[0].place.startswith(__file__)


class Doubled(torch.autograd.Function):
    """Writes into its input."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.mark_dirty(x)
        return x.mul_(2)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        return grad.mul_(2)


def test_in_place_functions_and_a_backward_that_writes_into_what_it_receives() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    report = check_vjp(lambda: apply(Doubled, x * 3).sum(), node="Doubled*")
    (check,) = report.checks
    assert check.status == "right"
    assert check.notes == (
        "it writes into the gradient that it receives, which other nodes may hold too",
    )


class Round(torch.autograd.Function):
    """A straight-through estimator."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        return grad


def test_a_straight_through_estimator_is_told_from_a_mistake() -> None:
    x = torch.tensor([0.2, 1.4, 0.5], requires_grad=True)
    (check,) = check_vjp(lambda: apply(Round, x)).checks
    assert check.diagnosis == (
        "the gradient of argument x is not zero, although the result does not depend on this "
        "argument here (a straight-through estimator does so on purpose)"
    )
    # At 0.5 it jumps.
    assert (check.arguments[0].compared, check.arguments[0].left_out) == (2, 1)


class Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return grad * (x > 0)


def test_elements_at_a_kink_are_left_out() -> None:
    x = torch.tensor([0.0, -1.0, 2.0, 1e-7], dtype=torch.float64, requires_grad=True)
    (check,) = check_vjp(lambda: apply(Relu, x)).checks
    assert check.status == "right"
    assert (check.arguments[0].compared, check.arguments[0].left_out) == (3, 1)
    zero = torch.zeros(2, requires_grad=True)
    (check,) = check_vjp(lambda: apply(Relu, zero)).checks
    assert check.status == "not checked"
    assert check.reason == "x: the forward function has no derivative at any of its elements"


class Noisy(torch.autograd.Function):
    """Multiplies by random numbers that it saves."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scale: float) -> torch.Tensor:
        noise = torch.rand(x.shape, dtype=torch.float64)
        ctx.save_for_backward(noise)
        return (x * noise).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        (noise,) = ctx.saved_tensors
        return grad * noise.to(grad.dtype), None


def test_random_numbers_are_drawn_again_and_those_of_the_program_stay() -> None:
    x = torch.ones(4, requires_grad=True)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert check_vjp(lambda: apply(Noisy, x, 1.0)).is_right
    assert torch.equal(torch.rand(2), expected)
    # With the loss alone, the state of the generator at the call is not known.
    (check,) = check_vjp(apply(Noisy, x, 1.0)).checks
    assert check.status == "not checked"


class Counting(torch.autograd.Function):
    calls = 0

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        Counting.calls += 1
        return x * Counting.calls

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        return grad


def test_a_function_that_depends_on_more_than_its_inputs_is_not_checked() -> None:
    x = torch.ones(4, requires_grad=True)
    (check,) = check_vjp(lambda: apply(Counting, x)).checks
    assert check.reason == (
        "repeating its forward function gave another result: it is random, or depends on more "
        "than its inputs"
    )


class OnlySingle(torch.autograd.Function):
    """Cannot be repeated in float64."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, factor: float) -> torch.Tensor:
        if x.dtype is not torch.float32:
            raise TypeError("float32, please")
        ctx.factor = factor
        return x * 3

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        return grad * ctx.factor, None


def test_a_function_that_insists_on_its_dtype() -> None:
    x = torch.tensor([1.0, -20.0, 1e-3], requires_grad=True)
    (check,) = check_vjp(lambda: apply(OnlySingle, x, 3.0)).checks
    assert (check.status, check.precision) == ("right", "float32")
    (check,) = check_vjp(lambda: apply(OnlySingle, x, 3.1)).checks
    assert check.diagnosis.startswith("the gradient of argument x is off by the factor 1.03")


class Failing(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x * 1

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        raise NotImplementedError("later")


def test_a_backward_that_raises_is_not_checked() -> None:
    x = torch.ones(2, requires_grad=True)
    (check,) = check_vjp(lambda: apply(Failing, x)).checks
    assert check.reason == "its backward raised NotImplementedError: later"


def test_a_gradient_for_what_is_no_tensor() -> None:
    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, factor: float, *more: torch.Tensor) -> Any:
            ctx.factor = factor
            return x * factor + sum(more)

        @staticmethod
        def backward(ctx: Any, grad: torch.Tensor) -> Any:
            return grad * ctx.factor, grad, None, grad

    x = torch.ones(2, requires_grad=True)
    (check,) = check_vjp(lambda: apply(Scaled, x, 2.0, x, x), node="Scaled*").checks
    assert check.diagnosis == (
        "its backward returns a gradient for factor, which is not a tensor; autograd refuses that"
    )


def test_more_arguments_have_names_too() -> None:
    class Total(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *parts: torch.Tensor) -> torch.Tensor:
            return parts[0] + 2 * parts[1]

        @staticmethod
        def backward(ctx: Any, grad: torch.Tensor) -> Any:
            return grad, grad

    x, y = (torch.ones(2, requires_grad=True) for _ in range(2))
    (check,) = check_vjp(lambda: apply(Total, x, y)).checks
    statuses = {argument.name: argument.status for argument in check.arguments}
    assert statuses == {"parts[0]": "right", "parts[1]": "wrong"}
    # 1 · v is also the gradient of parts[0].
    assert check.diagnosis == "what is returned for parts[1] is the gradient of parts[0]"


class Tanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, factor: float) -> torch.Tensor:
        y = x.tanh()
        ctx.save_for_backward(y)
        ctx.factor = factor
        return y

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        (y,) = ctx.saved_tensors
        return ctx.factor * grad * (1 - y**2), None


def test_rounding_is_told_from_a_wrong_formula() -> None:
    # tanh(8.9) is rounded to 1 - 6e-8, which says little about its derivative, 7.4e-8.
    x = torch.tensor([8.9, 0.5], requires_grad=True)[:1]
    (check, *_) = check_vjp(lambda: x.tanh()).checks  # noqa: PLW0108
    assert check.status == "right"
    (note,) = check.notes
    assert note.startswith("the formula for self is right in float64; in float32 rounding makes")
    assert (check.arguments[0].max_rel_error or 0) > 0.1

    assert check_vjp(lambda: apply(Tanh, x, 1.0), node=0).is_right
    assert check_vjp(lambda: apply(Tanh, x, 3.0), node=0).is_right is False


def test_a_large_error_is_no_rounding_even_if_the_formula_is_right() -> None:
    x = torch.tensor([0.5, 0.7], requires_grad=True)

    def spoiled() -> torch.Tensor:
        y = x.tanh()
        node: Any = y.grad_fn
        node._saved_result.data.mul_(0.5)
        return y.clone()

    (check,) = check_vjp(spoiled, node="Tanh*").checks
    assert check.status == "wrong"


class Square(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(matrix: torch.Tensor) -> torch.Tensor:
        return matrix @ matrix.t()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        (matrix,) = ctx.saved_tensors
        return (grad + grad.t()) @ matrix


class Mixed(torch.autograd.Function):
    """As a Function that is meant for autocast is written."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def forward(ctx: Any, matrix: torch.Tensor, factor: float) -> torch.Tensor:
        ctx.save_for_backward(matrix)
        ctx.factor = factor
        return matrix @ matrix.t()

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        (matrix,) = ctx.saved_tensors
        return ctx.factor * (grad + grad.t()) @ matrix, None


def test_autocast() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, requires_grad=True)

    def make(factor: float) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return apply(Mixed, x, factor)

    (check,) = check_vjp(lambda: make(1.0)).checks
    assert (check.status, check.precision) == ("right", "float64")
    (check,) = check_vjp(lambda: make(0.5)).checks
    assert check.diagnosis == "the gradient of argument matrix is off by the factor 0.5"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert check_vjp(lambda: make(1.0)).is_right
        assert check_vjp(lambda: x.exp() @ x.t()).is_right
    # Made outside, so its backward must not be run in bfloat16 either.
    loss = apply(Square, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (check,) = check_vjp(loss, node=0).checks
    assert (check.arguments[0].max_rel_error or 1) < 1e-5


def test_outputs_that_are_not_finite() -> None:
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    mask = torch.tensor([False, True, False])
    report = check_vjp(lambda: x.masked_fill(mask, float("-inf")).log_softmax(0))
    assert [check.status for check in report.checks] == ["right", "right"]
    assert report.checks[0].arguments[0].left_out == 1


def test_function_transforms() -> None:
    x = torch.randn(2, 4, 3, requires_grad=True)
    report = check_vjp(lambda: torch.vmap(lambda matrix: apply(Square, matrix))(x).sum())
    assert report.is_right
    assert [check.reason for check in report.not_checked] == [
        "a function transform (torch.func) made it"
    ]


def test_inference_mode_around_the_check() -> None:
    x = torch.randn(4, 3, requires_grad=True)
    loss = apply(Square, x).sum()
    saturated = apply(Tanh, torch.tensor([8.9], requires_grad=True), 1.0)
    with torch.inference_mode():
        assert check_vjp(loss).is_right
        # To tell rounding from a wrong formula, a node is made.
        assert check_vjp(saturated).is_right
    with torch.no_grad():
        assert check_vjp(loss).is_right
