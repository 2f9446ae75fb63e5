"""Whether two graphs are the same, as a comparison of their traces says it."""

from dataclasses import replace

import pytest

from inspect_autograd.events.compare import compare_traces
from inspect_autograd.graph.graph import Graph
from inspect_autograd.graph.tensor_meta import TensorMeta
from tests.unit.hand_traces import make_trace, stats
from tests.unit.render.graphs import chain, make_graph


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (
            make_graph(["MulBackward0", "AddBackward0", "AccumulateGrad"], [(0, 1), (1, 2)],
                       leaves={2: "w"}),
            "node #1 is MulBackward0 in a and AddBackward0 in b (3 nodes in a, 3 in b)",
        ),
        (chain(4), "node #2 is AccumulateGrad in a and MulBackward0 in b (3 nodes in a, 5 in b)"),
        (
            make_graph(["MulBackward0", "MulBackward0", "AccumulateGrad"], [(0, 1), (0, 2), (1, 2)],
                       leaves={2: "w"}),
            "slot 1 of node #0 MulBackward0 leads to nothing in a and #2 (slot 0) in b",
        ),
        (
            make_graph(["MulBackward0", "MulBackward0", "AccumulateGrad"], [(0, 1), (1, 2)],
                       leaves={2: "v"}),
            "leaf #2 is w in a and v in b",
        ),
    ],
)  # fmt: skip
def test_the_first_difference_in_structure_is_said(other: Graph, text: str) -> None:
    comparison = compare_traces(make_trace(chain(2), []), make_trace(other, []))
    assert comparison.structure == text
    assert not comparison.by_position
    assert not comparison.is_same


def test_edges_that_differ_in_their_slot_only() -> None:
    names = ["AddmmBackward0", "AccumulateGrad"]
    graphs = [make_graph(names, [(0, slot, 1, 0)], leaves={1: "w"}) for slot in (1, 2)]
    text = compare_traces(*(make_trace(graph, []) for graph in graphs)).structure
    assert text == "slot 1 of node #0 AddmmBackward0 leads to #1 (slot 0) in a and nothing in b"


def test_a_graph_that_goes_on() -> None:
    longer = make_graph(
        ["MulBackward0", "AccumulateGrad", "AddBackward0"], [(0, 1), (2, 1)], leaves={1: "w"}
    )
    text = compare_traces(make_trace(longer, []), make_trace(chain(1), [])).structure
    assert text == (
        "a goes on with node #2 AddBackward0 where the other ends (3 nodes in a, 2 in b)"
    )


def test_names_on_one_side_only_are_no_difference() -> None:
    named, nameless = chain(1), make_graph(chain(1).node_table.names, [(0, 1)], leaves={1: ""})
    events = [(0, 0, [stats(1.0)], [stats(1.0)]), (1, 0, [stats(1.0)], [])]
    assert compare_traces(make_trace(named, events), make_trace(nameless, events)).is_same
    wrapped = make_graph(named.node_table.names, [(0, 1)], leaves={1: "module._orig_mod.w"})
    assert compare_traces(make_trace(named, events), make_trace(wrapped, events)).is_same


def test_a_leaf_of_another_shape_is_said_but_still_matched() -> None:
    graph = chain(1)
    leaf = replace(graph.node_table.parameters[1], meta=TensorMeta((8,), "float32"))
    wide = replace(graph, node_table=replace(graph.node_table, parameters={1: leaf}))
    a = make_trace(graph, [(1, 0, [stats(1.0)], [])])
    comparison = compare_traces(a, make_trace(wide, [(1, 0, [stats(1.0, (8,))], [])]))
    assert comparison.structure == "leaf #1 (w) is f32[4] in a and f32[8] in b"
    assert comparison.by_position
    assert comparison.matched == ((0, 0),)
    assert comparison.difference_count == 1
