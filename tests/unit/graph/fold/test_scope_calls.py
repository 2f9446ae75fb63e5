"""Folding by module where the calls of the modules were recorded."""

from dataclasses import replace

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from inspect_autograd.graph.creation import Creation, SourceLine
from inspect_autograd.graph.fold import infer_scopes
from inspect_autograd.graph.graph import Graph
from tests.unit.graph.fold.building import build, inner_edges, is_acyclic, labels, shown_edges
from tests.unit.graph.fold.test_properties import graphs
from tests.unit.recorded_models import capture_recorded


class Siamese(nn.Module):
    """One encoder for two inputs, which never meet inside of it."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4))
        self.head = nn.Linear(4, 1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        result: Tensor = self.head((self.encoder(a) - self.encoder(b)).abs())
        return result


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4)
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.fc(self.norm(x)).relu()
        return result


class Looped(nn.Module):
    """Calls one block three times, one after another."""

    def __init__(self) -> None:
        super().__init__()
        self.block = Block()

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = self.block(x)
        return x


class Cells(nn.Module):
    """Two cells in a loop, and no operation of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = self.second(self.first(x))
        return x


def test_parallel_calls_of_one_module_are_two_boxes() -> None:
    model = Siamese()
    graph = capture_recorded(model, lambda: model(torch.ones(2, 4), torch.zeros(2, 4)).sum())
    folded = graph.fold("scope")
    assert labels(folded) == [
        "SumBackward0",
        "head",
        "AbsBackward0",
        "SubBackward0",
        "encoder (call 1 of 2)",
        "encoder (call 2 of 2)",
    ]
    # Two products, each with a transposed weight, and a tanh; the four parameters with the first.
    assert [len(node.members) for node in folded.nodes[4:]] == [9, 5]
    assert folded.scopes == "recorded"
    assert is_acyclic(folded)


def test_calls_one_after_another_that_need_no_splitting() -> None:
    # One box for all three calls would close no cycle: nothing lies between them.
    model = Looped()
    graph = capture_recorded(model, lambda: model(torch.ones(2, 4)).sum())
    folded = graph.fold("scope")
    assert labels(folded) == ["SumBackward0", *(f"block (call {i} of 3)" for i in (3, 2, 1))]
    assert [node.creation and node.creation.call for node in folded.nodes] == [None, 2, 1, 0]


def test_a_loop_inside_a_module_is_one_call_of_it() -> None:
    model = nn.ModuleDict({"cells": Cells()})
    graph = capture_recorded(model, lambda: model["cells"](torch.ones(2, 4)).sum())
    assert {*labels(graph.fold("scope"))} == {
        "SumBackward0",
        *(f"cells.{name} (call {i} of 3)" for i in (1, 2, 3) for name in ("first", "second")),
    }
    # As a part of something larger.
    other = replace(
        graph, node_table=replace(graph.node_table, scopes={**graph.node_table.scopes, 0: "other"})
    )
    assert labels(other.fold("scope", depth=1)) == ["SumBackward0", "cells"]


def test_a_call_that_is_left_and_entered_again_has_parts() -> None:
    # The middle node was made in a module that is registered elsewhere.
    creations = {node: Creation(call=0) for node in range(5)}
    scopes = {0: "a", 1: "a", 2: "b", 3: "a", 4: "a"}
    graph = build("0>1 1>2 2>3 3>4", "M M M M M", scopes=scopes)
    graph = replace(graph, node_table=replace(graph.node_table, creations=creations))
    assert labels(graph.fold("scope")) == ["a (part 2 of 2)", "M", "a (part 1 of 2)"]
    made_twice = {**creations, 0: Creation(call=1), 1: Creation(call=1)}
    twice = replace(graph, node_table=replace(graph.node_table, creations=made_twice))
    assert labels(twice.fold("scope")) == ["a (call 2 of 2)", "M", "a (call 1 of 2)"]


def test_recorded_scopes_are_not_inferred_anew() -> None:
    # Tanh follows the first Linear, so by the names alone it would be of the outermost module.
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    graph = capture_recorded(model, lambda: model(torch.ones(2, 4)).sum())
    assert infer_scopes(graph) is graph
    (tanh,) = graph.find("TanhBackward0")
    assert tanh.scope == "1"


