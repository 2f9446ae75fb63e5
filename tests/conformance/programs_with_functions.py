"""Programs with checkpoints and custom Functions."""

from typing import Any

import torch
from torch import Tensor

import inspect_autograd as ia
from tests.conformance.recorded_programs import Scale, parameter, program


@program
def reentrant_checkpoint_of_plain_inputs() -> Any:
    from torch.utils.checkpoint import checkpoint

    a, b = Scale(), Scale()
    with ia.record({"a": a, "b": b}) as recording:
        # cut: checkpoint torch.utils.checkpoint.checkpoint reaches lost=a.w
        hidden = checkpoint(a, torch.ones(2), use_reentrant=True)
        b(hidden).sum().backward()
    return recording


@program
def reentrant_checkpoint_of_an_input_that_requires_grad() -> Any:
    from torch.utils.checkpoint import checkpoint

    a, x = Scale(), torch.ones(2, requires_grad=True)
    with ia.record(a, params={"x": x}) as recording:
        checkpoint(a, x, use_reentrant=True).sum().backward()
    return recording


@program
def checkpoint_that_keeps_the_graph() -> Any:
    from torch.utils.checkpoint import checkpoint

    a = Scale()
    with ia.record(a) as recording:
        checkpoint(a, torch.ones(2), use_reentrant=False).sum().backward()
    return recording


class Round(torch.autograd.Function):
    """Rounds, and calls the result not differentiable."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        out = x.round()
        ctx.mark_non_differentiable(out)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> None:
        return None


class WithCounts(torch.autograd.Function):
    """Gives values and something beside them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        counts = (x > 0).sum()
        ctx.mark_non_differentiable(counts)
        return x.detach() * 2, counts

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Any) -> Tensor:
        return gradient * 2


class AddOne(torch.autograd.Function):
    """Adds one in place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x.numpy(force=True)[:] += 1
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


@program
def custom_function_without_a_graph() -> Any:
    w, v = parameter(1.4), parameter(2.0)
    function: Any = Round
    with ia.record(params={"w": w, "v": v}) as recording:
        out = function.apply(w)  # cut: custom-Function Round.apply reaches lost=w
        (out * v).sum().backward()
    return recording


@program
def custom_function_with_a_second_result() -> Any:
    w = parameter(1.0, 2.0)
    function: Any = WithCounts
    with ia.record(params={"w": w}) as recording:
        out, counts = function.apply(w)  # cut: custom-Function WithCounts.apply ends
        out.sum().backward()
    del counts
    return recording


@program
def custom_function_under_no_grad() -> Any:
    w = parameter(1.0, 2.0)
    function: Any = WithCounts
    with ia.record(params={"w": w}) as recording:
        with torch.no_grad():
            function.apply(w)  # cut: no_grad WithCounts.apply ends
        w.sum().backward()
    return recording


@program
def custom_function_in_place() -> Any:
    w = parameter(1.0, 2.0)
    function: Any = AddOne
    with ia.record(params={"w": w}) as recording:
        x = w * 2
        function.apply(x)  # write: AddOne.apply - 0>1
        x.sum().backward()
    return recording


@program
def custom_function_that_writes_visibly() -> Any:
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            x.mul_(2)  # write: Tensor.mul_ - 0>1
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            return gradient.mul_(2)  # write: Tensor.mul_ - 0>1

    w = parameter(1.0, 2.0)
    function: Any = Twice
    with ia.record(params={"w": w}) as recording:
        (function.apply(w * 1) * 3).sum().backward()
    return recording
