from dataclasses import replace

from inspect_autograd.graph.fold.quotient import Box, Run, quotient
from inspect_autograd.graph.records import Edge, Fold, FoldNote, Root
from tests.unit.graph.fold.building import VECTOR, arrows, build, labels


def fold_nodes(*members: int, label: str = "box", scope: str | None = None) -> Box:
    return Box(members, "scope", label, 1, scope)


def test_the_members_of_a_box_become_one_node() -> None:
    graph = build("0>1 0>2 1>3 2>3 3>4", "Sum Mul Add Exp Leaf")
    folded = quotient(graph, [fold_nodes(1, 2, 3, scope="m")], by="scope", text="did it")
    assert labels(folded) == ["Sum", "box", "AccumulateGrad"]
    node = folded.nodes[1]
    assert (node.name, node.kind, node.sequence_nr, node.scope) == ("box", "fold", None, "m")
    assert node.fold == Fold("scope", "box", 1, (1, 2, 3), (("Add", 1), ("Exp", 1), ("Mul", 1)))
    assert folded.fold_notes == (FoldNote("scope", 5, 3, 5, 3, "did it"),)


def test_edges_at_a_fold_are_merged_and_lose_their_slots() -> None:
    edges = [Edge(0, 0, 1, 0), Edge(0, 1, 2, 1), Edge(1, 0, 3, 1), Edge(2, 1, 3, 1)]
    graph = build(edges, "Sum Mul Mul Add")
    folded = quotient(graph, [fold_nodes(1, 2)], by="scope", text="")
    # Slots of the nodes that stay are kept, and edges in different ones stay apart.
    assert list(folded.edges) == [Edge(0, 0, 1, 0), Edge(0, 1, 1, 0), Edge(1, 0, 2, 1, count=2)]


def test_edges_between_nodes_that_stay_are_untouched() -> None:
    edges = [Edge(0, 0, 1, 1), Edge(0, 1, 1, 1), Edge(1, 0, 2, 0), Edge(2, 0, 3, 0)]
    folded = quotient(build(edges, "Sum Mul Add Exp"), [fold_nodes(2, 3)], by="scope", text="")
    assert list(folded.edges) == [Edge(0, 0, 1, 1), Edge(0, 1, 1, 1), Edge(1, 0, 2, 0)]
    assert folded.edge_table.counts is None


def test_new_ids_go_breadth_first_from_the_roots() -> None:
    # Node 3 is the last in id but is reached first, as the target of slot 0.
    graph = build("0>3 0>1 1>2 3>2", "Sum Mul Add Exp")
    folded = quotient(graph, [fold_nodes(1, 2)], by="scope", text="")
    assert labels(folded) == ["Sum", "Exp", "box"]
    assert [node.origin for node in folded.nodes] == [0, 3, 1]


def test_parts_that_no_root_reaches_are_kept() -> None:
    graph = build("0>1 2>3 3>4", "Sum Leaf Mul Add Leaf")
    folded = quotient(graph, [fold_nodes(2, 3)], by="scope", text="")
    assert labels(folded) == ["Sum", "AccumulateGrad", "box", "AccumulateGrad"]
    assert arrows(folded) == {(0, 1): 1, (2, 3): 1}


def test_a_box_of_one_node_changes_nothing() -> None:
    graph = build("0>1", "Sum Leaf")
    assert quotient(graph, [fold_nodes(1)], by="scope", text="") is graph
    assert quotient(graph, [], by="scope", text="") is graph


def test_a_fold_receives_what_its_only_entry_receives() -> None:
    graph = build("0>1 1>2 1>3", "Sum Mul Add Exp", receives={2: VECTOR})
    one_entry = quotient(graph, [fold_nodes(1, 2)], by="scope", text="")
    assert one_entry.nodes[1].receives == (VECTOR,)
    two_entries = quotient(graph, [fold_nodes(2, 3)], by="scope", text="")
    assert two_entries.nodes[2].receives == ()


def test_a_root_keeps_its_slot_if_it_is_the_only_entry_of_a_fold() -> None:
    root = Root("[0]", 1, 3, VECTOR)
    chain = replace(build("0>1 1>2", "Sum Mul Add"), roots=(root,))
    folded = quotient(chain, [fold_nodes(1, 2)], by="scope", text="")
    assert folded.roots == (Root("[0]", 0, 3, VECTOR),)
    # Here node 2 is an entry too.
    fork = replace(build("0>1 0>2", "Sum Mul Add"), roots=(root,))
    folded = quotient(fork, [fold_nodes(1, 2)], by="scope", text="")
    assert folded.roots == (Root("[0]", 0, 0, VECTOR),)


def test_saved_tensors_are_gathered() -> None:
    graph = build("0>1 1>2 2>3", "Sum Mul Mul Leaf", saved={1: [0, 1], 2: [1, 2]})
    folded = quotient(graph, [fold_nodes(1, 2)], by="scope", text="")
    assert [tensor.storage for tensor in folded.nodes[1].saved] == [0, 1, 1, 2]
    assert folded.saved_bytes() == graph.saved_bytes() == 111


