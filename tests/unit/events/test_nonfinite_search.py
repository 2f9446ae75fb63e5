"""Births in traces that no small program gives: gaps, several passes, passes inside of passes."""

from __future__ import annotations

import math
from dataclasses import replace
from time import perf_counter

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.events.first_nonfinite import find_first_nonfinite
from inspect_autograd.events.records import RootGradient, TensorStats
from inspect_autograd.events.trace import Trace
from inspect_autograd.graph.graph import Graph
from inspect_autograd.graph.tensor_meta import TensorMeta
from tests.unit.events.nonfinite_programs import leaf, report
from tests.unit.hand_traces import EventRow, given, make_pass, make_trace, stats

NAN, INF = math.nan, math.inf
META = TensorMeta((4,), "float32")
GOOD = stats(1.0)
BAD = stats(NAN)
INFINITE = stats(INF)
UNKNOWN = TensorStats(META, note="a sparse gradient that could not be reduced")


def chain(length: int = 4) -> Graph:
    """`sum`, then multiplications 1 … length - 2, then the leaf `x`."""
    x = leaf(1, 1, 1, 1)
    y = x
    for _ in range(length - 2):
        y = y * 2
    graph = ia.capture(y.sum(), params={"x": x})
    assert len(graph) == length
    return graph


def run(graph: Graph, *received: TensorStats, backward_pass: int = 0) -> list[EventRow]:
    """Events of a chain from what each node received; each returns what the next one received."""
    rows: list[EventRow] = []
    for node, gradient in enumerate(received):
        returned: list[TensorStats | None] = []
        if node + 1 < len(received):
            returned = [received[node + 1], None]
        if node == 0:
            returned = returned[:1]
        rows.append((node, backward_pass, [gradient], returned))
    return rows


def test_a_node_that_received_finite_and_returned_unknown() -> None:
    # 1 is sum, 2 returned something unknown, 3 received NaN: it was born at 1 … or just before 2.
    graph = chain(5)
    rows = run(graph, GOOD, GOOD, UNKNOWN, BAD, BAD)
    found = report(make_trace(graph, rows))
    assert (found.kind, found.what, found.event, found.node) == ("unknown", "NaN", 2, 2)
    assert "born at #2 MulBackward0 or #1 MulBackward0" in found.explanation
    assert "could not be reduced" in found.values["received"]
    assert "the birth was not seen" in found.headline
    assert found.passed_on == ("#3 MulBackward0",)


def test_what_arrives_out_of_the_unknown() -> None:
    graph = chain(4)
    rows = run(graph, GOOD, GOOD, BAD, BAD)
    rows[1] = (1, 0, [GOOD], [UNKNOWN, None])
    found = report(make_trace(graph, rows))
    assert (found.kind, found.node) == ("unknown", 2)
    assert "So it was born at #1 MulBackward0." in found.explanation
    assert found.passed_on == ("#2 MulBackward0",)


def test_a_long_stretch_of_unknown_numbers_names_the_nearest_and_counts_the_rest() -> None:
    graph = chain(12)
    rows = run(graph, GOOD, *[UNKNOWN] * 9, BAD, BAD)
    found = report(make_trace(graph, rows))
    assert (found.kind, found.node) == ("unknown", 9)
    names = " or ".join(f"#{id} MulBackward0" for id in (9, 8, 7, 6, 5))
    assert f"born at {names} or one of 5 more." in found.explanation


def test_a_gradient_given_to_a_root_of_which_nothing_is_known() -> None:
    graph = chain(3)
    root = RootGradient(0, 0, False, UNKNOWN)
    rows = run(graph, BAD, BAD, BAD)
    found = report(make_trace(graph, rows, passes=[make_pass(roots=(root,))]))
    assert found.kind == "unknown"
    assert "born in the gradient given to a root" in found.explanation


def test_an_implicit_root_is_known_to_be_finite() -> None:
    graph = chain(3)
    root = RootGradient(0, 0, True, None)
    rows = run(graph, BAD, BAD, BAD)
    found = report(make_trace(graph, rows, passes=[make_pass(roots=(root,))]))
    assert (found.kind, found.values) == ("changed", {"gradient given to the root": "not known"})


def test_unknown_numbers_alone_are_no_birth() -> None:
    graph = chain(4)
    rows = run(graph, GOOD, UNKNOWN, UNKNOWN, GOOD)
    assert find_first_nonfinite(make_trace(graph, rows)) is None


def test_a_norm_that_overflows_is_no_birth() -> None:
    # Every element is finite; only their squares are not.
    graph = chain(3)
    large = stats(INF, min=-3e38, max=3e38)
    assert find_first_nonfinite(make_trace(graph, run(graph, GOOD, large, large))) is None


def test_the_first_of_two_passes() -> None:
    graph = chain(3)
    rows = [*run(graph, GOOD, GOOD, GOOD), *run(graph, GOOD, BAD, BAD, backward_pass=1)]
    passes = [make_pass(0), make_pass(1, line=77)]
    found = report(make_trace(graph, rows, passes=passes))
    assert (found.kind, found.event, found.node, found.backward_pass) == ("born", 3, 0, 1)
    assert found.place == "train.py:77"
    assert "(event 3 of pass 1, train.py:77)" in found.headline


