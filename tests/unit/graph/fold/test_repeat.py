import time

import pytest

from inspect_autograd.graph.graph import Graph
from inspect_autograd.graph.records import Edge
from inspect_autograd.graph.tensor_meta import TensorMeta
from tests.unit.graph.fold.building import arrows, build, is_acyclic, labels, line, shown_edges


def layers(count: int, *, odd: int = -1, parent: str = "m.") -> Graph:
    """Sum, `count` layers of Relu and Addmm with a weight, and an input leaf at the end."""
    edges, names, scopes, parameters = [], ["Sum"], {0: ""}, {}
    entry = 1
    edges.append(Edge(0, 0, 1, 0))
    for number in reversed(range(count)):
        relu, addmm, weight = entry, entry + 1, entry + 2
        names += ["Gelu" if number == odd else "Relu", "Addmm", "Leaf"]
        scope = f"{parent}{number}"
        scopes |= {relu: scope, addmm: f"{scope}.fc", weight: f"{scope}.fc"}
        parameters[weight] = f"{scope}.fc.weight"
        edges += [Edge(relu, 0, addmm, 0), Edge(addmm, 1, weight, 0), Edge(addmm, 0, entry + 3, 0)]
        entry += 3
    return build(edges, [*names, "Leaf"], scopes=scopes, parameters=parameters)


def test_alike_siblings_are_shown_once() -> None:
    graph = layers(4)
    folded = graph.fold("repeat")
    assert labels(folded) == ["Sum", "Relu", "Addmm", "m.0.fc.weight", "AccumulateGrad"]
    assert [node.scope for node in folded.nodes] == ["", "m.0…3", "m.0…3.fc", "m.0…3.fc", None]
    assert arrows(folded) == {(0, 1): 1, (1, 2): 4, (2, 3): 4, (2, 4): 1}
    (repeat,) = folded.repeats
    assert repeat.label == "m.0 … m.3 ×4"
    assert repeat.scopes == ("m.0", "m.1", "m.2", "m.3")
    assert (repeat.nodes, repeat.scope) == ((1, 2, 3), "m.0…3")
    assert repeat.links == (Edge(2, 0, 1, 0, count=3),)
    relu = folded.nodes[1]
    assert relu.kind == "op"
    assert relu.fold is not None
    assert (relu.fold.by, relu.fold.count, relu.fold.members) == ("repeat", 4, (1, 4, 7, 10))
    # The first layer of the forward pass is the last that the gradient reaches.
    assert relu.sequence_nr == graph.nodes[10].sequence_nr
    assert relu.fold.label == "Relu"


def test_the_leaves_of_all_copies_are_found_by_name() -> None:
    folded = layers(3).fold("repeat")
    assert [node.id for node in folded.find("m.2.fc.weight")] == [3]
    assert list(folded.parameters()) == ["m.0.fc.weight", "m.1.fc.weight", "m.2.fc.weight"]


def test_the_text_of_the_note() -> None:
    assert (
        layers(4).fold("repeat").fold_notes[0].text == "showed 4 blocks in 1 run once: m.0 … m.3 ×4"
    )


def test_blocks_at_the_outermost_level_have_short_names() -> None:
    folded = layers(3, parent="").fold("repeat")
    assert folded.repeats[0].label == "0 … 2 ×3"
    assert folded.nodes[2].scope == "0…2.fc"


def test_a_block_that_differs_ends_a_run() -> None:
    folded = layers(7, odd=3).fold("repeat")
    assert [repeat.label for repeat in folded.repeats] == ["m.0 … m.2 ×3", "m.4 … m.6 ×3"]
    assert labels(folded)[1] == "Relu"
    assert len(folded.find("Gelu")) == 1
    assert is_acyclic(folded)


