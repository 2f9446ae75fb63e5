from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

import inspect_autograd as ia
from inspect_autograd.graph.records import Root
from inspect_autograd.live.parameters import collect_names
from inspect_autograd.live.tensor_meta import TensorMetaCache
from inspect_autograd.live.tracing.growing_graph import GrowingGraph


def new(params: Any = None) -> GrowingGraph:
    return GrowingGraph(collect_names(params), TensorMetaCache())


def test_it_is_what_capture_sees() -> None:
    x = torch.ones(3, requires_grad=True)
    loss = (x.exp() * x.sin()).sum()
    graph = new({"x": x})
    added = graph.add(graph.walk([loss.grad_fn]))
    assert [id for id, _ in added] == list(range(len(added)))
    assert graph.add(graph.walk([loss.grad_fn])) == []
    graph.add_root(Root("", 0, 0, None))
    expected = ia.capture(loss, params={"x": x}, saved=False)
    assert graph.to_graph() == replace(expected, roots=(Root("", 0, 0, None),))
    assert graph.names == [node.name for node in expected.nodes]
    assert [graph.kind_of(node.id) for node in expected.nodes] == [n.kind for n in expected.nodes]


def test_what_comes_later_stands_behind() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x.exp()
    loss = y.sum()
    graph = new({"x": x})
    graph.add(graph.walk([loss.grad_fn]))
    small = graph.to_graph()
    # It reaches both what is known and what is new, in mixed order.
    larger = (y.sin() * loss).sum()
    added = graph.add(graph.walk([larger.grad_fn]))
    assert [id for id, _ in added] == list(range(3, 3 + len(added)))
    grown = graph.to_graph()
    assert grown.nodes[: len(small)] == small.nodes[: len(small)]
    assert [n.name for n in grown.nodes[len(small) :]] == [
        "SumBackward0",
        "MulBackward0",
        "SinBackward0",
    ]
    names = [node.name for node in grown.nodes]
    edges = {(names[e.source], e.source_slot, names[e.target]) for e in grown.edges}
    assert edges == {
        ("SumBackward0", 0, "ExpBackward0"),
        ("ExpBackward0", 0, "AccumulateGrad"),
        ("SumBackward0", 0, "MulBackward0"),
        ("MulBackward0", 0, "SinBackward0"),
        ("MulBackward0", 1, "SumBackward0"),
        ("SinBackward0", 0, "ExpBackward0"),
    }
    assert len(grown.edges) == 6
    assert grown.nodes[2].parameter is not None
    assert grown.nodes[2].parameter.names == ("x",)
    assert [graph.kind_of(id) for id in range(6)] == [node.kind for node in grown.nodes]


def test_roots_are_there_once() -> None:
    x = torch.ones(3, requires_grad=True)
    graph = new()
    graph.add(graph.walk([(x * 2).grad_fn]))
    for path, slot in [("", 0), ("again", 0), ("other slot", 1)]:
        graph.add_root(Root(path, 0, slot, None))
    assert [root.path for root in graph.to_graph().roots] == ["", "other slot"]


def test_graph_is_made_once() -> None:
    x = torch.ones(3, requires_grad=True)
    graph = new()
    graph.add(graph.walk([(x * 2).grad_fn]))
    first = graph.to_graph()
    assert graph.to_graph() is first
    graph.orders[0] = 2
    assert graph.to_graph().nodes[0].order == 2
    assert first.nodes[0].order is None


def test_release() -> None:
    x = torch.ones(3, requires_grad=True)
    loss = (x * 2).sum()
    graph = new()
    graph.add(graph.walk([loss.grad_fn]))
    expected = graph.to_graph()
    graph.release()
    assert graph.ids == {}
    graph.orders[0] = 1
    assert len(graph.to_graph()) == len(expected) == 3
    # A pass that begins in another thread at this moment must not be given used ids.
    assert graph.add(graph.walk([loss.grad_fn])) == []
    assert len(graph.to_graph()) == 3
