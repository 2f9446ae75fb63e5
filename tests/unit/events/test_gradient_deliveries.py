"""What each parameter was given in a pass, which pass, and why some were given nothing."""

import math
from dataclasses import replace

from inspect_autograd.events.gradient_flow import FlowRow, GradientFlow, find_gradient_flow
from inspect_autograd.events.records import Outcome, TracedParameter
from inspect_autograd.events.trace import Trace
from tests.unit.hand_traces import EventRow, given, make_pass, make_trace, stats
from tests.unit.render.graphs import F4, make_graph, product


def by_name(flow: GradientFlow) -> dict[str, FlowRow]:
    return {row.name: row for row in flow.rows}


def kinds(row: FlowRow) -> list[str]:
    return [flag.kind for flag in row.flags]


# -- missing gradients -------------------------------------------------------------------------


def test_missing_gradients_say_why() -> None:
    unreached = TracedParameter(("head.weight",), F4, None, 2.0)
    graph = product()
    trace = make_trace(graph, [(2, 0, [None], [])], unreached=[unreached])
    flow = find_gradient_flow(trace)
    assert {row.name: row.flags[0].text for row in flow.rows} == {
        "w": "its node ran but received no gradient",
        "v": "its node did not run in this pass",
        "head.weight": "the traced graph does not reach it",
    }
    assert flow.flag_counts == {"missing": 3}
    assert all(row.l2 is None and row.max_abs is None and row.missing == 1 for row in flow.rows)
    for status, text in (
        ("raised", "its node did not run before the pass raised"),
        ("running", "its node has not run yet"),
    ):
        passes = [make_pass(outcome=Outcome(status, "RuntimeError", "boom"))]  # type: ignore[arg-type]
        flow = find_gradient_flow(make_trace(graph, [(2, 0, [stats(1.0)], [])], passes=passes))
        assert by_name(flow)["v"].flags[0].text == text
        assert any("may be missing" in note for note in flow.notes)


def test_a_missing_gradient_of_a_module_is_counted_and_not_zero() -> None:
    graph = make_graph(
        ["AddBackward0", "AccumulateGrad", "AccumulateGrad"],
        [(0, 1), (0, 2)],
        leaves={1: "fc.weight", 2: "fc.bias"},
    )
    other = TracedParameter(("unused.weight",), F4, None, 2.0)
    trace = make_trace(
        graph, [(1, 0, [stats(3.0)], [])], unreached=[other], norms={"fc.weight": 3, "fc.bias": 4}
    )
    rows = by_name(find_gradient_flow(trace, by="module"))
    assert rows["fc"].l2 == 3.0
    assert rows["fc"].parameter_l2 == 5.0
    assert rows["fc"].missing == 1
    assert rows["fc"].note == "1 of 2 gradients missing"
    assert [(flag.kind, flag.count) for flag in rows["fc"].flags] == [("missing", 1)]
    assert rows["unused"].l2 is None
    assert rows["unused"].max_abs is None
    assert "none" in str(find_gradient_flow(trace, by="module"))


def test_a_gradient_without_a_norm_is_not_judged() -> None:
    unknown = replace(stats(1.0), l2=None, min=None, max=None, note="sparse")
    trace = make_trace(product(), [(2, 0, [unknown], []), (3, 0, [stats(1.0)], [])])
    rows = by_name(find_gradient_flow(trace))
    assert rows["w"].l2 is None
    assert rows["w"].missing == 0
    assert rows["w"].flags == ()
    assert rows["w"].note == "sparse"
    (module,) = find_gradient_flow(trace, by="module").rows
    assert module.l2 == 1.0
    assert module.note == "1 of 2 without a norm, left out"


# -- which pass --------------------------------------------------------------------------------


def test_the_last_pass_that_reached_a_leaf_is_shown() -> None:
    events: list[EventRow] = [
        (2, 0, [stats(1.0)], []),
        (2, 1, [stats(2.0)], []),
        (0, 2, [stats(9.0)], [stats(9.0)]),
    ]
    trace = make_trace(product(), events, passes=[make_pass(i) for i in range(3)])
    flow = find_gradient_flow(trace)
    assert flow.backward_pass == 1
    assert by_name(flow)["w"].l2 == 2.0
    assert "one of 3 passes" in flow.notes[0]
    assert by_name(find_gradient_flow(trace, backward_pass=0))["w"].l2 == 1.0


