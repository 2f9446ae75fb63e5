"""capture: nodes, edges, roots and notes of small programs, worked out by hand."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.graph.records import Edge
from inspect_autograd.graph.tensor_meta import TensorMeta


class Scale(torch.autograd.Function):
    """A custom Function with two outputs."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, factor: float) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.save_for_backward(x)
        ctx.factor = factor
        return x * factor, x + factor

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0] * ctx.factor + grads[1], None


def names(graph: ia.Graph) -> list[str]:
    return [node.name for node in graph.nodes]


def test_the_quadratic_of_the_article() -> None:
    x = torch.arange(4.0, requires_grad=True)
    graph = ia.capture(2 * torch.dot(x, x), params={"x": x})
    mul, dot, leaf = graph.nodes
    assert names(graph) == ["MulBackward0", "DotBackward0", "AccumulateGrad"]
    assert [node.kind for node in graph.nodes] == ["op", "op", "leaf"]
    # x enters dot twice: two edges, one slot each.
    assert list(graph.edges) == [Edge(0, 0, 1, 0), Edge(1, 0, 2, 0), Edge(1, 1, 2, 0)]
    assert [str(node.receives[0]) for node in graph.nodes] == ["f32[]", "f32[]", "f32[4]"]
    # The factor 2 is a tensor input that needs no gradient.
    assert (mul.input_slots, mul.none_slots) == (2, (1,))
    assert (dot.input_slots, dot.none_slots) == (2, ())
    assert leaf.parameter is not None
    assert leaf.parameter.names == ("x",)
    assert leaf.sequence_nr is None
    assert mul.sequence_nr is not None
    assert dot.sequence_nr is not None
    assert mul.sequence_nr == dot.sequence_nr + 1  # made right after it
    assert graph.roots[0].meta == TensorMeta((), "float32", "cpu", "strided")
    assert graph.torch_version == torch.__version__


def test_a_root_may_be_one_output_of_several() -> None:
    x = torch.randn(3, 2, requires_grad=True)
    second = x.unbind()[1]
    graph = ia.capture(second)
    assert graph.roots[0].slot == 1
    assert len(graph.nodes[0].receives) == 3
    assert graph.nodes[0].attributes == {"dim": 0}


def test_edges_keep_the_output_slot_of_their_target() -> None:
    x = torch.randn(2, 3, requires_grad=True)
    a, b = x.unbind()
    graph = ia.capture(b * a)
    assert names(graph) == ["MulBackward0", "UnbindBackward0", "AccumulateGrad"]
    assert list(graph.edges)[:2] == [Edge(0, 0, 1, 1), Edge(0, 1, 1, 0)]


def test_a_leaf_is_a_root() -> None:
    x = torch.ones(3, requires_grad=True)
    graph = ia.capture(x, params={"x": x})
    assert names(graph) == ["AccumulateGrad"]
    assert graph.nodes[0].label == "x"
    assert graph.nodes[0].receives == (TensorMeta((3,), "float32", "cpu"),)


def test_nodes_and_gradient_edges_are_roots() -> None:
    y = torch.ones(3, requires_grad=True).exp().sum()
    edge = torch.autograd.graph.get_gradient_edge(y)
    by_tensor = ia.capture(y)
    for other in (ia.capture(y.grad_fn), ia.capture(edge)):
        assert other.node_table == by_tensor.node_table
        assert other.edge_table == by_tensor.edge_table
        assert other.roots[0].meta is None


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclasses.dataclass
class Output:
    loss: Any
    logits: Any


def test_nests_are_flattened_with_paths_and_what_has_no_graph_is_noted() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    nest = {"out": [y, None], "pair": Pair(y.sum(), 3), "data": Output(y.exp(), torch.ones(2))}
    graph = ia.capture(nest)
    assert [root.path for root in graph.roots] == ["['out'][0]", "['pair'].first", "['data'].loss"]
    assert names(graph)[:3] == ["MulBackward0", "SumBackward0", "ExpBackward0"]
    assert [(note.path, note.what) for note in graph.notes] == [
        ("['out'][1]", "None"),
        ("['pair'].second", "int"),
        ("['data'].logits", "f32[2]"),
    ]


def test_a_nest_that_holds_itself_ends() -> None:
    nest: list[Any] = [torch.ones(2, requires_grad=True).exp()]
    nest.append(nest)
    graph = ia.capture(nest)
    assert len(graph.roots) == 1
    assert graph.notes[0].path == "[1]"


def test_two_roots_of_one_node_are_one_node() -> None:
    a, b = torch.ones(2, 2, requires_grad=True).unbind()
    graph = ia.capture([b, a])
    assert [(root.node, root.slot) for root in graph.roots] == [(0, 1), (0, 0)]