@pytest.mark.parametrize("column", ["receives", "parameters", "slots", "none", "cut"])
def test_any_difference_counts(column: str) -> None:
    edges = [Edge(0, 0, 1, 0), Edge(1, 0, 2, 0), Edge(2, 0, 3, 0), Edge(3, 0, 4, 0)]
    names = ["Relu", "Addmm", "Relu", "Addmm", "Leaf"]
    scopes = {0: "m.1", 1: "m.1", 2: "m.0", 3: "m.0"}
    assert len(build(edges, names, scopes=scopes).fold("repeat")) == 3
    if column == "receives":
        other = build(edges, names, scopes=scopes, receives={2: TensorMeta((5,), "float32")})
    elif column == "slots":
        edges[2] = Edge(2, 0, 3, 1)
        other = build(edges, names, scopes=scopes)
    elif column == "none":
        other = build(edges, names, scopes=scopes, none_slots={3: 1})
    elif column == "cut":
        other = build(edges, names, scopes=scopes, cut_slots={1: (1,), 3: (1,)})
    else:
        edges += [Edge(1, 1, 5, 0), Edge(3, 1, 6, 0)]
        scopes |= {5: "m.1", 6: "m.0"}
        other = build(
            edges, [*names, "Leaf", "Leaf"], scopes=scopes, parameters={5: "m.1.w", 6: "m.0.b"}
        )
    assert other.fold("repeat") is other


def test_numbers_with_a_gap_are_no_run() -> None:
    scopes = {0: "m.2", 1: "m.2", 2: "m.0", 3: "m.0"}
    graph = build("0>1 1>2 2>3 3>4", "Relu Addmm Relu Addmm Leaf", scopes=scopes)
    assert graph.fold("repeat") is graph


def test_a_run_that_is_left_and_entered_again_is_rejected() -> None:
    # Between the blocks stands a node that belongs to neither.
    scopes = {0: "m.1", 1: "m.1", 3: "m.0", 4: "m.0"}
    graph = build("0>1 1>2 2>3 3>4 4>5", "Relu Addmm Glue Relu Addmm Leaf", scopes=scopes)
    assert graph.fold("repeat") is graph


def test_blocks_that_are_left_and_entered_again_are_rejected() -> None:
    # A leads to a node outside of the block and from there to B of the same block. Shown once,
    # that would not even be a loop, but the node outside would stand between two halves.
    scopes = {0: "m.1", 2: "m.1", 3: "m.0", 5: "m.0"}
    graph = build("0>1 1>2 2>3 3>4 4>5 5>6", "A Glue B A Glue B Leaf", scopes=scopes)
    assert graph.fold("repeat") is graph


def test_parallel_blocks() -> None:
    # Two heads side by side, with one loss and one shared leaf.
    scopes = {1: "heads.0", 2: "heads.0", 3: "heads.1", 4: "heads.1"}
    graph = build("0>1 0>3 1>2 3>4 2>5 4>5", "Cat Relu Addmm Relu Addmm Leaf", scopes=scopes)
    folded = graph.fold("repeat")
    assert arrows(folded) == {(0, 1): 2, (1, 2): 2, (2, 3): 2}
    # In different slots of Cat, so two edges; into one slot of the leaf, so one that counts two.
    assert [(edge.source_slot, edge.count) for edge in folded.edges] == [
        (0, 1),
        (1, 1),
        (0, 2),
        (0, 2),
    ]
    assert folded.repeats[0].links == ()


def test_runs_that_would_close_a_loop_together() -> None:
    # a.0 leads to b.0, and b.1 to a.1: either run alone is fine, both together are a loop.
    scopes = {1: "a.0", 2: "b.0", 3: "b.1", 4: "a.1"}
    scopes |= {5: "a.0", 6: "b.0", 7: "b.1", 8: "a.1"}
    edges = "0>1 0>3 1>5 5>2 2>6 6>9 3>7 7>4 4>8 8>9"
    graph = build(edges, "Sum A B B A A2 B2 B2 A2 Leaf", scopes=scopes)
    folded = graph.fold("repeat")
    assert [repeat.label for repeat in folded.repeats] == ["a.0 … a.1 ×2"]
    assert is_acyclic(folded)