def test_a_reentrant_pass_delivers_for_the_pass_that_called_it() -> None:
    # Pass 1 is called by node 1 of pass 0, and pass 2 by node 0 of pass 1; then node 1 of pass 3
    # calls pass 4.
    passes = [
        make_pass(0),
        make_pass(1, parent=1, parent_pass=0),
        make_pass(2, parent=0, parent_pass=1),
        make_pass(3),
        make_pass(4, parent=1, parent_pass=3),
    ]
    events: list[EventRow] = [
        (2, 2, [stats(3.0)], []),
        (0, 1, [], []),
        (2, 1, [stats(1.0)], []),
        (1, 0, [], []),
        (3, 0, [stats(5.0)], []),
        (2, 4, [stats(7.0)], []),
        (1, 3, [], []),
    ]
    trace = make_trace(product(), events, passes=passes)
    flow = find_gradient_flow(trace, backward_pass=0)
    rows = by_name(flow)
    assert rows["w"].deliveries == 2
    assert rows["w"].l2 == 3.0, "the largest of both"
    assert rows["w"].note == "largest of 2 deliveries"
    assert rows["v"].l2 == 5.0
    assert "one of 2 passes" in flow.notes[0]
    flow = find_gradient_flow(trace)
    assert flow.backward_pass == 3
    assert by_name(flow)["w"].l2 == 7.0
    assert kinds(by_name(flow)["v"]) == ["missing"]
    (module,) = find_gradient_flow(trace, by="module", backward_pass=0).rows
    assert module.deliveries == 3
    assert "largest of several deliveries" in module.note


def test_a_reentrant_pass_belongs_to_a_pass_that_raised_in_its_node() -> None:
    passes = [
        make_pass(0),
        make_pass(1, outcome=Outcome("raised", "RuntimeError", "boom", node=1)),
        make_pass(2, parent=1, parent_pass=1),
    ]
    # Node 1 finished in pass 0 only; in pass 1 it was running when pass 2 began.
    events: list[EventRow] = [(1, 0, [], []), (2, 2, [stats(3.0)], [])]
    trace = make_trace(product(), events, passes=passes)
    flow = find_gradient_flow(trace)
    assert flow.backward_pass == 1
    assert by_name(flow)["w"].l2 == 3.0
    assert "the pass raised RuntimeError" in flow.notes[1]


def test_nan_counts_as_the_largest_delivery() -> None:
    nan = stats(math.nan, min=math.nan, max=math.nan)
    events: list[EventRow] = [(2, 0, [stats(3.0)], []), (2, 1, [nan], []), (1, 0, [], [])]
    passes = [make_pass(0), make_pass(1, parent=1, parent_pass=0)]
    trace = make_trace(product(), events, passes=passes)
    (row,) = [row for row in find_gradient_flow(trace).rows if row.name == "w"]
    assert kinds(row) == ["non-finite"]
    assert row.deliveries == 2


def test_what_autograd_grad_returned_is_shown() -> None:
    inputs = (given(2, "w", stats(2.0)), given(1, "", stats(4.0)), given(None, "head", None))
    head = TracedParameter(("head",), F4, None, 1.0)
    passes = [make_pass(0, call="grad", inputs=inputs)]
    flow = find_gradient_flow(make_trace(product(), [], passes=passes, unreached=[head]))
    rows = by_name(flow)
    assert {*rows} == {"w", "head"}, "v was not asked for, so it is not missing"
    assert rows["w"].l2 == 2.0
    assert rows["w"].deliveries == 1
    assert kinds(rows["head"]) == ["missing"]
    assert flow.where == "grad at train.py:41"
    assert flow.notes == (
        "the pass was limited by its inputs, so 1 other parameter is not shown",
        "1 of its inputs is no leaf of the trace and not shown",
    )


def test_backward_with_inputs_is_limited_to_them() -> None:
    passes = [make_pass(0, inputs=(given(2, "w"),))]
    flow = find_gradient_flow(make_trace(product(), [(2, 0, [stats(2.0)], [])], passes=passes))
    assert [row.name for row in flow.rows] == ["w"]
    assert flow.flag_counts == {}


def test_a_second_accumulate_grad_node_is_known_by_its_name() -> None:
    graph = make_graph(
        ["SumBackward0", "AccumulateGrad", "AccumulateGrad"],
        [(0, 1)],
        leaves={1: "w", 2: "w"},
    )
    trace = make_trace(graph, [(2, 0, [stats(2.0)], [])])
    trace = Trace(replace(trace.data, parameters=trace.parameters[:1]))
    (row,) = find_gradient_flow(trace).rows
    assert (row.name, row.l2) == ("w", 2.0)


def test_without_any_gradient_all_are_missing() -> None:
    flow = find_gradient_flow(make_trace(product(), [], passes=[make_pass(0), make_pass(1)]))
    assert flow.backward_pass == 1
    assert flow.flag_counts == {"missing": 2}
    inner = make_pass(2, parent=1, parent_pass=0)
    passes = [make_pass(0), make_pass(1), inner]
    assert find_gradient_flow(make_trace(product(), [], passes=passes)).backward_pass == 1
    assert flow.near_loss.biases is None
