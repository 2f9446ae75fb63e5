"""Which call made which node, and copies of what it was given."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

from inspect_autograd.live.private_torch import function_base, sequence_nrs
from inspect_autograd.live.vjp.forward_call import CannotCheckError, ForwardCall
from inspect_autograd.live.vjp.record_calls import CallRecorder, parameter_names
from inspect_autograd.live.vjp.watch_functions import record_calls


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, factor: float, *more: torch.Tensor) -> Any:
        ctx.factor = factor
        return x * factor, factor

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor, _: Any) -> Any:
        return grad * ctx.factor, None, None


def scaled(*args: Any) -> Any:
    return Scaled.apply(*args)[0]  # type: ignore[no-untyped-call]


def find(
    make: Callable[[], torch.Tensor], *, is_custom: bool = False, max_elements: int = 100
) -> ForwardCall | None:
    """The call that made the node of what a function returns."""
    recorder = CallRecorder(max_elements)
    with record_calls(recorder):
        result = make()
    node = result.grad_fn
    return recorder.find(node, sequence_nrs([node])[0], is_custom=is_custom)


def found(make: Callable[[], torch.Tensor], *, is_custom: bool = False) -> ForwardCall:
    call = find(make, is_custom=is_custom)
    assert call is not None
    return call


X = torch.tensor([1.0, 2.0], requires_grad=True)
Y = torch.tensor([3.0, 4.0], requires_grad=True)


def describe(call: ForwardCall) -> list[tuple[int, int, str, int, int]]:
    return [(a.tensor, a.position, a.name, a.slot, a.returned) for a in call.arguments]


def test_an_operator() -> None:
    call = found(lambda: torch.addmm(X, X[None], torch.stack([X, Y]), beta=2, alpha=3))
    assert [tensor.tolist() for tensor in call.tensors] == [
        [1.0, 2.0],
        [[1.0, 2.0]],
        [[1.0, 2.0], [3.0, 4.0]],
    ]
    assert describe(call) == [(0, 0, "self", 0, 0), (1, 1, "mat1", 1, 1), (2, 2, "mat2", 2, 2)]
    # 2 · (1, 2) + 3 · (1 · 1 + 2 · 3, 1 · 2 + 2 · 4)
    assert call.outputs is not None
    assert call.outputs[0].tolist() == [[23.0, 34.0]]
    ones = [torch.ones(2), torch.ones(1, 2), torch.ones(2, 2)]
    assert call.repeat(ones).tolist() == [[8.0, 8.0]]
    assert not call.is_custom


def test_a_list_and_inputs_that_need_no_gradient() -> None:
    call = found(lambda: torch.cat([torch.zeros(1), X, Y]))
    assert describe(call) == [(1, 0, "tensors[1]", 1, 1), (2, 0, "tensors[2]", 2, 2)]
    assert call.repeat([torch.ones(1)] * 3).tolist() == [1.0, 1.0, 1.0]


def test_one_tensor_in_two_places() -> None:
    call = found(lambda: X * X)
    assert describe(call) == [(0, 0, "self", 0, 0), (1, 1, "other", 1, 1)]
    assert call.repeat([torch.tensor(2.0), torch.tensor(5.0)]).item() == 10


def test_what_was_written_into_later_is_kept_as_it_was() -> None:
    def make() -> torch.Tensor:
        base = X * 1
        result = base * 2
        base.add_(7)
        return result

    call = found(make)
    assert call.tensors[0].tolist() == [1.0, 2.0]


def test_an_operation_in_place() -> None:
    def make() -> torch.Tensor:
        base = X * 1
        base.mul_(Y)
        return base

    call = found(make)
    assert [tensor.tolist() for tensor in call.tensors] == [[1.0, 2.0], [3.0, 4.0]]
    assert call.outputs is not None
    assert call.outputs[0].tolist() == [3.0, 8.0]


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: torch.nn.functional.nll_loss(X[None], torch.tensor([1])), "nll_loss_forward"),
        (lambda: X.double(), "_to_copy"),  # noqa: PLW0108
        (lambda: torch.unsqueeze_copy(X, 0), "unsqueeze_copy"),
        (lambda: torch.zeros(2).copy_(X), "copy_"),
        (lambda: torch.sigmoid_(X * 1), "sigmoid_"),
    ],
)
def test_names_of_nodes_and_operators(make: Callable[[], torch.Tensor], name: str) -> None:
    recorder = CallRecorder(100)
    with record_calls(recorder):
        result = make()
    number = sequence_nrs([result.grad_fn])[0]
    (first, *_) = recorder._calls[number]
    assert first.function.overloadpacket.__name__ == name
    assert recorder.find(result.grad_fn, number, is_custom=False) is first.call


def test_a_custom_function() -> None:
    call = found(lambda: scaled(X, 2.0, torch.ones(3)), is_custom=True)
    assert call.is_custom
    assert describe(call) == [(0, 0, "x", 0, 0)]
    assert call.argument_names == ["x", "factor", "more[0]"]
    assert call.tensor_positions == {0, 2}
    assert call.differentiable == [True, False]
    assert call.outputs is not None
    assert call.outputs[0].tolist() == [2.0, 4.0]
    assert call.outputs[1] is None
    assert call.random_state is None
    assert call.repeat([torch.tensor([5.0]), torch.ones(3)])[0].tolist() == [10.0]


def test_random_numbers_are_remembered_only_where_they_are_drawn() -> None:
    call = found(lambda: torch.nn.functional.rrelu(-X, training=True))
    assert call.random_state is not None
    call.random_state.restore()
    assert call.random_state.is_now()
    torch.rand(1)
    assert not call.random_state.is_now()
    assert found(lambda: X * 2).random_state is None


def test_calls_that_make_no_node_are_not_recorded() -> None:
    recorder = CallRecorder(100)
    with record_calls(recorder):
        torch.ones(2) * 2
        X.detach()
        with torch.no_grad():
            scaled(X, 2.0)
        scaled(torch.ones(2), 2.0)
    assert recorder._calls == {}


def test_what_is_recorded_holds_no_tensor_of_the_program() -> None:
    call = found(lambda: X * Y)
    assert call.tensors[0] is not X
    assert call.tensors[0].data_ptr() != X.data_ptr()
    assert not any(tensor.requires_grad for tensor in call.tensors)


def test_a_node_of_another_call_is_not_taken() -> None:
    recorder = CallRecorder(100)
    with record_calls(recorder):
        first = X * 2
        second = Y * 2
        custom = scaled(Y, 2.0)
    numbers = sequence_nrs([first.grad_fn, second.grad_fn, custom.grad_fn])
    assert recorder.find(first.grad_fn, numbers[0], is_custom=False) is not None
    # The number of another thread may be the same, but its inputs are not.
    assert recorder.find(first.grad_fn, numbers[1], is_custom=False) is None
    assert recorder.find(custom.grad_fn, numbers[1], is_custom=True) is None
    assert recorder.find(custom.grad_fn, numbers[2] + 9, is_custom=True) is None
    assert recorder.find((X / 2).grad_fn, numbers[0], is_custom=False) is None


def test_tensors_that_are_too_large() -> None:
    with pytest.raises(CannotCheckError, match="a tensor of 2 elements, which is more than"):
        find(lambda: X * 2, max_elements=1)
    with pytest.raises(CannotCheckError, match="a tensor of 2 elements, which is more than"):
        find(lambda: X.sum().expand(2), max_elements=1)


def test_another_apply_in_place_is_called_and_put_back() -> None:
    base = function_base()
    seen: list[str] = []

    def other(cls: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(cls.__name__)
        return super(base, cls).apply(*args, **kwargs)

    base.apply = classmethod(other)
    try:
        replaced = base.__dict__["apply"]
        found(lambda: scaled(X, 2.0), is_custom=True)
        assert seen == ["Scaled"]
        assert base.__dict__["apply"] is replaced
    finally:
        del base.apply
    assert "apply" not in base.__dict__


def test_two_threads_record_at_once() -> None:
    entered, done = threading.Event(), threading.Event()

    def other() -> None:
        with record_calls(CallRecorder(100)):
            entered.set()
            done.wait(60)

    thread = threading.Thread(target=other)

    def make() -> torch.Tensor:
        thread.start()
        assert entered.wait(60)
        result: torch.Tensor = scaled(X, 2.0)
        return result

    try:
        assert describe(found(make, is_custom=True)) == [(0, 0, "x", 0, 0)]
        assert "apply" in function_base().__dict__  # The other thread still needs it.
    finally:
        done.set()
        thread.join()
    assert "apply" not in function_base().__dict__


def test_names_of_parameters() -> None:
    class Bare(torch.autograd.Function):
        @staticmethod
        def forward(a: Any, *, b: Any = 3) -> Any:
            return a

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            pass

    assert parameter_names(Bare, 2) == ["a", "b"]
    assert parameter_names(Scaled, 4) == ["x", "factor", "more[0]", "more[1]"]
