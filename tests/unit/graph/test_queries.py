"""What can be asked of a graph, on one small graph drawn in the comment below."""

from __future__ import annotations

import pickle
from typing import Any

import networkx
import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentError, ArgumentTypeError
from inspect_autograd.graph.fold import infer_scopes
from inspect_autograd.graph.graph import Graph
from inspect_autograd.graph.records import (
    Edge,
    NodeKind,
    Parameter,
    Root,
    SavedTensor,
    Storage,
    Truncation,
)
from inspect_autograd.graph.tables import EdgeTable, NodeTable
from inspect_autograd.graph.tensor_meta import TensorMeta
from tests.unit.recorded_models import capture_recorded

F4 = TensorMeta((4,), "float32")


@pytest.fixture
def graph() -> Graph:
    """A sum of a product with itself and a weight.

    0 Sum -> 1 Add -> 2 Mul (both slots) -> 4 w
                   -> 3 Exp              -> 4 w      (3 has a None slot, 1 a cut one)
    """
    kinds: list[NodeKind] = ["op", "op", "op", "op", "leaf"]
    meta = TensorMeta((4,), "float32", "cpu", "strided")
    return Graph(
        node_table=NodeTable(
            names=[
                "SumBackward0",
                "AddBackward0",
                "MulBackward0",
                "ExpBackward0",
                "AccumulateGrad",
            ],
            kinds=kinds,
            sequence_nrs=[9, 8, 7, 6, None],
            receives=[(TensorMeta((), "float32"),), (F4,), (F4,), (F4,), (F4,)],
            input_slots=[1, 3, 2, 2, 0],
            saved={
                2: (
                    SavedTensor("other", meta, 16, 0, "available", ("w",)),
                    SavedTensor("self", meta, 16, 0, "available", ("w",)),
                ),
                3: (
                    SavedTensor("result", meta, 16, 1, "modified"),
                    SavedTensor("x", None, None, None, "freed"),
                ),
            },
            attributes={1: {"alpha": 1}},
            parameters={4: Parameter(("w", "tied.w"), meta)},
            cut_slots={1: (2,)},
        ),
        edge_table=EdgeTable.from_edges(
            5,
            [
                Edge(3, 0, 4, 0),
                Edge(0, 0, 1, 0),
                Edge(1, 0, 2, 0),
                Edge(1, 1, 3, 0),
                Edge(2, 1, 4, 0),
                Edge(2, 0, 4, 0),
            ],
        ),
        roots=(Root("", 0, 0, None),),
        storages=(Storage(16, ("w",)), Storage(160)),
        truncation=Truncation(5, 1),
        torch_version="2.13.0",
    )


def ids(nodes: Any) -> list[int]:
    return [node.id for node in nodes]


def test_edges_come_in_the_order_of_sources_and_slots(graph: Graph) -> None:
    assert [(e.source, e.source_slot, e.target) for e in graph.edges] == [
        (0, 0, 1),
        (1, 0, 2),
        (1, 1, 3),
        (2, 0, 4),
        (2, 1, 4),
        (3, 0, 4),
    ]
    assert graph.edges[-1] == Edge(3, 0, 4, 0)
    assert graph.edges[1:2] == (Edge(1, 0, 2, 0),)


def test_none_slots_are_those_without_an_edge_and_not_cut(graph: Graph) -> None:
    assert [node.none_slots for node in graph.nodes] == [(), (), (), (1,), ()]
    assert graph.nodes[1].cut_slots == (2,)


def test_views_are_sequences(graph: Graph) -> None:
    assert len(graph.nodes) == len(graph) == 5
    assert graph.nodes[-1].name == "AccumulateGrad"
    assert ids(graph.nodes[1:4:2]) == [1, 3]
    with pytest.raises(IndexError):
        graph.nodes[5]
    with pytest.raises(IndexError):
        graph.edges[6]
    assert (repr(graph.nodes), repr(graph.edges)) == ("<5 nodes>", "<6 edges>")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*Backward0", [0, 1, 2, 3]),
        ("Mul*", [2]),
        ("mul*", []),
        ("tied.*", [4]),
        ("Accumulate?rad", [4]),
        ("[AE]*", [1, 3, 4]),
        ("", []),
    ],
)
def test_find(graph: Graph, pattern: str, expected: list[int]) -> None:
    assert ids(graph.find(pattern)) == expected


def test_neighbours(graph: Graph) -> None:
    assert ids(graph.next_nodes(1)) == [2, 3]
    assert ids(graph.next_nodes(graph.nodes[2])) == [4]
    assert ids(graph.previous_nodes(4)) == [2, 3]
    assert ids(graph.previous_nodes(0)) == []


