"""What boxes, arrows and tooltips say of gradients."""

from dataclasses import replace
from math import inf, nan

import pytest

from inspect_autograd.events.nonfinite_report import NonfiniteKind
from inspect_autograd.events.nonfinite_search import Birth
from inspect_autograd.events.records import TensorStats
from inspect_autograd.graph.tensor_meta import TensorMeta
from inspect_autograd.render.overlay import Line
from inspect_autograd.render.pass_facts import EdgeFacts, NodeFacts, Span
from inspect_autograd.render.pass_text import (
    describe_edges,
    describe_event,
    describe_stats,
    format_orders,
    received_by,
    remarks,
    short_stats,
)
from tests.unit.render.graphs import F4, chain, make_graph
from tests.unit.render.hand_traces import make_data, stats_of

NAN = frozenset({"NaN"})
DATA = make_data(chain(2), [(0, [1.0], [2.0]), (1, [2.0], [3.0]), (2, [3.0], [])])


def facts_of(*kinds: NonfiniteKind, nodes: int = 1, what: str = "NaN") -> NodeFacts:
    """A box of nodes that all ran; the first of them have births of these kinds."""
    births = [Birth(kind, what, id, id, 0, 0) for id, kind in enumerate(kinds)]
    orders = [*range(nodes)]
    return NodeFacts(nodes, nodes, orders, nonfinite=orders[: len(kinds)], births=births)


@pytest.mark.parametrize(
    ("stats", "text"),
    [
        (TensorStats(F4, 0.14912), "|0.149|"),
        (TensorStats(F4, 0.0), "|0|"),
        (TensorStats(F4), ""),
        (TensorStats(F4, nan, nan_count=3, inf_count=0), "NaN ×3"),
        (TensorStats(F4, nan, nan_count=3, inf_count=2), "NaN ×3, Inf ×2"),
        (TensorStats(F4, inf, nan_count=0, inf_count=2), "Inf ×2"),
        # stats="basic" counts nothing.
        (TensorStats(F4, nan, nan, nan), "NaN"),
        (TensorStats(F4, inf, 0.0, inf), "Inf"),
        # Every element is finite; the sum of squares is not.
        (TensorStats(F4, inf, 0.0, 1e300), "|inf|"),
    ],
)
def test_a_gradient_in_short(stats: TensorStats, text: str) -> None:
    assert short_stats(stats) == text


@pytest.mark.parametrize(
    ("orders", "text"),
    [([], ""), ([3], "3. "), ([3, 4, 5], "3–5. "), ([3, 5], "3…5. "), ([0, 1], "0–1. ")],
)
def test_orders(orders: list[int], text: str) -> None:
    assert format_orders(orders) == text


def test_one_node_tells_what_it_received() -> None:
    graph = make_graph(["Split"], [], outputs={0: 4})
    data = make_data(graph, [(0, [2.0, 2.0, None, 3.0], [])])
    facts = NodeFacts(1, 1, [0])
    # Broken before it gets too long to be read.
    assert received_by(facts, data) == ["f32[4] |2| ×2, none, f32[4] |3|"]


def test_many_slots_are_bounded_and_what_is_not_finite_comes_first() -> None:
    graph = make_graph(["Split"], [], outputs={0: 9})
    data = make_data(graph, [(0, [1, 2, 3, 4, 5, 6, 7, nan, None], [])])
    lines = received_by(NodeFacts(1, 1, [0]), data)
    assert lines == [
        "f32[4] NaN ×1, f32[4] |1|, f32[4] |2|",
        "f32[4] |3|, … 9 in all",
    ]


def test_several_nodes_have_no_one_gradient() -> None:
    assert received_by(NodeFacts(2, 2, [0, 1]), DATA) is None
    assert received_by(NodeFacts(1, 1, [0, 1]), DATA) is None
    assert received_by(NodeFacts(1), DATA) is None


def test_what_grad_returned_is_told_where_the_node_did_not_run() -> None:
    facts = NodeFacts(1, taken=[stats_of(2.0)])
    assert received_by(facts, DATA) == ["f32[4] |2|"]
    assert remarks(facts, DATA) == [Line("returned by autograd.grad, not run")]