def test_folded_blocks_repeat_too() -> None:
    graph = layers(5)
    modules = graph.fold("scope", depth=1)
    folded = modules.fold("repeat")
    assert labels(folded) == ["Sum", "m.0…4", "AccumulateGrad"]
    node = folded.nodes[1]
    assert (node.kind, node.name, node.scope) == ("fold", "m.0…4", "m.0…4")
    assert node.fold is not None
    assert (node.fold.by, node.fold.count, len(node.fold.members)) == ("repeat", 5, 15)
    assert node.fold.names == (("AccumulateGrad", 5), ("Addmm", 5), ("Relu", 5))
    assert folded.repeats[0].links == (Edge(1, 0, 1, 0, count=4),)


def test_modules_inside_a_repeated_block_fold_afterwards() -> None:
    folded = layers(4).fold("repeat").fold("scope", depth=2)
    assert labels(folded) == ["Sum", "Relu", "m.0…3.fc", "AccumulateGrad"]
    assert folded.repeats[0].nodes == (1, 2)
    assert folded.repeats[0].links == (Edge(2, 0, 1, 0, count=3),)
    assert shown_edges(folded) + 4 == len(layers(4).edges)


def test_blocks_inside_blocks() -> None:
    # Two stages of two blocks each, all of one shape.
    scopes = {0: "s.1.b.1", 1: "s.1.b.0", 2: "s.0.b.1", 3: "s.0.b.0"}
    graph = build("0>1 1>2 2>3 3>4", "M M M M Leaf", scopes=scopes)
    once = graph.fold("repeat")
    assert [repeat.label for repeat in once.repeats] == ["s.0 … s.1 ×2"]
    twice = once.fold("repeat")
    assert [repeat.label for repeat in twice.repeats] == [
        "s.0 … s.1 ×2",
        "s.0…1.b.0 … s.0…1.b.1 ×2",
    ]
    node = twice.nodes[0]
    assert node.fold is not None
    assert (node.fold.count, node.fold.members, node.scope) == (4, (0, 1, 2, 3), "s.0…1.b.0…1")
    assert [repeat.nodes for repeat in twice.repeats] == [(0,), (0,)]
    assert shown_edges(twice) == 4


def test_inner_blocks_are_found_where_the_outer_ones_differ() -> None:
    scopes = {0: "s.1.b.1", 1: "s.1.b.0", 2: "s.0.b.1", 3: "s.0.b.0"}
    graph = build("0>1 1>2 2>3 3>4", "M M K K Leaf", scopes=scopes)
    assert [repeat.label for repeat in graph.fold("repeat").repeats] == [
        "s.0.b.0 … s.0.b.1 ×2",
        "s.1.b.0 … s.1.b.1 ×2",
    ]


def recurrent(steps: int) -> Graph:
    """Loss, then steps of Tanh, Add and two Mm that share two weights."""
    weight, recurrent_weight = 1 + 4 * steps, 2 + 4 * steps
    names = ["Sum"]
    edges = [Edge(0, 0, 1, 0)]
    for step in range(steps):
        tanh, add, mm_input, mm_state = range(1 + 4 * step, 5 + 4 * step)
        names += ["Tanh", "Add", "MmX", "MmH"]
        edges += [Edge(tanh, 0, add, 0), Edge(add, 0, mm_input, 0), Edge(add, 1, mm_state, 0)]
        edges += [Edge(mm_input, 1, weight, 0), Edge(mm_state, 1, recurrent_weight, 0)]
        if step < steps - 1:
            edges.append(Edge(mm_state, 0, mm_state + 1, 0))
    return build(edges, [*names, "Leaf", "Leaf"])


def test_the_steps_of_a_recurrent_network() -> None:
    graph = recurrent(6)
    folded = graph.fold("repeat")
    # The first step of the forward pass has no state to lead on to, so it is not like the others.
    (repeat,) = folded.repeats
    assert repeat.label == "step 1 … step 5 ×5"
    assert repeat.scope is None
    assert labels(folded)[:5] == ["Sum", "Tanh", "Add", "MmX", "MmH"]
    assert repeat.nodes == (1, 2, 3, 4)
    assert repeat.links == (Edge(4, 0, 1, 0, count=4),)
    shared = [node.id for node in folded.leaves()]
    assert [arrows(folded)[source, leaf] for source, leaf in zip((3, 4), shared, strict=True)] == [
        5,
        5,
    ]
    assert shown_edges(folded) == len(graph.edges)
    assert is_acyclic(folded)


