"""Which call, line and module made a node."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import inspect_autograd as ia


def line_of(marker: str) -> int:
    """The line of this file that ends with a marker."""
    lines = inspect.getsource(inspect.getmodule(line_of) or object).splitlines()
    (found,) = [number for number, line in enumerate(lines, 1) if line.endswith(f"# {marker}")]
    return found


def by_name(graph: ia.Graph, name: str) -> ia.Node:
    (node,) = [node for node in graph.nodes if node.name == name]
    return node


class Cubed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        result: Tensor = gradient * 3 * x.square()  # in backward
        return result


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 3)
        self.act = nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.act(self.inner(x))  # inner call
        return hidden + x  # residual


def test_every_node_has_function_line_and_module() -> None:
    model = Block()
    x = torch.ones(2, 3)
    with ia.record(model) as recording:
        loss = model(x).square().sum()  # loss
        loss.backward()
    graph = recording.graph
    assert graph.scopes == "recorded"
    assert [
        (node.name, node.creation.function, node.source.line, node.scope, node.creation.call)
        for node in graph.nodes
        if node.creation is not None and node.source is not None
    ] == [
        ("SumBackward0", "Tensor.sum", line_of("loss"), None, None),
        ("PowBackward0", "Tensor.square", line_of("loss"), None, None),
        ("AddBackward0", "Tensor.add", line_of("residual"), "", 0),
        ("TanhBackward0", "torch.tanh", line_of("inner call"), "act", 0),
        ("AddmmBackward0", "torch.nn.functional.linear", line_of("inner call"), "inner", 0),
        ("TBackward0", "torch.nn.functional.linear", line_of("inner call"), "inner", 0),
    ]
    assert {node.label: node.scope for node in graph.leaves()} == {
        "inner.bias": "inner",
        "inner.weight": "inner",
    }
    source = by_name(graph, "AddBackward0").source
    assert source is not None
    assert (source.file, source.function) == (__file__, "Block.forward")


def test_the_innermost_library_line_is_there_and_all_of_them_on_request() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    stacks = []
    for stack in (False, True):
        with ia.record(model, stack=stack) as recording:
            model(torch.ones(1, 2)).sum().backward()
        creation = by_name(recording.graph, "AddmmBackward0").creation
        assert creation is not None
        stacks.append([line.function for line in creation.stack])
    assert stacks[0] == ["Linear.forward"]
    assert stacks[1][-1] == "Linear.forward"
    assert "Sequential.forward" in stacks[1]


def test_custom_functions_and_what_they_make_in_backward() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    with ia.record(params={"x": x}) as recording:
        y = (Cubed.apply(x) ** 2).sum()  # type: ignore[no-untyped-call]  # forward
        (first,) = torch.autograd.grad(y, x, create_graph=True)
        first.sum().backward()
    graph = recording.graph
    cubed = by_name(graph, "CubedBackward").creation
    assert cubed is not None
    assert cubed.source is not None
    assert cubed.function is not None
    assert cubed.function.endswith("Cubed.apply")
    assert cubed.source.line == line_of("forward")
    assert not cubed.made_by
    # (x³)² has the derivative 2·x³ · 3·x²: the two products in the backward of Cubed, and its
    # square, were made while it ran; the two products of pow while that ran.
    made = [node.creation for node in graph.nodes if node.creation and node.creation.made_by]
    of_cubed = [c for c in made if "CubedBackward" in c.made_by]
    assert {c.source.line for c in of_cubed if c.source} == {line_of("in backward")}
    assert sorted(str(c.function) for c in of_cubed) == [
        "Tensor.mul",
        "Tensor.mul",
        "Tensor.square",
    ]
    of_pow = [c for c in made if "PowBackward0" in c.made_by]
    assert len(of_pow) == len(made) - 3 > 0
    assert {(c.function, c.source.line) for c in of_pow if c.source} == {
        ("Tensor.pow", line_of("forward"))
    }


def test_a_recomputed_forward_pass_has_its_lines() -> None:
    model = Block()
    x = torch.ones(2, 3, requires_grad=True)
    for use_reentrant in (True, False):
        with ia.record(model) as recording:
            checkpoint(model, x, use_reentrant=use_reentrant).sum().backward()
        tanh = by_name(recording.graph, "TanhBackward0")
        assert (tanh.scope, tanh.source and tanh.source.line) == ("act", line_of("inner call"))
        # The inner graph of a reentrant checkpoint is made by the second run of the module.
        assert tanh.creation is not None
        assert tanh.creation.call == (1 if use_reentrant else 0)


def test_calls_of_a_module_are_told_apart_and_counted_anew_in_each_step() -> None:
    model = Block()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with ia.record(model) as recording:
        for _ in range(2):
            model(model(torch.ones(1, 3))).sum().backward()
            optimizer.step()
    for trace in recording.traces:
        calls = [
            n.creation.call for n in trace.graph.nodes if n.name == "TanhBackward0" and n.creation
        ]
        assert calls == [1, 0]  # From the loss: the second call comes first.


def test_a_view_whose_node_was_made_anew() -> None:
    x = torch.ones(4, requires_grad=True)
    with ia.record() as recording:
        base = x * 2
        view = base[:2]
        base.mul_(3)
        total = view.sum()  # asks for the grad_fn of the view
        total.backward()
    strided = by_name(recording.graph, "AsStridedBackward0")
    assert strided.source is not None
    assert strided.source.line == line_of("asks for the grad_fn of the view")


def test_what_was_made_before_the_block_says_so() -> None:
    x = torch.ones(2, requires_grad=True)
    early = x * 2
    with ia.record() as recording:
        early.exp().sum().backward()
    creations = {node.name: node.creation for node in recording.graph.nodes}
    before = creations["MulBackward0"]
    assert before is not None
    assert before.source is None
    assert "before the block" in before.reason
    exp = creations["ExpBackward0"]
    assert exp is not None
    assert not exp.reason


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_scripted_code_is_placed_by_its_module_or_says_why_it_is_not() -> None:
    @torch.jit.script
    def scripted(x: Tensor) -> Tensor:
        return (x * 2).relu() * 3

    x = torch.ones(2, requires_grad=True)
    with ia.record() as recording:
        scripted(x).sum().backward()
    relu = by_name(recording.graph, "ReluBackward0").creation
    assert relu is not None
    assert relu.source is None
    assert "TorchScript" in relu.reason


def test_leaves_that_no_module_owns_have_no_module() -> None:
    model = nn.Linear(2, 1)
    x = torch.ones(1, 2, requires_grad=True)
    with ia.record(model, params={"x": x}) as recording:
        model(x).sum().backward()
    scopes = {node.label: node.scope for node in recording.graph.leaves()}
    assert scopes == {"x": None, "weight": "", "bias": ""}


def test_a_graph_that_is_captured_inside_the_block_is_attributed() -> None:
    model = Block()
    with ia.record(model):
        loss = model(torch.ones(2, 3)).sum()
        inside = ia.capture(loss, params=model)
    outside = ia.capture(loss, params=model)
    assert inside.scopes == "recorded"
    tanh = by_name(inside, "TanhBackward0")
    assert tanh.scope == "act"
    assert tanh.source is not None
    assert tanh.source.line == line_of("inner call")
    assert outside.scopes is None
    assert by_name(outside, "TanhBackward0").creation is None


def test_a_live_node_can_be_asked_for() -> None:
    x = torch.ones(2, requires_grad=True)
    with ia.record() as recording:
        y = x.exp()  # asked for
        creation = recording.creation_of(y.grad_fn)
    assert creation is not None
    assert creation.source is not None
    assert creation.source.line == line_of("asked for")
    assert recording.creation_of(y.grad_fn) == creation  # After the block, too.
    assert recording.creation_of("no node") is None
