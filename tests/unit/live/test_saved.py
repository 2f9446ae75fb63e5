"""Saved tensors: what is saved, whose memory it is, and in what state."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import inspect_autograd as ia
from inspect_autograd.graph.records import SavedTensor


def saved_of(graph: ia.Graph, pattern: str) -> dict[str, SavedTensor]:
    return {tensor.name: tensor for node in graph.find(pattern) for tensor in node.saved}


def states(graph: ia.Graph, pattern: str = "*") -> dict[str, str]:
    return {name: tensor.state for name, tensor in saved_of(graph, pattern).items()}


class Product(torch.autograd.Function):
    """Saves both inputs and, where asked, its output."""

    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, b: torch.Tensor, output: bool) -> torch.Tensor:
        result = a * b
        ctx.save_for_backward(a, None, b, *([result] if output else []))
        return result

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        a, _, b, *_ = ctx.saved_tensors
        return grads[0] * b, grads[0] * a, None


def test_names_shapes_bytes_and_aliases() -> None:
    linear = torch.nn.Linear(3, 2)
    x = torch.randn(5, 3, requires_grad=True)
    graph = ia.capture(linear(x), params=linear)
    saved = saved_of(graph, "Addmm*")
    assert str(saved["mat1"]) == "mat1: f32[5, 3] 60 B"
    assert str(saved["mat2"]) == "mat2: f32[3, 2] 24 B = weight"  # weight.t() shares its memory
    assert saved["mat1"].alias == ()


def test_each_storage_counts_once() -> None:
    x = torch.randn(10, requires_grad=True)
    a = x * 1
    graph = ia.capture((a * a).sum())
    product = graph.nodes[1]
    assert [tensor.name for tensor in product.saved] == ["other", "self"]
    assert len({tensor.storage for tensor in product.saved}) == 1
    # `a` once, and the scalar 1 that the first product keeps as a tensor of 64-bit integers.
    assert graph.saved_bytes([product]) == 40
    assert graph.saved_bytes() == 40 + 8


def test_a_view_keeps_its_whole_storage() -> None:
    x = torch.randn(100, requires_grad=True)
    a = (x * 1)[:3]
    graph = ia.capture(a.exp().sin())
    tensor = saved_of(ia.capture(a * a), "MulBackward0")["self"]
    assert tensor.bytes == 12
    assert ia.capture(a * a).storages[tensor.storage or 0].bytes == 400
    assert states(graph, "SinBackward0") == {"self": "available"}


def test_frozen_parameters_buffers_and_inputs_are_named_where_they_are_saved() -> None:
    linear = torch.nn.Linear(3, 3)
    linear.weight.requires_grad_(False)
    model = torch.nn.Sequential(linear, torch.nn.BatchNorm1d(3))
    model.eval()
    x = torch.randn(4, 3)
    names = {**dict(model.named_parameters()), **dict(model.named_buffers()), "x": x}
    graph = ia.capture(model(x * 1.0 + linear.bias), params=names)
    aliases = {alias for node in graph.nodes for tensor in node.saved for alias in tensor.alias}
    assert {"0.weight", "1.running_mean", "1.weight"} <= aliases
    frozen = torch.nn.functional.linear(x, torch.randn(2, 3, requires_grad=True))
    assert saved_of(ia.capture(frozen, params=names), "*")["self"].alias == ("x",)


def test_names_from_a_state_dict_are_found_by_storage() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2))
    graph = ia.capture(model(torch.randn(1, 3)), params=model.state_dict())
    assert set(graph.parameters()) == {"0.weight", "0.bias"}


def test_two_parameters_in_one_storage_keep_their_own_names() -> None:
    flat = torch.randn(10)
    a = flat[:4].requires_grad_()
    b = flat[4:].requires_grad_()
    graph = ia.capture((a.exp().sum() + b.sum()), params={"a": flat[:4], "b": flat[4:]})
    assert [leaf.label for leaf in graph.leaves()] == ["b", "a"]
    product = ia.capture(a * b[:4], params={"a": flat[:4], "b": flat[4:]}).nodes[0]
    assert {tensor.name: tensor.alias for tensor in product.saved} == {
        "other": ("b",),
        "self": ("a",),
    }


def test_tied_parameters_show_all_their_names() -> None:
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Embedding(5, 3)
            self.head = torch.nn.Linear(3, 5, bias=False)
            self.head.weight = self.embed.weight

    model = Tied()
    graph = ia.capture(model.head(model.embed(torch.tensor([1]))), params=model)
    assert [leaf.parameter and leaf.parameter.names for leaf in graph.leaves()] == [
        ("embed.weight", "head.weight")
    ]


def test_freed_by_backward() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x.exp().sin()
    before = ia.capture(y)
    y.sum().backward()
    after = ia.capture(y)
    assert states(before, "SinBackward0") == {"self": "available"}
    assert states(after, "SinBackward0") == {"self": "freed"}
    assert saved_of(after, "SinBackward0")["self"].meta is None
    assert after.edge_table == before.edge_table
    assert after.saved_bytes() == 0


def test_a_half_freed_graph() -> None:
    x = torch.ones(3, requires_grad=True)
    shared = x.exp()
    first, second = shared.sin(), shared.cos()
    first.sum().backward()
    graph = ia.capture([first, second])
    assert states(graph, "SinBackward0") == {"self": "freed"}
    assert states(graph, "CosBackward0") == {"self": "available"}
    assert states(graph, "ExpBackward0") == {"result": "freed"}


def test_what_was_never_saved_is_not_freed() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x * 2.0  # `self` would only be needed for the gradient of 2.0
    assert list(states(ia.capture(y), "MulBackward0")) == ["other"]
    y.sum().backward()
    assert list(states(ia.capture(y), "MulBackward0")) == ["other"]


def test_modified_in_place() -> None:
    x = torch.ones(3, requires_grad=True)
    a = x * 1
    y = a.sin() * a.exp()
    a.add_(1)
    graph = ia.capture(y)
    assert states(graph, "SinBackward0") == {"self": "modified"}
    # exp keeps its result, which nobody wrote to.
    assert states(graph, "ExpBackward0") == {"result": "available"}


def test_after_a_backward_that_failed_on_a_modified_tensor() -> None:
    x = torch.ones(3, requires_grad=True)
    a = x.exp()
    y = a.sin().cos()
    a.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        y.sum().backward()
    graph = ia.capture(y)
    # cos ran and freed what it had; sin failed on what was modified; exp was not reached, and its
    # result is the tensor that was written to.
    assert states(graph, "CosBackward0") == {"self": "freed"}
    assert states(graph, "SinBackward0") == {"self": "modified"}
    assert states(graph, "ExpBackward0") == {"result": "modified"}


def test_a_modified_output() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x.exp()
    node = y.grad_fn
    y.mul_(2)
    assert states(ia.capture(node)) == {"result": "modified"}


def test_written_before_it_was_saved_is_not_modified() -> None:
    x = torch.ones(3, requires_grad=True)
    a = x * 1
    a.add_(1)
    assert states(ia.capture(a.sin()), "SinBackward0") == {"self": "available"}


@pytest.mark.parametrize(
    ("output", "write", "expected"),
    [
        (False, "b", ["available", "modified"]),
        (False, "a", ["modified", "available"]),
        (True, "b", ["available", "modified", "available"]),
        (True, "result", ["available", "available", "modified"]),
    ],
)
def test_a_custom_function_tells_which_one_was_modified(
    output: bool, write: str, expected: list[str]
) -> None:
    x = torch.ones(3, requires_grad=True)
    tensors = {"a": x * 1, "b": x * 2}
    result = Product.apply(tensors["a"], tensors["b"], output)  # type: ignore[no-untyped-call]
    node = result.grad_fn
    {**tensors, "result": result}[write].add_(1)
    graph = ia.capture(node)
    assert [tensor.state for tensor in graph.nodes[0].saved] == expected


def test_a_freed_custom_function() -> None:
    x = torch.ones(3, requires_grad=True)
    y = Product.apply(x * 1, x * 2, False)  # type: ignore[no-untyped-call]
    y.sum().backward()
    assert states(ia.capture(y), "Product*") == {"saved_tensors": "freed"}


def test_lists_of_saved_tensors() -> None:
    x = torch.ones(3, requires_grad=True)
    index = torch.tensor([0, 1])
    y = x[index]
    assert states(ia.capture(y), "Index*") == {"indices[0]": "available"}
    index.add_(0)
    assert states(ia.capture(y), "Index*") == {"indices[0]": "modified"}


def test_a_checkpoint_is_not_recomputed() -> None:
    calls = []

    def block(a: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return a.exp().sin()

    x = torch.ones(3, requires_grad=True)
    y = checkpoint(block, x, use_reentrant=False)
    graph = ia.capture(y)
    assert calls == [1]
    assert set(states(graph).values()) == {"packed"}
    y.sum().backward()
    assert x.grad is not None
    assert torch.allclose(x.grad, torch.exp(x) * torch.cos(torch.exp(x)))


def test_no_hook_of_the_users_runs() -> None:
    calls = []

    def pack(tensor: torch.Tensor) -> object:
        return (tensor,)

    def unpack(packed: Any) -> torch.Tensor:
        calls.append("unpack")
        tensor: torch.Tensor = packed[0]
        return tensor

    x = torch.ones(3, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        y = Product.apply(x.exp(), x.sin(), False)[torch.tensor([0])]  # type: ignore[no-untyped-call]
    graph = ia.capture(y)
    assert calls == []
    assert set(states(graph).values()) == {"packed"}
    y.sum().backward()
    assert calls != []


def test_saved_false_leaves_them_out() -> None:
    graph = ia.capture(torch.ones(3, requires_grad=True).exp(), saved=False)
    assert graph.nodes[0].saved == ()
    assert graph.storages == ()
