"""A graph as text."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspect_autograd.errors import ArgumentError, ArgumentTypeError
from inspect_autograd.graph.graph import Graph
from inspect_autograd.graph.records import Fold, FoldNote, Note, Root, Truncation
from inspect_autograd.render.text import render_document, render_overview, render_tree
from inspect_autograd.render.tree import count_steps, walk_tree
from tests.unit.render.graphs import F4, SCALAR, chain, layers, make_graph, product


def test_a_product() -> None:
    assert render_tree(product()) == (
        "loss → SumBackward0  f32[4]  #0\n"
        "MulBackward0  f32[4]  #1\n"
        "├─ w  leaf f32[4]  #2\n"
        "└─ v  leaf f32[4]  #3"
    )


def test_branches_are_indented_and_the_main_path_is_not() -> None:
    assert render_tree(layers(2)) == (
        "loss → SumBackward0  f32[4]  #0  (outermost)\n"
        "ReluBackward0  f32[4]  #1        layers.1\n"
        "AddmmBackward0  f32[4]  #2       layers.1\n"
        "├─ layers.1.weight  leaf f32[4]  #3\n"
        "├─ layers.1.bias  leaf f32[4]  #4\n"
        "ReluBackward0  f32[4]  #5        layers.0\n"
        "AddmmBackward0  f32[4]  #6       layers.0\n"
        "├─ layers.0.weight  leaf f32[4]  #7\n"
        "├─ layers.0.bias  leaf f32[4]  #8\n"
        "└─ x  leaf f32[4]  #9"
    )


def test_a_shortcut_refers_to_where_the_main_path_comes_to_its_end() -> None:
    # A residual block: 0 adds 1 and 4; 1, 2, 3 is the main path to 4.
    graph = make_graph(
        ["AddBackward0", "MulBackward0", "ReluBackward0", "MulBackward1", "ExpBackward0", "Leaf"],
        [(0, 4), (0, 1), (1, 2), (2, 3), (3, 4), (4, 5)],
        leaves={5: "x"},
    )
    assert render_tree(graph) == (
        "loss → AddBackward0  f32[4]  #0\n"
        "├─ ↓ #4 ExpBackward0 shown below\n"
        "MulBackward0  f32[4]  #1\n"
        "ReluBackward0  f32[4]  #2\n"
        "MulBackward1  f32[4]  #3\n"
        "ExpBackward0  f32[4]  #4\n"
        "x  leaf f32[4]  #5"
    )


def test_a_node_reached_twice_is_shown_once() -> None:
    # 1 and 2 both lead to 3 on ways of one length; the first is the one that shows it.
    graph = make_graph(
        ["AddBackward0", "SinBackward0", "CosBackward0", "MulBackward0", "Leaf"],
        [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)],
        leaves={4: "x"},
    )
    assert render_tree(graph) == (
        "loss → AddBackward0  f32[4]  #0\n"
        "├─ SinBackward0  f32[4]  #1\n"
        "│  MulBackward0  f32[4]  #3\n"
        "│  x  leaf f32[4]  #4\n"
        "└─ CosBackward0  f32[4]  #2\n"
        "   ↑ #3 MulBackward0 shown above"
    )


def test_roots_are_named_and_a_second_root_inside_the_first_is_referred_to() -> None:
    roots = (
        Root("['loss']", 0, 0, SCALAR),
        Root("['hidden']", 1, 0, F4),
        Root("[2]", 3, 0, F4),
    )
    graph = make_graph(
        ["SumBackward0", "ReluBackward0", "AccumulateGrad", "ExpBackward0"],
        [(0, 1), (1, 2), (3, 2)],
        leaves={2: ""},
        roots=roots,
    )
    assert render_tree(graph) == (
        "['loss'] → SumBackward0  f32[4]  #0\n"
        "ReluBackward0  f32[4]  #1\n"
        "AccumulateGrad  leaf f32[4]  #2\n"
        "['hidden'] → ↑ #1 ReluBackward0 shown above\n"
        "[2] → ExpBackward0  f32[4]  #3\n"
        "AccumulateGrad  leaf f32[4]  #2"
    )


def test_slots_kinds_folds_and_cuts_are_told() -> None:
    graph = make_graph(
        ["MulBackward0", "MyFunction", "encoder"],
        [(0, 0, 1, 1), (0, 1, 1, 0), (1, 0, 2, 0, 3)],
        outputs={1: 2},
        kinds={1: "custom", 2: "fold"},
        slots={1: 2},
        columns={
            "cut_slots": {1: (1,)},
            "folds": {2: Fold("scope", "encoder", 1, tuple(range(9)), (("A", 9),))},
        },
        truncation=Truncation(9, 1),
    )
    assert render_tree(graph).splitlines() == [
        "loss → MulBackward0  f32[4]  #0",
        (
            "MyFunction  f32[4] ×2  #1  custom Function  … 1 edge cut by max_nodes"
            "  (inputs 0, 1, outputs 0, 1)"
        ),
        "encoder  f32[4]  #2  9 nodes  (×3 edges)",
    ]


def test_a_long_text_says_how_much_is_left_out() -> None:
    lines = render_tree(chain(50), max_lines=10).splitlines()
    assert len(lines) == 10
    assert lines[-1] == "… and 42 more lines; tree(max_lines=51) shows all"
    assert len(render_tree(chain(50), max_lines=51).splitlines()) == 51
    assert render_tree(chain(1), max_lines=1) == "… and 2 more lines; tree(max_lines=2) shows all"


@pytest.mark.parametrize("value", [0, -1])
def test_max_lines_has_to_be_positive(value: int) -> None:
    with pytest.raises(ArgumentError, match=f"max_lines is {value}; expected 1 or more"):
        render_tree(chain(1), max_lines=value)


@pytest.mark.parametrize("value", [None, "3", 2.0, True])
def test_max_lines_has_to_be_an_int(value: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="max_lines is"):
        render_tree(chain(1), max_lines=value)


def test_a_chain_of_100_000_nodes_is_a_list() -> None:
    lines = render_tree(chain(100_000), max_lines=200_000).splitlines()
    assert len(lines) == 100_001
    assert lines[99_999] == "MulBackward0  f32[4]  #99999"


def test_an_empty_graph_has_no_lines() -> None:
    assert render_tree(make_graph([], [], roots=())) == ""


@st.composite
def random_graphs(draw: st.DrawFn) -> Graph:
    size = draw(st.integers(1, 30))
    pairs = [(i, j) for i in range(size) for j in range(i + 1, size)]
    edges = draw(st.lists(st.sampled_from(pairs), max_size=60)) if pairs else []
    roots = draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=3))
    return make_graph(
        ["N"] * size, edges, roots=[Root(f"[{i}]", r, 0, F4) for i, r in enumerate(roots)]
    )


@given(random_graphs())
def test_every_node_stands_once_and_every_edge_has_a_line(graph: Graph) -> None:
    steps = [*walk_tree(graph)]
    assert len(steps) == count_steps(graph)
    assert sorted(step.node for step in steps if step.refers is None) == [*range(len(graph))]
    positions = sorted(position for step in steps for position in step.edges)
    assert positions == [*range(len(graph.edges))]
    place = {step.node: i for i, step in enumerate(steps) if step.refers is None}
    for i, step in enumerate(steps):
        if step.refers is not None:
            assert step.refers == ("above" if place[step.node] < i else "below")
        assert len(step.bars) <= math.log2(len(graph)) + 2


def test_the_overview_has_counts_tree_and_what_is_not_shown() -> None:
    graph = make_graph(
        ["SumBackward0", "AccumulateGrad"],
        [(0, 1)],
        leaves={1: "w"},
        notes=(Note("['n']", "int", "it is not a tensor"),),
        truncation=Truncation(2, 1),
        fold_notes=(FoldNote("chain", 9, 2, 8, 1, "folded 8 nodes in 1 linear chain"),),
    )
    counts, tree, remarks = render_overview(graph).split("\n\n")
    assert counts.startswith("2 nodes, 1 edge, 1 root, depth 1")
    assert "cut at max_nodes=2: 1 edge" in counts
    assert tree == "loss → SumBackward0  f32[4]  #0\nw  leaf f32[4]  #1"
    assert remarks == (
        "folded 8 nodes in 1 linear chain\nnot in the graph: ['n'] (int): it is not a tensor"
    )
    assert str(graph) == render_overview(graph)


def test_the_overview_is_bounded() -> None:
    assert len(render_overview(chain(1000)).splitlines()) < 60


def test_a_document_has_title_captions_and_the_whole_tree() -> None:
    text = render_document(chain(300), ("Shown in full.",), "My model")
    assert text.startswith("My model\n\n301 nodes, 300 edges")
    assert "\n\nShown in full.\n\n" in text
    assert text.endswith("\nw  leaf f32[4]  #300\n")