def test_alike_blocks_keep_what_their_creations_agree_in() -> None:
    model = nn.Sequential(*(Block() for _ in range(3)))
    x = torch.ones(2, 4, requires_grad=True)
    graph = capture_recorded(model, lambda: model(x).sum())
    (relu,) = graph.fold("repeat").find("ReluBackward0")
    assert relu.scope == "0…2"
    assert relu.creation is not None
    assert (relu.creation.function, relu.creation.call) == ("torch.Tensor.relu", 0)
    assert relu.source is not None
    assert relu.source.function == "Block.forward"
    lines = {
        node.id: replace(node.creation, source=SourceLine("a.py", node.id, "f"))
        for node in graph.nodes
        if node.creation is not None
    }
    other = replace(graph, node_table=replace(graph.node_table, creations=lines))
    (relu,) = other.fold("repeat").find("ReluBackward0")
    assert relu.creation is not None
    assert (relu.creation.function, relu.source) == ("torch.Tensor.relu", None)


def test_alike_calls_are_shown_once() -> None:
    model = Looped()
    # With an input that requires grad, the first call is like the others.
    x = torch.ones(2, 4, requires_grad=True)
    graph = capture_recorded(model, lambda: model(x).sum())
    folded = graph.fold("repeat")
    (repeat,) = folded.repeats
    assert repeat.label == "block (calls 1 … 3) ×3"
    assert repeat.scopes == ("block (call 1)", "block (call 2)", "block (call 3)")
    # Sum of the residual, relu, product with the transposed weight, and norm, each for three.
    inside = [folded.nodes[id] for id in repeat.nodes]
    assert sorted(node.name for node in inside) == [
        "AddBackward0",
        "AddmmBackward0",
        "NativeLayerNormBackward0",
        "ReluBackward0",
        "TBackward0",
    ]
    assert {len(node.members) for node in inside} == {3}
    assert {node.scope for node in inside} == {"block", "block.fc", "block.norm"}
    # What they share is not repeated: four parameters, beside the sum and the input.
    assert len(folded) == 5 + 4 + 2
    # The residual and the branch lead to the call before, twice.
    assert sum(link.count for link in repeat.links) == 2 * 2
    assert shown_edges(folded) == len(graph.edges)
    assert is_acyclic(folded)


def test_calls_that_differ_are_not_shown_as_one() -> None:
    # Without a gradient for the input, the first call lacks the edge of its residual.
    model = Looped()
    graph = capture_recorded(model, lambda: model(torch.ones(2, 4)).sum())
    (repeat,) = graph.fold("repeat").repeats
    assert repeat.label == "block (calls 2 … 3) ×2"


def test_calls_of_one_operation_are_left_alone() -> None:
    model = nn.ModuleDict({"act": nn.Tanh()})
    x = torch.ones(2, requires_grad=True)

    def run() -> Tensor:
        result: Tensor = (model["act"](x) * model["act"](x + 1)).sum()
        return result

    graph = capture_recorded(model, run)
    assert graph.fold("repeat") is graph


def test_numbered_siblings_come_before_the_calls_inside_them() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.fc(self.fc(x))
            return result

    model = nn.Sequential(*(Twice() for _ in range(3)))
    x = torch.ones(2, 4, requires_grad=True)
    folded = capture_recorded(model, lambda: model(x).sum()).fold("repeat")
    assert [repeat.label for repeat in folded.repeats] == ["0 … 2 ×3"]


def test_a_module_that_stands_for_several_calls_is_named_without_one() -> None:
    class Alternating(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = Block(), Block()

        def forward(self, x: Tensor) -> Tensor:
            for _ in range(4):
                x = self.b(self.a(x).sin())
            return x

    model = Alternating()
    x = torch.ones(2, 4, requires_grad=True)
    graph = capture_recorded(model, lambda: model(x).sum())
    folded = graph.fold("scope").fold("repeat")
    assert {node.label for node in folded.nodes if node.id in folded.repeats[0].nodes} == {
        "b",
        "SinBackward0",
        "a",
    }


@st.composite
def graphs_with_calls(draw: st.DrawFn) -> Graph:
    graph = draw(graphs())
    creations = {
        node: Creation(call=draw(st.integers(0, 2)))
        for node in graph.node_table.scopes
        if graph.node_table.kinds[node] != "leaf" and draw(st.booleans())
    }
    return replace(graph, node_table=replace(graph.node_table, creations=creations))


@given(graphs_with_calls(), st.integers(1, 3))
def test_whatever_the_calls_are_nothing_is_lost_and_no_cycle_made(graph: Graph, depth: int) -> None:
    folded = graph.fold("scope", depth=depth)
    assert is_acyclic(folded)
    assert sorted(member for node in folded.nodes for member in node.members) == [
        *range(len(graph))
    ]
    assert shown_edges(folded) + inner_edges(graph, folded) == len(graph.edges)
    assert graph.fold("scope", depth=depth) == folded
    repeated = graph.fold("repeat")
    assert is_acyclic(repeated)
    assert shown_edges(repeated) == len(graph.edges)
