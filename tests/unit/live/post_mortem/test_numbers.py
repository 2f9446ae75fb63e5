"""Numbers for an output that is no scalar, worked out without the engine."""

import math
from typing import Any

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import inspect_autograd as ia
from tests.unit.live.post_mortem.failing import error_of, scene_of


def numbers_of(output: torch.Tensor) -> dict[str, Any]:
    scene = ia.explain(error_of(output.backward)).scene
    assert scene is not None
    return dict(scene.numbers)


def test_three_weightings_give_the_gradients_of_torch() -> None:
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    b = torch.ones(3, requires_grad=True)
    y = (x * x + b).exp().log1p()
    numbers = numbers_of(y)
    assert numbers["jacobian_shape"] == (6, 9)
    assert numbers["leaf_elements"] == (("x", 6), ("b", 3))
    assert numbers["leaf"] == "x"
    first = torch.zeros(2, 3)
    first[0, 0] = 1
    for given, v in zip(
        numbers["weightings"], [torch.ones(2, 3), torch.full((2, 3), 1 / 6), first], strict=True
    ):
        (expected,) = torch.autograd.grad(y, x, v, retain_graph=True)
        assert given["grad"] == pytest.approx(expected.flatten().tolist())
        assert given["grad_norm"] == pytest.approx(float(expected.norm()))
    assert [given["weights"] for given in numbers["weightings"]] == [
        "1 each",
        "1/6 each",
        "1 for the first, 0 for the rest",
    ]
    assert numbers["sum"] == pytest.approx(float(y.detach().sum()))
    assert numbers["mean"] == pytest.approx(float(y.detach().mean()))


def test_a_broadcast_leaf_gets_the_sum_and_a_shared_node_both_gradients() -> None:
    b = torch.ones(3, requires_grad=True)
    h = b.exp()
    y = torch.ones(4, 3) * h + h.double()
    assert numbers_of(y)["weightings"][0]["grad"] == pytest.approx([8 * math.e] * 3)


def test_nothing_of_the_program_changes() -> None:
    x = torch.ones(3, requires_grad=True)
    x.grad = torch.full((3,), 7.0)
    h = x.exp()
    called: list[Any] = []
    h.register_hook(called.append)
    assert h.grad_fn is not None
    h.grad_fn.register_hook(lambda *_: called.append(1))
    x.register_hook(called.append)
    y = h * h
    versions = (x._version, h._version, y._version)
    assert "weightings" in numbers_of(y)
    assert called == []
    assert x.grad.tolist() == [7.0] * 3
    assert (x._version, h._version, y._version) == versions
    y.sum().backward()  # Nothing was freed.
    assert len(called) == 3


class Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Any:
        raise AssertionError("must not run")


def test_code_of_the_user_is_not_run() -> None:
    x = torch.ones(3, requires_grad=True)
    assert "OwnBackward" in str(numbers_of(Own.apply(x))["not_computed"])  # type: ignore[no-untyped-call]
    runs = []

    def inner(t: torch.Tensor) -> torch.Tensor:
        runs.append(1)
        return t.exp()

    y = checkpoint(inner, x, use_reentrant=False)
    assert "packed" in str(numbers_of(y)["not_computed"])
    assert runs == [1]


def test_freed_and_modified_graphs_and_large_ones_are_left_alone() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x.exp()
    y.sum().backward()
    assert "freed" in str(numbers_of(y)["not_computed"])
    z = x.exp()
    w = z * 2
    with torch.no_grad():
        z.add_(1)
    assert "modified" in str(numbers_of(w)["not_computed"])
    h = x
    for _ in range(600):
        h = h + 1
    assert "500 nodes" in str(numbers_of(h)["not_computed"])
    large = torch.ones(300_000, requires_grad=True) * 2
    assert "elements" in str(numbers_of(large)["not_computed"])


def test_other_failures_have_no_such_numbers() -> None:
    def program() -> None:
        torch.ones(3).sum().backward()

    assert "jacobian_shape" not in scene_of(program).numbers