@pytest.mark.parametrize(
    ("facts", "texts"),
    [
        (NodeFacts(1, 1, [0], Span(1, 1)), []),
        (NodeFacts(1), ["did not run"]),
        (NodeFacts(1, raised=1), ["*RAISED HERE"]),
        (NodeFacts(3, 3, [0, 1, 2], Span(0.5, 2)), ["|0.5 … 2|"]),
        (NodeFacts(3, 2, [0, 1], Span(0.5, 2)), ["|0.5 … 2|", "2 of 3 nodes ran"]),
        (NodeFacts(3), ["none of 3 nodes ran"]),
        (NodeFacts(3, 1, [0], raised=1), ["*RAISED INSIDE", "1 of 3 nodes ran"]),
        (NodeFacts(1, 1, [0], Span(inf, inf)), ["norm overflows"]),
        # That it arrived stands in the line of what was received.
        (NodeFacts(1, 1, [0], received=NAN, returned=NAN, nonfinite=[0]), []),
        (facts_of("born"), ["*NaN BORN HERE"]),
        (facts_of("born", what="NaN and Inf"), ["*NaN and Inf BORN HERE"]),
        (facts_of("accumulated", what="Inf"), ["*Inf BORN IN A SUM"]),
        (facts_of("changed"), ["*NaN BORN IN A HOOK"]),
        (facts_of("root"), ["*NaN WAS GIVEN"]),
        (facts_of("unknown"), ["*NaN FIRST SEEN HERE"]),
        (facts_of("born", "root"), ["*NaN WAS GIVEN", "*NaN BORN HERE"]),
        (
            replace(facts_of("born", "born", nodes=3), received=NAN, norms=Span(1, 1)),
            [
                "|1|",
                "*NaN at 2 of 3 nodes",
                "*NaN BORN INSIDE",
                "*at MulBackward0 and 1 more",
            ],
        ),
        (
            replace(facts_of("accumulated", "changed", nodes=3), received=NAN),
            ["*NaN at 2 of 3 nodes", "*NaN BORN IN A HOOK INSIDE", "*NaN BORN IN A SUM INSIDE"],
        ),
        (
            replace(facts_of("unknown", nodes=2), received=NAN),
            ["*NaN at 1 of 2 nodes", "*NaN FIRST SEEN INSIDE", "*at MulBackward0"],
        ),
    ],
)
def test_remarks(facts: NodeFacts, texts: list[str]) -> None:
    expected = [Line(text.removeprefix("*"), is_bold=text.startswith("*")) for text in texts]
    assert remarks(facts, DATA) == expected


@pytest.mark.parametrize(
    ("facts", "lines"),
    [
        (EdgeFacts(2, idle=2), ["not run"]),
        (EdgeFacts(2, idle=1), ["no gradient was sent (None)"]),
        (
            EdgeFacts(5, sent=4, norms=Span(1, 3), problems=NAN, nonfinite=2),
            [
                "gradients sent along 4 of 5 edges",
                "norms |1 … 3|",
                "NaN in 2 of them",
            ],
        ),
        (EdgeFacts(5, sent=5), ["gradients sent along 5 of 5 edges"]),
    ],
)
def test_arrows(facts: EdgeFacts, lines: list[str]) -> None:
    assert describe_edges(facts) == lines


def test_an_arrow_for_one_edge_tells_all_numbers() -> None:
    facts = EdgeFacts(1, sent=1, norms=Span(2, 2), last=stats_of(2.0))
    assert describe_edges(facts) == [
        "sent: f32[4] norm 2, min -2, max 2, mean 0, zeros 0, NaN 0, Inf 0"
    ]


def test_what_is_not_finite_stands_first_and_nan_is_said_once() -> None:
    stats = TensorStats(F4, nan, nan, nan, nan, 1, 2, 0)
    assert describe_stats(stats) == "f32[4] NaN ×2, zeros 1"
    stats = TensorStats(F4, inf, -1.0, inf, inf, 1, 0, 2)
    assert describe_stats(stats) == "f32[4] Inf ×2, norm inf, min -1, max inf, mean inf, zeros 1"


def test_what_is_missing_is_explained() -> None:
    assert describe_stats(None) == "no gradient"
    assert describe_stats(TensorStats(F4)) == "f32[4]"
    assert describe_stats(TensorStats(F4, note="sparse")) == "f32[4] (sparse)"
    overflow = describe_stats(TensorStats(F4, inf, 0.0, 1e300))
    assert "the norm overflows, though every element is finite" in overflow


def test_an_event_in_a_tooltip() -> None:
    data = make_data(chain(1), [(0, [1.0], [2.0, None])])
    lines = describe_event(data, 0)
    assert lines[0] == "order 0, took 1.5 µs"
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "received",
        "returned 0",
        "returned 1",
    ]
    assert lines[-1] == "returned 1: no gradient"
    threads = replace(data, threads=("MainThread", "pt_autograd_0"))
    assert describe_event(threads, 0)[0] == "order 0, took 1.5 µs in MainThread"


def test_many_slots_in_a_tooltip_are_bounded() -> None:
    data = make_data(make_graph(["Cat"], []), [(0, [1.0], [1.0] * 50)])
    lines = describe_event(data, 0)
    assert len(lines) == 1 + 1 + 8 + 1
    assert lines[-1] == "returned: 50 in all"


def test_devices_are_told() -> None:
    meta = TensorMeta((2,), "float16", "cuda:0")
    assert describe_stats(TensorStats(meta, 1.0)) == "f16[2] cuda:0 norm 1"