def test_descendants_are_where_the_gradient_flows_on_to(graph: Graph) -> None:
    assert ids(graph.descendants(1)) == [2, 3, 4]
    assert ids(graph.descendants(4)) == []
    assert ids(graph.ancestors(3)) == [0, 1]
    assert ids(graph.ancestors(0)) == []


def test_path(graph: Graph) -> None:
    assert ids(graph.path(0, 4)) == [0, 1, 2, 4]
    assert ids(graph.path(2, 2)) == [2]
    assert graph.path(4, 0) == ()
    assert graph.path(2, 3) == ()


def test_leaves_and_parameters(graph: Graph) -> None:
    assert ids(graph.leaves()) == [4]
    assert set(graph.parameters()) == {"w", "tied.w"}


def test_topological_order(graph: Graph) -> None:
    order = graph.topological_order()
    assert all(order.index(edge.source) < order.index(edge.target) for edge in graph.edges)
    assert len(order) == 5


def test_saved_bytes_count_each_storage_once(graph: Graph) -> None:
    assert graph.saved_bytes() == 176
    assert graph.saved_bytes([2]) == 16
    assert graph.saved_bytes([graph.nodes[3]]) == 160
    assert graph.saved_bytes([]) == 0


def test_summary(graph: Graph) -> None:
    summary = graph.summary()
    assert (summary.nodes, summary.edges, summary.depth) == (5, 6, 3)
    assert (summary.leaves, summary.named_leaves) == (1, 1)
    assert summary.saved_tensors == {"available": 2, "freed": 1, "modified": 1}
    assert (summary.saved_bytes, summary.parameter_bytes) == (176, 16)
    size, nodes, leaves, saved, cut = str(summary).splitlines()
    assert size == "5 nodes, 6 edges, 1 root, depth 3"
    assert nodes == (
        "nodes   SumBackward0 ×1, AddBackward0 ×1, MulBackward0 ×1, ExpBackward0 ×1, "
        "AccumulateGrad ×1"
    )
    assert leaves == "leaves  1, of which 1 named"
    assert saved == (
        "saved   2 available, 1 freed, 1 modified; they keep 176 B, 16 B of it in named "
        "parameters and buffers"
    )
    assert cut == "cut at max_nodes=5: 1 edges lead to nodes that were not captured"


def test_to_networkx(graph: Graph) -> None:
    result = graph.to_networkx()
    assert isinstance(result, networkx.MultiDiGraph)
    assert result.number_of_nodes() == 5
    assert result.number_of_edges() == 6  # the parallel edges stay apart
    assert result.nodes[2]["name"] == "MulBackward0"
    assert result.edges[2, 4, 1]["target_slot"] == 0
    assert networkx.is_directed_acyclic_graph(result)


def test_a_graph_is_a_value(graph: Graph) -> None:
    copy = pickle.loads(pickle.dumps(graph))
    assert copy == graph
    assert ids(copy.previous_nodes(4)) == [2, 3]
    with pytest.raises(AttributeError):
        graph.roots = ()  # type: ignore[misc]


def test_reprs_are_bounded(graph: Graph) -> None:
    assert repr(graph) == "<Graph of SumBackward0: 5 nodes, 6 edges, truncated>"
    assert str(graph.nodes[4]) == "#4 w receives f32[4]"


@pytest.mark.parametrize("node", [5, -1])
def test_a_node_of_another_graph_is_refused(graph: Graph, node: int) -> None:
    with pytest.raises(ArgumentError, match=f"id {node}, but this graph has ids 0 to 4"):
        graph.descendants(node)


@pytest.mark.parametrize("node", ["Mul", None, True, 1.0])
def test_what_is_no_node_is_refused(graph: Graph, node: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="expected a Node of this graph or its id"):
        graph.path(0, node)


def test_a_pattern_that_is_no_string_is_refused(graph: Graph) -> None:
    with pytest.raises(ArgumentTypeError, match="pattern is 3"):
        graph.find(3)  # type: ignore[arg-type]


def test_find_by_recorded_module() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh())
    graph = capture_recorded(model, lambda: model(torch.ones(1, 2)).sum())
    # In the order of ids, from the loss to the leaves.
    assert [node.label for node in graph.find("0")] == [
        "AddmmBackward0",
        "0.bias",
        "TBackward0",
        "0.weight",
    ]
    assert [node.label for node in graph.find("1*")] == ["TanhBackward0"]
    assert [node.label for node in graph.find("*.weight")] == ["0.weight"]
    assert graph.find("") == ()


def test_inferred_modules_are_not_found() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    graph = infer_scopes(ia.capture(model(torch.ones(1, 2)).sum(), params=model))
    assert graph.nodes[1].scope == "0"
    assert graph.find("0") == ()