def test_later_passes_are_counted_and_their_own_nodes_are_not_mixed_up() -> None:
    graph = chain(4)
    rows = [
        *run(graph, GOOD, GOOD, BAD, BAD),
        *run(graph, GOOD, GOOD, BAD, BAD, backward_pass=1),
        *run(graph, GOOD, BAD, BAD, BAD, backward_pass=2),
    ]
    passes = [make_pass(0), make_pass(1), make_pass(2)]
    found = report(make_trace(graph, rows, passes=passes))
    assert (found.event, found.node) == (1, 1)
    assert found.others == {"MulBackward0": 1, "SumBackward0": 1}
    assert found.passed_on == ("#2 MulBackward0",)
    assert found.reached == ("x",)


def test_a_root_comes_before_the_events_of_its_pass_and_after_earlier_passes() -> None:
    graph = chain(3)
    bad_root = RootGradient(0, 0, False, INFINITE)
    rows = [*run(graph, GOOD, BAD, BAD), *run(graph, INFINITE, BAD, BAD, backward_pass=1)]
    found = report(make_trace(graph, rows, passes=[make_pass(0), make_pass(1, roots=(bad_root,))]))
    assert (found.kind, found.backward_pass, found.others) == ("born", 0, {"SumBackward0": 1})
    found = report(make_trace(graph, rows, passes=[make_pass(0, roots=(bad_root,)), make_pass(1)]))
    assert (found.kind, found.backward_pass, found.what) == ("root", 0, "Inf")


def test_a_root_whose_node_did_not_run() -> None:
    graph = chain(3)
    root = RootGradient(0, 0, False, BAD)
    found = report(make_trace(graph, [], passes=[make_pass(roots=(root,))]))
    assert (found.kind, found.event, found.passed_on_count) == ("root", None, 0)
    assert "(pass 0, train.py:41)" in found.headline


def nested(*, inner_is_bad: bool, outer_is_bad: bool) -> Trace:
    """A pass run by node 1 of another: it is event 3, finished after the events 1 and 2 inside."""
    graph = chain(4)
    first = BAD if outer_is_bad else GOOD
    inside = BAD if inner_is_bad else GOOD
    rows: list[EventRow] = [
        (0, 0, [GOOD], [first]),
        (2, 1, [first], [inside, None]),
        (3, 1, [inside], []),
        (1, 0, [first], [inside, None]),
    ]
    root = RootGradient(2, 0, False, first)
    passes = [make_pass(0), make_pass(1, roots=(root,), parent=1, parent_pass=0)]
    return make_trace(graph, rows, passes=passes)


def test_a_pass_inside_a_node() -> None:
    found = report(nested(inner_is_bad=True, outer_is_bad=False))
    assert (found.kind, found.event, found.node, found.backward_pass) == ("born", 1, 2, 1)
    # The node that ran the pass only handed on what was born inside.
    assert found.others == {}
    assert found.passed_on == ("#1 MulBackward0",)


def test_a_pass_inside_a_node_that_received_nan_already() -> None:
    found = report(nested(inner_is_bad=True, outer_is_bad=True))
    assert (found.kind, found.event, found.node, found.backward_pass) == ("born", 0, 0, 0)
    assert found.others == {}


def test_a_node_whose_inner_pass_raised_is_not_mistaken_for_its_next_execution() -> None:
    graph = chain(4)
    rows: list[EventRow] = [
        (0, 0, [GOOD], [GOOD]),
        (2, 1, [GOOD], [BAD, None]),
        *run(graph, GOOD, GOOD, BAD, BAD, backward_pass=2),
    ]
    passes = [make_pass(0), make_pass(1, parent=1, parent_pass=0), make_pass(2)]
    found = report(make_trace(graph, rows, passes=passes))
    assert (found.event, found.node) == (1, 2)
    assert found.others == {"MulBackward0": 1}


def test_a_pass_without_events_began_before_the_next_one() -> None:
    graph = chain(3)
    rows = run(graph, GOOD, BAD, BAD, backward_pass=1)
    root = RootGradient(0, 0, False, BAD)
    found = report(make_trace(graph, rows, passes=[make_pass(0, roots=(root,)), make_pass(1)]))
    assert (found.kind, found.backward_pass) == ("root", 0)


def test_an_input_whose_node_ran_is_one_birth() -> None:
    x = leaf(1, 1, 1, 1)
    y = x * 5
    graph = ia.capture((y * 2 + y * 3).sum(), params={"x": x})
    assert graph.nodes[4].name == "MulBackward0"
    large = stats(3e38)
    rows: list[EventRow] = [
        (1, 0, [large], [large, large]),
        (2, 0, [large], [large, None]),
        (3, 0, [large], [large, None]),
        (4, 0, [INFINITE], [INFINITE, None]),
    ]
    passes = [make_pass(call="grad", inputs=(given(4, "y", INFINITE), given(5, "x", INFINITE)))]
    found = report(make_trace(graph, rows, passes=passes))
    assert (found.kind, found.event, found.others) == ("accumulated", 3, {})
    assert found.reached == ("y", "x")