def test_layers_without_names_take_their_weights_along() -> None:
    names = [*["Relu", "Addmm", "Leaf"] * 5]
    edges = []
    for layer in range(5):
        relu, addmm, weight = range(3 * layer, 3 * layer + 3)
        edges += [Edge(relu, 0, addmm, 0), Edge(addmm, 1, weight, 0)]
        edges.append(Edge(addmm, 0, weight + 1, 0))
    folded = build(edges, [*names, "Leaf"]).fold("repeat")
    # The last Leaf is the input; it is no part of the first layer.
    assert labels(folded) == ["Relu", "Addmm", "AccumulateGrad", "AccumulateGrad"]
    assert folded.repeats[0].label == "step 1 … step 5 ×5"
    assert len(folded.repeats[0].nodes) == 3


def test_two_stretches_of_one_shape_are_not_enough() -> None:
    graph = line("A B C A B C Leaf")
    assert graph.fold("repeat") is graph
    assert len(line("A B C A B C A B C Leaf").fold("repeat")) == 4


def test_blocks_begin_where_the_fewest_edges_cross() -> None:
    # The two nodes before the loop look like the end of a block, so blocks could begin at C too.
    names = ["C", "D"] + ["A", "B", "C", "D"] * 4
    edges = [Edge(i, 0, i + 1, 0) for i in range(len(names))]
    edges += [Edge(i, 1, i + 2, 1) for i, name in enumerate(names) if name == "B"]
    folded = build(edges, [*names, "Leaf"]).fold("repeat")
    assert labels(folded) == ["C", "D", "A", "B", "C", "D", "AccumulateGrad"]
    assert folded.repeats[0].nodes == (2, 3, 4, 5)
    assert folded.repeats[0].links == (Edge(5, 0, 2, 0, count=3),)


def test_blocks_that_lead_on_in_different_ways_are_no_loop() -> None:
    # Every node leads to the next, and over one, two or three nodes to another.
    jumps = [2, 3, 4, 2, 4, 3, 3, 2, 4]
    edges = [Edge(i, 0, i + 1, 0) for i in range(12)]
    edges += [Edge(i, 1, i + jump, 0) for i, jump in enumerate(jumps)]
    irregular = build(edges, "M " * 9 + "A B C Leaf").fold("repeat")
    # Only the last four do not disagree: one jumps over three, and three out of the run.
    assert [repeat.label for repeat in irregular.repeats] == ["step 1 … step 4 ×4"]
    assert [node.name for node in irregular.nodes].count("M") == 6
    regular = [edge for edge in edges if edge.source_slot == 0]
    regular += [Edge(i, 1, i + 2, 0) for i in range(9)]
    folded = build(regular, "M " * 9 + "A B C Leaf").fold("repeat")
    assert folded.repeats[0].label == "step 1 … step 9 ×9"
    assert folded.repeats[0].links == (Edge(0, 0, 0, 0, count=8), Edge(0, 1, 0, 0, count=7))


def test_folded_nodes_without_sequence_numbers_repeat_in_topological_order() -> None:
    # Chains of five, between nodes that have two ways in.
    edges, at = [], 0
    names: list[str] = []
    for _ in range(4):
        edges += [Edge(at + i, 0, at + i + 1, 0) for i in range(6)]
        edges.append(Edge(at, 1, at + 6, 1))
        names += ["Add", *["Mul"] * 5]
        at += 6
    graph = build(edges, [*names, "Leaf"]).fold("chain")
    assert labels(graph)[:3] == ["Add", "Mul ×5", "Add"]
    folded = graph.fold("repeat")
    assert labels(folded) == ["Add", "Mul ×5", "AccumulateGrad"]
    assert folded.nodes[1].fold is not None
    assert folded.nodes[1].fold.count == 4
    assert len(folded.nodes[1].fold.members) == 20


def test_a_deep_graph() -> None:
    start = time.perf_counter()
    folded = recurrent(25_000).fold("repeat")
    assert time.perf_counter() - start < 30
    assert folded.repeats[0].label == "step 1 … step 24999 ×24999"