def test_many_members_without_a_graph_are_counted() -> None:
    y = torch.ones(2, requires_grad=True).exp()
    graph = ia.capture([y, *range(1000)])
    assert len(graph.notes) == 101
    assert graph.notes[-1].what == "900 more members"


def test_a_custom_function() -> None:
    x = torch.ones(2, requires_grad=True)
    w = x * 1
    first, second = Scale.apply(w, 3.0)  # type: ignore[no-untyped-call]
    graph = ia.capture(first + second)
    node = graph.nodes[1]
    assert (node.name, node.kind) == ("ScaleBackward", "custom")
    assert node.attributes == {"needs_input_grad": (True, False), "factor": 3.0}
    assert [str(saved) for saved in node.saved] == ["saved_tensors[0]: f32[2] 8 B"]
    assert (node.input_slots, node.none_slots) == (1, ())  # the float has no slot
    assert [str(meta) for meta in node.receives] == ["f32[2]", "f32[2]"]
    assert [edge for edge in graph.edges if edge.source == 0] == [
        Edge(0, 0, 1, 0),
        Edge(0, 1, 1, 1),
    ]


def test_writing_into_a_view_makes_copy_slices() -> None:
    x = torch.ones(4, requires_grad=True)
    base = x * 1
    base[:2].mul_(3)
    graph = ia.capture(base)
    assert graph.nodes[0].name == "CopySlices"
    assert "MulBackward0" in names(graph)


def test_second_order_nodes_are_told_by_their_names() -> None:
    x = torch.ones(3, requires_grad=True)
    (first,) = torch.autograd.grad(x.sigmoid().sum(), x, create_graph=True)
    graph = ia.capture(first)
    orders = {node.name: node.order for node in graph.nodes}
    assert orders.pop("SigmoidBackwardBackward0") == 2
    assert set(orders.values()) == {None}
    assert "SigmoidBackward0" in orders


def test_a_name_alone_does_not_tell_the_order() -> None:
    x = torch.randn(64, requires_grad=True)
    window = torch.hann_window(16)
    y = x.unfold(0, 16, 4).sin().reshape(-1)
    spectrum = torch.stft(y, 16, 4, window=window, return_complex=True)
    graph = ia.capture(torch.istft(spectrum * 2, 16, 4, window=window).sum())
    # istft calls the derivative formula of unfold in its forward pass.
    assert {"UnfoldBackwardBackward0", "UnfoldBackward0"} <= set(names(graph))
    assert {node.order for node in graph.nodes} == {None}


def test_anomaly_mode_tells_every_order() -> None:
    x = torch.ones(3, requires_grad=True)
    with pytest.warns(UserWarning, match="Anomaly"), torch.autograd.detect_anomaly():
        (first,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    graph = ia.capture(first)
    orders = {node.name: node.order for node in graph.nodes}
    # d(x^3)/dx = grad * (3 * x^2): the product and the power are made while PowBackward0 runs.
    assert orders["MulBackward0"] == 2
    assert orders["AccumulateGrad"] is None
    assert 2 in {node.order for node in graph.find("PowBackward0")}


def test_max_nodes_cuts_and_says_where() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x
    for _ in range(10):
        y = y * 2
    graph = ia.capture(y, max_nodes=4)
    assert len(graph) == 4
    assert graph.truncation is not None
    assert (graph.truncation.max_nodes, graph.truncation.cut_edges) == (4, 1)
    last = graph.nodes[3]
    assert (last.cut_slots, last.none_slots) == ((0,), (1,))
    assert ia.capture(y, max_nodes=12).truncation is None  # 10 products and the leaf


def test_max_nodes_keeps_all_roots() -> None:
    x = torch.ones(3, requires_grad=True)
    graph = ia.capture([x.exp(), x.sin(), x.cos()], max_nodes=1)
    assert names(graph) == ["ExpBackward0", "SinBackward0", "CosBackward0"]
    assert graph.truncation is not None
    assert graph.truncation.cut_edges == 3


def test_signed_attributes_are_signed() -> None:
    x = torch.randn(2, 3, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(x, torch.tensor([0, -100]))
    node = ia.capture(loss).find("NllLoss*")[0]
    assert node.attributes == {"ignore_index": -100, "reduction": 1}


def test_capturing_does_not_change_gradients_or_need_the_graph_alive() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    x = torch.randn(5, 3)
    expected = torch.autograd.grad(model(x).sum(), list(model.parameters()))
    loss = model(x).sum()
    graph = ia.capture(loss, params=model)
    got = torch.autograd.grad(loss, list(model.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True))
    del loss
    assert set(graph.parameters()) == {"0.weight", "0.bias", "2.weight", "2.bias"}
