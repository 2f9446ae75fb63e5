"""What a pass did at boxes and arrows, in traces made by hand."""

from dataclasses import replace
from math import inf

import pytest

from inspect_autograd.events.records import Outcome, PassInput, TensorStats
from inspect_autograd.events.trace import TraceData
from inspect_autograd.graph.graph import Graph
from inspect_autograd.render.pass_facts import PassFacts, Span
from tests.unit.render.graphs import F4, chain, make_graph
from tests.unit.render.hand_traces import make_data, make_pass, stats_of

NAN = float("nan")


def facts_of(data: TraceData, shown: Graph | None = None) -> PassFacts:
    return PassFacts(data, shown or data.graph, data.passes)


def chain_data(norms: list[float]) -> TraceData:
    """A chain in which each node received one of these norms and returned the next."""
    size = len(norms)
    events = [(i, [norms[i]], [norms[i + 1]]) for i in range(size - 1)]
    return make_data(chain(size - 1), [*events, (size - 1, [norms[-1]], [])])


def test_a_span_holds_what_was_added() -> None:
    span = Span()
    assert not span
    span.add(3.0)
    span.add(2.0)
    assert span
    assert (span.low, span.high) == (2.0, 3.0)


def test_each_node_of_a_whole_graph_has_its_event() -> None:
    facts = facts_of(chain_data([1.0, 2.0, 8.0]))
    assert [one.orders for one in facts.nodes] == [[0], [1], [2]]
    assert [one.norms for one in facts.nodes] == [Span(1, 1), Span(2, 2), Span(8, 8)]
    assert [one.ran for one in facts.nodes] == [1, 1, 1]
    assert sorted(facts.norms()) == [1, 2, 8]


def test_slots_are_taken_together() -> None:
    graph = make_graph(["Split"], [], outputs={0: 3})
    facts = facts_of(make_data(graph, [(0, [3.0, None, 4.0], [])]))
    assert facts.nodes[0].norms == Span(5, 5)


@pytest.mark.parametrize("slots", [[None], [], [None, None]])
def test_a_node_that_received_nothing_has_no_norm(slots: list[float | None]) -> None:
    facts = facts_of(make_data(make_graph(["A"], []), [(0, slots, [])]))
    assert not facts.nodes[0].norms
    assert [*facts.norms()] == []


def test_one_unknown_slot_makes_the_norm_unknown() -> None:
    data = make_data(make_graph(["A"], [], outputs={0: 2}), [(0, [3.0, 4.0], [])])
    stats = [data.table.stats[0], TensorStats(F4)]
    facts = facts_of(replace(data, table=replace(data.table, stats=stats)))
    assert not facts.nodes[0].norms


def test_a_fold_takes_its_nodes_together() -> None:
    data = chain_data([1.0, 2.0, 8.0, 4.0, 16.0])
    facts = facts_of(data, data.graph.fold("chain"))
    inside, leaf = facts.nodes
    assert (inside.nodes, inside.ran, inside.orders) == (4, 4, [0, 1, 2, 3])
    assert inside.norms == Span(1, 8)
    assert leaf.norms == Span(16, 16)
    assert [facts.shown_id(id) for id in range(5)] == [0, 0, 0, 0, 1]


def test_what_is_not_finite_in_a_fold_is_counted_and_has_no_norm() -> None:
    data = chain_data([1.0, 2.0, NAN, NAN, NAN])
    facts = facts_of(data, data.graph.fold("chain"))
    inside = facts.nodes[0]
    assert inside.norms == Span(1, 2)
    assert inside.nonfinite == [1, 2, 3]
    assert [(birth.kind, birth.node, birth.event) for birth in inside.births] == [("born", 1, 1)]
    assert inside.received == inside.returned == frozenset({"NaN"})
    assert facts.births == inside.births


def test_a_fold_of_which_a_part_ran() -> None:
    data = make_data(chain(3), [(0, [1], [1]), (1, [1], [2])])
    raised = make_pass(outcome=Outcome("raised", "RuntimeError", "no", node=2))
    data = replace(data, passes=(raised,))
    inside, leaf = facts_of(data, data.graph.fold("chain")).nodes
    assert (inside.nodes, inside.ran, inside.raised) == (3, 2, 2)
    assert (leaf.ran, leaf.orders, leaf.raised) == (0, [], None)


