import time
from dataclasses import replace

import pytest

from inspect_autograd.graph.records import Repeat
from tests.unit.graph.fold.building import arrows, build, labels, line


def test_nodes_of_one_name() -> None:
    folded = line(["Sum", *["Mul"] * 5, "Leaf"]).fold("chain")
    assert labels(folded) == ["Sum", "Mul ×5", "AccumulateGrad"]
    node = folded.nodes[1]
    assert node.fold is not None
    assert (node.fold.by, node.fold.count, node.fold.members) == ("chain", 5, (1, 2, 3, 4, 5))
    assert arrows(folded) == {(0, 1): 1, (1, 2): 1}
    assert folded.fold_notes[0].text == "folded 5 nodes in 1 linear chain"


def test_a_pattern() -> None:
    folded = line(["Mul", "Add"] * 4 + ["Leaf"]).fold("chain")
    assert labels(folded) == ["(Mul → Add) ×4", "AccumulateGrad"]
    assert folded.nodes[0].fold is not None
    assert folded.nodes[0].fold.count == 4
    assert folded.nodes[0].fold.names == (("Add", 4), ("Mul", 4))


def test_what_is_over_after_whole_patterns_stays() -> None:
    folded = line(["Mul", "Add"] * 4 + ["Mul", "Leaf"]).fold("chain")
    assert labels(folded) == ["(Mul → Add) ×4", "Mul", "AccumulateGrad"]


def test_the_longest_pattern_has_eight_nodes() -> None:
    eight = ["A", "B", "C", "D", "E", "F", "G", "H"]
    assert labels(line(eight * 3).fold("chain")) == ["(A → B → C → D → E → F → G → H) ×3"]
    nine = [*eight, "I"]
    assert labels(line(nine * 3).fold("chain")) == [
        "chain of 27: A ×3, B ×3, C ×3, D ×3, E ×3, F ×3, G ×3, H ×3, I ×3"
    ]


def test_no_pattern() -> None:
    folded = line("Exp Log Exp Sin Cos Leaf").fold("chain")
    assert labels(folded) == ["chain of 5: Exp ×2, Cos, Log, Sin", "AccumulateGrad"]


def test_a_long_label_is_cut() -> None:
    names = [f"Operation{i}WithALongNameBackward0" for i in range(40)]
    (node,) = line(names).fold("chain").nodes
    assert node.label.startswith("chain of 40: Operation0WithALongNameBackward0, Operation10With")
    assert node.label.endswith(", …")
    assert len(node.label) < 100


def test_stretches_of_one_name_get_their_own_boxes() -> None:
    folded = line(["Exp", "Log", "Sin", *["Mul"] * 20, *["Add"] * 16, "Leaf"]).fold("chain")
    assert labels(folded) == ["chain of 3: Exp, Log, Sin", "Mul ×20", "Add ×16", "AccumulateGrad"]


def test_short_stretches_do_not_cut_a_chain_into_pieces() -> None:
    folded = line(["Mul", "Mul", "Mul", "Add", "Add", "Add", "Exp", "Exp", "Exp"]).fold("chain")
    assert labels(folded) == ["chain of 9: Add ×3, Exp ×3, Mul ×3"]


def test_two_nodes_are_no_chain() -> None:
    graph = line("Mul Add Leaf")
    assert graph.fold("chain") is graph


def test_a_node_with_two_ways_in_or_out_is_no_inner_node() -> None:
    #       / 3 4 5 \
    # 0 1 2           9 10 11
    #       \ 6 7 8 /
    graph = build("0>1 1>2 2>3 3>4 4>5 5>9 2>6 6>7 7>8 8>9 9>10 10>11", "M " * 11 + "Leaf")
    members = [node.members for node in graph.fold("chain").nodes]
    assert members == [(0, 1, 2), (3, 4, 5), (6, 7, 8), (9,), (10,), (11,)]


def test_parallel_edges_are_no_chain() -> None:
    graph = build("0>1 1>2 1>2 2>3 3>4", "M M M M M")
    assert [node.members for node in graph.fold("chain").nodes] == [(0,), (1,), (2, 3, 4)]


def test_none_edges_do_not_count() -> None:
    graph = build("0>1 1>2 2>3", "M M M Leaf", none_slots={0: 1, 1: 1, 2: 1})
    assert labels(graph.fold("chain")) == ["M ×3", "AccumulateGrad"]


def test_a_root_begins_a_chain() -> None:
    graph = build("0>1 1>2 2>3 3>4 4>5", "M M M M M M", roots=(0, 3))
    folded = graph.fold("chain")
    assert [node.members for node in folded.nodes] == [(0, 1, 2), (3, 4, 5)]
    assert [root.node for root in folded.roots] == [0, 1]


def test_a_node_where_the_walk_was_cut_ends_a_chain() -> None:
    graph = build("0>1 1>2 2>3 3>4 4>5", "M M M M M M", cut_slots={2: (1,)})
    assert [node.members for node in graph.fold("chain").nodes] == [(0, 1, 2), (3, 4, 5)]


def test_a_chain_has_the_scope_that_its_nodes_share() -> None:
    graph = build("0>1 1>2", "M M M", scopes={0: "a.b", 1: "a.b.c", 2: "a.bb"})
    assert graph.fold("chain").nodes[0].scope == "a"


def test_a_chain_does_not_lead_into_a_repeated_block() -> None:
    graph = line(["M"] * 9)
    repeat = Repeat("m.0 … m.1 ×2", ("m.0", "m.1"), (), nodes=(3, 4, 5))
    folded = replace(graph, repeats=(repeat,)).fold("chain")
    assert [node.members for node in folded.nodes] == [(0, 1, 2), (3, 4, 5), (6, 7, 8)]
    assert folded.repeats[0].nodes == (1,)


@pytest.mark.parametrize(("size", "seconds"), [(20_000, 20.0), (200_000, 60.0)])
def test_long_chains(size: int, seconds: float) -> None:
    graph = line(["Sum", *["Mul"] * size, "Leaf"])
    start = time.perf_counter()
    folded = graph.fold("chain")
    assert time.perf_counter() - start < seconds
    assert labels(folded) == ["Sum", f"Mul ×{size}", "AccumulateGrad"]
