"""What must hold for every pass, on random graphs."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from inspect_autograd.graph.graph import Graph
from inspect_autograd.graph.records import Edge, FoldBy
from tests.unit.graph.fold.building import build, inner_edges, is_acyclic, shown_edges

SCOPES = ["", "a", "a.0", "a.1", "a.0.x", "a.1.x", "a.2", "b", "b.0.c", "b.1.c"]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Graphs of few names and scopes, so that chains and alike blocks do occur."""
    size = draw(st.integers(1, 24))
    names = [draw(st.sampled_from(["Mul", "Add", "Leaf"])) for _ in range(size)]
    pairs = [(i, i + 1) for i in range(size - 1) if draw(st.integers(0, 9))]
    ends = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1))
    pairs += [(a, b) for a, b in draw(st.lists(ends, max_size=6)) if a < b]
    slots: Counter[int] = Counter()
    edges = []
    for source, target in pairs:
        if names[source] != "Leaf":
            edges.append(Edge(source, slots[source], target, 0))
            slots[source] += 1
    if draw(st.booleans()):  # Ids of a captured graph are in breadth-first, not topological order.
        new = draw(st.permutations(range(size)))
        edges = [Edge(new[e.source], e.source_slot, new[e.target], 0) for e in edges]
        names = [names[new.index(i)] for i in range(size)]
    scopes = {i: scope for i in range(size) if (scope := draw(st.sampled_from([None, *SCOPES])))}
    saved = {i: draw(st.lists(st.integers(0, 3), max_size=2)) for i in range(size)}
    return build(
        edges,
        names,
        scopes=scopes if draw(st.booleans()) else None,
        saved={i: indices for i, indices in saved.items() if indices},
        parameters={i: f"{draw(st.sampled_from(SCOPES))}.w".lstrip(".") for i in range(size)},
        roots=sorted({0, *draw(st.lists(st.integers(0, size - 1), max_size=2))}),
    )


passes = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["chain", "repeat"]), st.none()),
        st.tuples(st.just("scope"), st.integers(1, 3)),
        st.tuples(st.just("band"), st.integers(1, 12)),
    ),
    min_size=1,
    max_size=3,
)


def fold_by(graph: Graph, steps: list[tuple[FoldBy, int | None]]) -> Graph:
    for by, depth in steps:
        graph = graph.fold(by, depth=depth)
    return graph


@given(graphs(), passes)
def test_every_fold_is_a_smaller_graph_of_the_same_nodes(
    graph: Graph, steps: list[tuple[FoldBy, int | None]]
) -> None:
    folded = fold_by(graph, steps)
    assert is_acyclic(folded)
    assert len(folded) <= len(graph)
    members = sorted(member for node in folded.nodes for member in node.members)
    assert members == list(range(len(graph)))
    assert folded.saved_bytes() == graph.saved_bytes()
    assert folded.storages == graph.storages
    assert fold_by(graph, steps) == folded
    for node in folded.nodes:
        assert node.origin == node.members[0]
        assert (node.kind == "fold") <= (node.fold is not None)
    assert folded is graph or len(folded.fold_notes) >= 1


@given(graphs(), passes)
def test_roots_lead_to_the_nodes_that_hold_them(
    graph: Graph, steps: list[tuple[FoldBy, int | None]]
) -> None:
    folded = fold_by(graph, steps)
    for before, after in zip(graph.roots, folded.roots, strict=True):
        assert before.node in folded.nodes[after.node].members


@given(graphs(), passes)
def test_edges_lead_where_they_led_and_none_is_lost(
    graph: Graph, steps: list[tuple[FoldBy, int | None]]
) -> None:
    # A band may cut through a run, and then links of that run can be lost in it.
    folded = fold_by(graph, [step for step in steps if step[0] != "band"])
    home = {member: node.id for node in folded.nodes for member in node.members}
    expected: Counter[tuple[int, int]] = Counter()
    for edge in graph.edges:
        expected[home[edge.source], home[edge.target]] += 1
    for node in folded.nodes:
        if node.kind == "fold" and not any(node.id in repeat.nodes for repeat in folded.repeats):
            expected.pop((node.id, node.id), None)
    links = [link for repeat in folded.repeats for link in repeat.links]
    found: Counter[tuple[int, int]] = Counter()
    for edge in (*folded.edges, *links):
        found[edge.source, edge.target] += edge.count
    # A fold inside a run may have lost inner edges that look like its links.
    folds = {node.id for node in folded.nodes if node.kind == "fold"}
    for source, target in expected | found:
        missing = expected[source, target] - found[source, target]
        assert missing == 0 or (missing > 0 and source == target and source in folds)


@given(graphs(), st.sampled_from(["chain", "scope", "band"]))
def test_counts_add_up(graph: Graph, by: FoldBy) -> None:
    folded = graph.fold(by, depth=4 if by == "band" else None)
    assert shown_edges(folded) + inner_edges(graph, folded) == len(graph.edges)


@given(graphs())
def test_a_repeat_loses_no_edge_and_shows_whole_blocks(graph: Graph) -> None:
    folded = graph.fold("repeat")
    assert shown_edges(folded) == len(graph.edges)
    for repeat in folded.repeats:
        for id in repeat.nodes:
            node = folded.nodes[id]
            assert node.fold is not None
            assert node.fold.by == "repeat"
            assert node.fold.count == len(repeat.scopes) == len(node.members)
            kinds = {graph.nodes[member].kind for member in node.members}
            names = {graph.nodes[member].name for member in node.members}
            assert (names, kinds) == ({node.name}, {node.kind})


@given(graphs())
def test_folding_by_scope_again_changes_nothing_more(graph: Graph) -> None:
    once = graph.fold("scope")
    assert once.fold("scope") is once


@given(graphs())
def test_slots_between_nodes_that_stay_are_kept(graph: Graph) -> None:
    folded = graph.fold("chain")
    kept = {node.origin: node.id for node in folded.nodes if node.kind != "fold"}
    expected = sorted(
        (kept[edge.source], edge.source_slot, kept[edge.target], edge.target_slot)
        for edge in graph.edges
        if edge.source in kept and edge.target in kept
    )
    found = [
        (edge.source, edge.source_slot, edge.target, edge.target_slot)
        for edge in folded.edges
        if {edge.source, edge.target} <= set(kept.values())
    ]
    assert found == expected