def test_edges_know_what_was_sent() -> None:
    graph = make_graph(["Mul", "Sin", "Cos", "Tan"], [(0, 1), (0, 2), (1, 3)])
    facts = facts_of(make_data(graph, [(0, [1], [5.0, None]), (2, [1], [])]))
    sent, nothing, idle = (facts.of_edges([edge]) for edge in graph.edges)
    assert (sent.edges, sent.sent, sent.norms, sent.last) == (1, 1, Span(5, 5), stats_of(5.0))
    assert (nothing.edges, nothing.sent, nothing.idle) == (1, 0, 0)
    assert (idle.edges, idle.sent, idle.idle) == (1, 0, 1)


def test_edges_drawn_as_one_arrow_are_taken_together() -> None:
    graph = make_graph(["Cat", "Mul"], [(0, i, 1, 0) for i in range(5)])
    facts = facts_of(make_data(graph, [(0, [1], [5.0, None, NAN, inf, 2.0])]))
    whole = facts.of_edges(graph.edges)
    assert (whole.edges, whole.sent, whole.nonfinite) == (5, 4, 2)
    assert whole.norms == Span(2, 5)
    assert whole.problems == {"NaN", "Inf"}


def test_edges_into_a_fold_are_found() -> None:
    # Three edges from the node before it lead to three members.
    graph = make_graph(
        ["Stack", "Mul", "Mul", "Mul", "AccumulateGrad"],
        [(0, 0, 1, 1), (0, 1, 2, 0), (0, 2, 3, 0), (1, 4), (2, 4), (3, 4)],
        outputs={1: 2},
        leaves={4: "w"},
        columns={"scopes": {0: "", 1: "m", 2: "m", 3: "m", 4: ""}},
        scopes="recorded",
    )
    data = make_data(graph, [(0, [1], [2.0, 3.0, 4.0]), (1, [None, 2], [7.0]), (2, [3], [8.0])])
    shown = graph.fold("scope")
    assert len(shown) == 3
    into, out = (
        facts_of(data, shown).of_edges([e for e in shown.edges if e.source == source])
        for source in (0, 1)
    )
    assert (into.edges, into.norms) == (3, Span(2, 4))
    assert (out.edges, out.sent, out.idle, out.norms) == (3, 2, 1, Span(7, 8))


def test_an_edge_that_is_none_of_the_graph_has_nothing() -> None:
    data = chain_data([1.0, 2.0])
    (edge,) = data.graph.edges
    facts = facts_of(data).of_edges([replace(edge, source_slot=7)])
    assert (facts.edges, facts.last) == (0, None)


def test_only_events_of_the_pass_count() -> None:
    events = [(0, [1.0], [1.0]), (1, [1.0], []), (0, [9.0], [9.0])]
    passes = (make_pass(0), make_pass(1))
    data = make_data(chain(1), events, passes=passes, pass_of=[0, 0, 1])
    second = PassFacts(data, data.graph, passes[1:])
    assert [one.orders for one in second.nodes] == [[2], []]
    assert second.nodes[0].norms == Span(9, 9)
    nothing = PassFacts(data, data.graph, ())
    assert [one.ran for one in nothing.nodes] == [0, 0]


def test_what_grad_returned_is_at_the_node_that_did_not_run() -> None:
    data = make_data(chain(2), [(0, [1], [6.0]), (1, [6], [7.0])])
    given = [PassInput(2, 0, ("w",), stats_of(7.0)), PassInput(None, 0, (), stats_of(1.0))]
    ran = PassInput(1, 0, (), stats_of(6.0))
    facts = facts_of(replace(data, passes=(make_pass(inputs=(*given, ran)),)))
    assert [one.taken for one in facts.nodes] == [[], [], [stats_of(7.0)]]
    assert sorted(facts.norms()) == [1, 6, 7]


def test_the_norm_of_a_finite_gradient_may_overflow() -> None:
    data = make_data(make_graph(["A"], []), [(0, [1.0], [])])
    huge = replace(data.table.stats[0], l2=inf)
    facts = facts_of(replace(data, table=replace(data.table, stats=[huge])))
    assert facts.nodes[0].norms == Span(inf, inf)
    assert facts.nodes[0].nonfinite == []
