"""Calling a node alone: what it returns, and which nodes are left alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from inspect_autograd.live.node_types import describe_type
from inspect_autograd.live.vjp.call_node import UNSUITED, call_node, check_callable
from inspect_autograd.live.vjp.forward_call import CannotCheckError


def refusal(node: Any) -> str:
    """Why a node is not called; empty if it would be."""
    try:
        check_callable(node, describe_type(type(node)))
    except CannotCheckError as error:
        return str(error)
    return ""


def leaf(*shape: int) -> torch.Tensor:
    return torch.ones(shape, requires_grad=True)


class Halves(torch.autograd.Function):
    """Two inputs, two outputs."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, y: torch.Tensor) -> Any:
        ctx.save_for_backward(x)
        return x * 1, y * 1

    @staticmethod
    def backward(ctx: Any, first: Any, second: Any) -> Any:
        _ = ctx.saved_tensors
        assert not torch.is_grad_enabled()
        return first, second * 2, None


def halves() -> Any:
    return Halves.apply(leaf(2), leaf(2))  # type: ignore[no-untyped-call]


def test_a_built_in_node() -> None:
    node = (leaf(2) * 3).grad_fn
    returned = call_node(node, [torch.tensor([1.0, 2.0])], 2)
    assert returned.values[0].tolist() == [3.0, 6.0]
    assert returned.values[1] is None
    assert not returned.changed_received


def test_a_custom_function_and_what_is_cut_off() -> None:
    node = halves()[0].grad_fn
    returned = call_node(node, [torch.ones(2), torch.ones(2)], 2)
    assert [value.tolist() for value in returned.values] == [[1.0, 1.0], [2.0, 2.0]]
    assert returned.count == 3


def test_a_single_value_is_a_tuple_of_one() -> None:
    node = leaf(2).exp().grad_fn
    assert len(call_node(node, [torch.ones(2)], 1).values) == 1


def test_no_hook_runs_and_the_node_can_be_called_again() -> None:
    result = leaf(2).exp()
    node: Any = result.grad_fn
    seen: list[str] = []
    node.register_hook(lambda *_: seen.append("hook"))
    node.register_prehook(lambda *_: seen.append("prehook"))
    for _ in range(2):
        call_node(node, [torch.ones(2)], 1)
    assert seen == []
    result.sum().backward()
    assert seen == ["prehook", "hook"]


def test_what_is_given_stays_as_it_is() -> None:
    class Greedy(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, grad: torch.Tensor) -> Any:
            return grad.mul_(2)

    node = Greedy.apply(leaf(2)).grad_fn  # type: ignore[no-untyped-call]
    given = torch.ones(2)
    returned = call_node(node, [given], 1)
    assert given.tolist() == [1.0, 1.0]
    assert returned.values[0].tolist() == [2.0, 2.0]
    assert returned.changed_received


def test_nodes_that_can_be_called() -> None:
    assert refusal(leaf(2).exp().grad_fn) == ""
    assert refusal(halves()[0].grad_fn) == ""
    assert refusal(torch.stack([leaf(2), leaf(2)]).grad_fn) == ""


def test_freed_and_modified() -> None:
    result = leaf(2).exp()
    result.sum().backward()
    assert refusal(result.grad_fn) == "a backward pass has freed what it saved"
    outputs = halves()
    outputs[0].sum().backward()
    assert refusal(outputs[0].grad_fn) == "a backward pass has freed what it saved"
    x = leaf(2) * 1
    y = x.sin()
    x += 1
    assert refusal(y.grad_fn) == (
        "what it saved was modified in place, so a backward pass will refuse it"
    )


def test_a_function_whose_saved_tensor_was_modified() -> None:
    x = leaf(2) * 1
    node = Halves.apply(x, leaf(2))[0].grad_fn  # type: ignore[no-untyped-call]
    x += 1
    with pytest.raises(CannotCheckError, match="was modified in place"):
        call_node(node, [torch.ones(2), torch.ones(2)], 2)


def test_a_function_that_frees_what_it_saved() -> None:
    class Frugal(torch.autograd.Function):
        clear_saved_tensors_on_access = True

        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx: Any, grad: torch.Tensor) -> Any:
            return grad * 2

    node = Frugal.apply(leaf(2)).grad_fn  # type: ignore[no-untyped-call]
    assert refusal(node) == ("its backward frees what it saved (clear_saved_tensors_on_access)")


def test_a_leaf_and_an_in_place_change_of_a_view() -> None:
    x = leaf(2)
    node: Any = x.exp().grad_fn
    assert refusal(node.next_functions[0][0]) == "a leaf only accumulates what it receives"
    base = x * 1
    base[0] = 5.0
    assert refusal(base.grad_fn) == "it stands for an in-place change of a view"


def test_compiled_functions() -> None:
    compiled = torch.compile(torch.sin, backend="aot_eager")
    result = compiled(leaf(2))
    assert refusal(result.grad_fn) == "torch.compile made it out of many calls"


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda x: torch.linalg.cholesky(x), "LinalgCholeskyExBackward0"),  # noqa: PLW0108
        (lambda x: torch.linalg.eigh(x).eigenvalues, "LinalgEighBackward0"),
        (lambda x: torch.linalg.pinv(x), "LinalgPinvBackward0"),  # noqa: PLW0108
        (lambda x: torch.linalg.lu(x).U, "LinalgLuBackward0"),
        (lambda x: torch.normal(x, 1.0), "NormalBackward1"),
        (lambda x: torch.normal(x, x), "NormalBackward3"),
    ],
)
def test_operators_with_a_definition_of_their_own(make: Any, name: str) -> None:
    node = make(torch.eye(3, requires_grad=True)).grad_fn
    assert node.name() == name
    assert refusal(node) == UNSUITED[name]