def test_what_is_unknown_is_not_counted_as_another_birth() -> None:
    graph = chain(4)
    rows = run(graph, GOOD, BAD, BAD, BAD)
    rows += [(0, 1, [UNKNOWN], [BAD])]
    found = report(make_trace(graph, rows, passes=[make_pass(0), make_pass(1)]))
    assert (found.kind, found.others) == ("born", {})


def test_a_node_that_gives_nan_to_the_pass_it_runs() -> None:
    trace = nested(inner_is_bad=True, outer_is_bad=False)
    root = RootGradient(2, 0, False, BAD)
    passes = (trace.passes[0], replace(trace.passes[1], roots=(root,)))
    found = report(Trace(replace(trace.data, passes=passes)))
    assert (found.kind, found.node) == ("root", 2)
    assert "run by the node #1 MulBackward0, which received a finite gradient" in found.explanation
    assert "#1 MulBackward0" in found.fix


def test_an_input_of_autograd_grad_whose_sum_overflows() -> None:
    x = leaf(1, 1, 1, 1)
    graph = ia.capture((x * 2 + x * 3).sum(), params={"x": x})
    names = [node.label for node in graph.nodes]
    assert names == ["SumBackward0", "AddBackward0", "MulBackward0", "MulBackward0", "x"]
    large = stats(3e38)
    rows: list[EventRow] = [
        (0, 0, [GOOD], [large]),
        (1, 0, [large], [large, large]),
        (2, 0, [large], [large, None]),
        (3, 0, [large], [large, None]),
    ]
    passes = [make_pass(call="grad", inputs=(given(4, "x", INFINITE),))]
    found = report(make_trace(graph, rows, passes=passes))
    assert (found.kind, found.event, found.node) == ("accumulated", None, 4)
    assert found.reached == ("x",)
    assert (
        found.headline == "Inf was born where gradients are added up for #4 x (pass 0, train.py:41)"
    )


def test_an_input_of_autograd_grad_that_nan_arrived_at() -> None:
    graph = chain(3)
    rows = run(graph, GOOD, BAD, BAD)[:2]
    rows[1] = (1, 0, [BAD], [BAD, None])
    passes = [make_pass(call="grad", inputs=(given(2, "", BAD), given(None, "", None)))]
    found = report(make_trace(graph, rows, passes=passes))
    assert (found.kind, found.node, found.others) == ("born", 0, {})
    assert found.reached == ("#2 x (no name)",)


def test_a_node_with_several_slots_of_which_one_only_passes_it_on() -> None:
    x = leaf(1, 1, 1, 1)
    a, b = (x * 2).unbind(0)[:2]
    graph = ia.capture(a * b, params={"x": x})
    names = [node.name for node in graph.nodes]
    assert names[:2] == ["MulBackward0", "UnbindBackward0"]
    rows: list[EventRow] = [
        (0, 0, [GOOD], [BAD, GOOD]),
        (1, 0, [BAD, GOOD, None, None], [BAD]),
        (2, 0, [BAD], [BAD, None]),
    ]
    found = report(make_trace(graph, rows))
    assert (found.kind, found.node, found.slot) == ("born", 0, 0)
    assert found.passed_on == ("#1 UnbindBackward0", "#2 MulBackward0")
    # Now the second slot was changed by a hook: that is a birth of its own.
    rows[1] = (1, 0, [BAD, BAD, None, None], [BAD])
    found = report(make_trace(graph, rows))
    assert found.others == {"UnbindBackward0": 1}


def test_a_mask_stops_it() -> None:
    graph = chain(4)
    rows: list[EventRow] = [
        (0, 0, [GOOD], [BAD]),
        (1, 0, [BAD], [GOOD, None]),
        (2, 0, [GOOD], [GOOD, None]),
    ]
    found = report(make_trace(graph, rows))
    assert (found.node, found.passed_on_count, found.reached) == (0, 0, ())


@pytest.mark.parametrize("born", [0, 50_000])
def test_a_hundred_thousand_events(born: int) -> None:
    count = 100_000
    with torch.no_grad():
        x = leaf(1.0)
    graph = chain(3)
    edges = type(graph.edge_table).from_columns(
        count,
        sources=range(count - 1),
        source_slots=[0] * (count - 1),
        targets=range(1, count),
        target_slots=[0] * (count - 1),
    )
    table = replace(
        graph.node_table,
        names=["MulBackward0"] * count,
        kinds=["op"] * count,
        sequence_nrs=[None] * count,
        receives=[(META,)] * count,
        input_slots=[1] * count,
        parameters={},
        saved={},
        attributes={},
        orders={},
    )
    big = replace(graph, node_table=table, edge_table=edges)
    rows: list[EventRow] = [
        (id, 0, [BAD if id > born else GOOD], [BAD if id >= born else GOOD]) for id in range(count)
    ]
    trace = make_trace(big, rows)
    begin = perf_counter()
    found = report(trace)
    assert perf_counter() - begin < 20
    assert (found.event, found.passed_on_count) == (born, count - 1 - born)
    assert x.numel() == 1
