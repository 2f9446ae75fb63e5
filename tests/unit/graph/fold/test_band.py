import pytest

from tests.unit.graph.fold.building import arrows, build, is_acyclic, labels, line


def test_neighbours_in_topological_order_become_bands() -> None:
    graph = line("Sum Mul Mul Add Exp Leaf")
    folded = graph.fold("band", depth=3)
    assert labels(folded) == [
        "2 nodes: Mul, Sum",
        "2 nodes: Add, Mul",
        "2 nodes: AccumulateGrad, Exp",
    ]
    assert arrows(folded) == {(0, 1): 1, (1, 2): 1}


def test_a_band_of_one_node_is_that_node() -> None:
    folded = line("Sum Mul Add").fold("band", depth=2)
    assert [node.label for node in folded.nodes] == ["Sum", "2 nodes: Add, Mul"]


def test_a_graph_that_is_small_enough_is_left_alone() -> None:
    graph = line("Sum Mul Add")
    assert graph.fold("band", depth=3) is graph
    assert graph.fold("band") is graph


def test_ids_need_not_be_in_topological_order() -> None:
    # As captured, breadth first: node 1 is found early but runs after 2 and 3.
    graph = build("0>1 0>2 2>3 3>1 1>4", "Sum Mul Add Exp Leaf")
    folded = graph.fold("band", depth=2)
    assert [node.members for node in folded.nodes] == [(0, 2), (1, 3, 4)]
    assert is_acyclic(folded)


@pytest.mark.parametrize("depth", [1, 2, 7, 50, 99])
def test_there_are_never_more_boxes_than_asked_for(depth: int) -> None:
    edges = " ".join(f"{i}>{j}" for i in range(100) for j in (i + 1, i + 9) if j < 100)
    folded = build(edges, "Mul " * 100).fold("band", depth=depth)
    assert len(folded) == depth
    assert is_acyclic(folded)


def test_fifty_bands_by_default() -> None:
    assert len(line(["Mul"] * 420).fold("band")) == 50


def test_a_label_counts_captured_nodes_and_is_bounded() -> None:
    once = line([f"Operation{i % 30}Backward0" for i in range(300)]).fold("band", depth=20)
    twice = once.fold("band", depth=1)
    (node,) = twice.nodes
    assert node.label.startswith("300 nodes: Operation0Backward0 ×10, Operation10Backward0 ×10, ")
    assert node.label.endswith(", …")
    assert len(node.label) < 90
    assert node.members == tuple(range(300))