def test_that_edges_were_cut_is_still_seen() -> None:
    graph = build("0>1 1>2", "Sum Mul Add", cut_slots={1: (1, 2), 2: (0,)})
    folded = quotient(graph, [fold_nodes(1, 2)], by="scope", text="")
    assert folded.nodes[1].cut_slots == (0, 0, 0)
    assert folded.nodes[1].none_slots == ()


def test_a_derivative_order_is_kept_where_all_members_have_it() -> None:
    graph = build("0>1 1>2 2>3", "Sum Mul Add Exp")
    table = replace(graph.node_table, orders={0: 1, 1: 2, 2: 2, 3: 1})
    graph = replace(graph, node_table=table)
    assert quotient(graph, [fold_nodes(1, 2)], by="scope", text="").nodes[1].order == 2
    assert quotient(graph, [fold_nodes(2, 3)], by="scope", text="").nodes[2].order is None


def test_members_are_those_of_the_captured_graph_after_several_passes() -> None:
    graph = build("0>3 3>2 2>1 1>4", "Sum Exp Add Mul Leaf")
    once = quotient(graph, [fold_nodes(2, 3)], by="scope", text="")
    assert [node.members for node in once.nodes] == [(0,), (2, 3), (1,), (4,)]
    twice = quotient(once, [fold_nodes(1, 2, label="outer")], by="band", text="")
    node = twice.nodes[1]
    assert node.members == (1, 2, 3)
    assert node.fold is not None
    assert node.fold.names == (("Add", 1), ("Exp", 1), ("Mul", 1))
    assert [note.by for note in twice.fold_notes] == ["scope", "band"]


def a_run() -> Run:
    return Run(
        label="m.0 … m.1 ×2",
        names=("m.0", "m.1"),
        blocks=((3, 4), (1, 2)),
        scope="m.0…1",
        scopes=("m.0…1", "m.0…1.fc"),
    )


def test_the_copies_of_a_run_become_the_first_block() -> None:
    graph = build("0>1 1>2 2>3 3>4 4>5", "Sum Relu Mul Relu Mul Leaf", saved={2: [0], 4: [1]})
    folded = quotient(graph, [], by="repeat", text="", runs=[a_run()])
    assert labels(folded) == ["Sum", "Relu", "Mul", "AccumulateGrad"]
    relu = folded.nodes[1]
    assert (relu.kind, relu.scope, relu.sequence_nr) == ("op", "m.0…1", 3)
    assert relu.fold == Fold("repeat", "Relu", 2, (1, 3), (("Relu", 2),))
    assert folded.nodes[2].scope == "m.0…1.fc"
    assert folded.saved_bytes() == 11
    # Inside: both copies. In and out: once each.
    assert arrows(folded) == {(0, 1): 1, (1, 2): 2, (2, 3): 1}
    (repeat,) = folded.repeats
    assert repeat.links == (Edge(2, 0, 1, 0),)
    assert (repeat.nodes, repeat.scope, repeat.scopes) == ((1, 2), "m.0…1", ("m.0", "m.1"))


def test_attributes_that_differ_between_copies_are_left_out() -> None:
    graph = build("0>1 1>2 2>3 3>4 4>5", "Sum Relu Mul Relu Mul Leaf")
    attributes = {1: {"dim": 1, "index": 0}, 3: {"dim": 1, "index": 1}, 2: {"p": 1}}
    graph = replace(graph, node_table=replace(graph.node_table, attributes=attributes))
    folded = quotient(graph, [], by="repeat", text="", runs=[a_run()])
    assert folded.nodes[1].attributes == {"dim": 1}
    assert folded.nodes[2].attributes == {}


def test_a_repeat_follows_its_nodes_into_later_folds() -> None:
    graph = build("0>1 1>2 2>3 3>4 4>5", "Sum Relu Mul Relu Mul Leaf")
    once = quotient(graph, [], by="repeat", text="", runs=[a_run()])
    inside = quotient(once, [fold_nodes(1, 2)], by="scope", text="")
    assert inside.nodes[1].members == (1, 2, 3, 4)
    (repeat,) = inside.repeats
    assert repeat.nodes == (1,)
    assert repeat.links == (Edge(1, 0, 1, 0),)
    # Nothing of the run can be told from the rest once they share a box.
    across = quotient(once, [fold_nodes(0, 1, 2)], by="band", text="")
    assert across.repeats == ()
    half = quotient(once, [fold_nodes(0, 1)], by="band", text="")
    assert half.repeats[0].nodes == (1,)
    assert half.repeats[0].links == (Edge(1, 0, 0, 0),)


def test_links_inside_a_box_that_also_holds_others_vanish() -> None:
    # Relu of the second copy leads to Relu of the first, too.
    graph = build("0>1 1>2 2>3 3>4 4>5 1>3", "Sum Relu Mul Relu Mul Leaf")
    once = quotient(graph, [], by="repeat", text="", runs=[a_run()])
    assert [(link.source, link.target) for link in once.repeats[0].links] == [(1, 1), (2, 1)]
    mixed = quotient(once, [fold_nodes(0, 1)], by="band", text="")
    assert mixed.repeats[0].nodes == (1,)
    assert mixed.repeats[0].links == (Edge(1, 0, 0, 0),)
