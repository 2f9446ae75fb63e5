"""What counts as a birth of NaN or Inf, in traces of a few nodes."""

from dataclasses import replace
from math import inf, nan

import pytest

from inspect_autograd.events.nonfinite_search import NonfiniteSearch
from inspect_autograd.events.records import RootGradient, TensorStats
from inspect_autograd.events.trace import Trace, TraceData
from inspect_autograd.graph.records import Truncation
from tests.unit.render.graphs import F4, chain, make_graph
from tests.unit.render.hand_traces import make_data, make_pass, stats_of

# 0 → 1 and 2, and both → 3.
DIAMOND = make_graph(["Add", "Mul", "Mul", "Sin"], [(0, 1), (0, 2), (1, 3), (2, 3)])


def births(data: TraceData) -> list[tuple[str, int]]:
    """Kind and node of each birth."""
    return [(birth.kind, birth.node) for birth in NonfiniteSearch(data).find_births()]


def test_a_finite_trace_has_none() -> None:
    assert births(make_data(chain(2), [(0, [1], [2]), (1, [2], [3]), (2, [3], [])])) == []


@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_a_birth_has_finite_input_and_other_output(bad: float) -> None:
    data = make_data(chain(2), [(0, [1], [2]), (1, [2], [bad]), (2, [bad], [])])
    assert births(data) == [("born", 1)]


def test_there_may_be_several_births() -> None:
    data = make_data(
        DIAMOND, [(0, [1], [1, 1]), (1, [1], [nan]), (2, [1], [inf]), (3, [nan], [nan])]
    )
    assert births(data) == [("born", 1), ("born", 2)]


def test_a_birth_after_a_slot_without_gradient_counts() -> None:
    data = make_data(chain(1), [(0, [None], [nan]), (1, [nan], [])])
    assert births(data) == [("born", 0)]


def test_unknown_input_hides_the_birth() -> None:
    data = make_data(chain(1), [(0, [1], [nan]), (1, [nan], [])])
    stats = [TensorStats(F4), *data.table.stats[1:]]
    unknown = replace(data, table=replace(data.table, stats=stats))
    assert births(data) == [("born", 0)]
    assert births(unknown) == [("unknown", 0)]


def test_a_sum_of_finite_gradients_may_overflow_but_is_never_nan() -> None:
    for bad, kind in ((inf, "accumulated"), (nan, "changed")):
        data = make_data(
            DIAMOND, [(0, [1], [1, 1]), (1, [1], [3e38]), (2, [1], [2e38]), (3, [bad], [bad])]
        )
        assert births(data) == [(kind, 3)]


def test_a_sum_that_is_too_small_to_overflow_was_changed() -> None:
    data = make_data(
        DIAMOND, [(0, [1], [1, 1]), (1, [1], [1e38]), (2, [1], [2e38]), (3, [inf], [inf])]
    )
    assert births(data) == [("changed", 3)]


def test_one_finite_gradient_that_arrives_changed() -> None:
    data = make_data(chain(1), [(0, [1], [1]), (1, [inf], [])])
    assert births(data) == [("changed", 1)]
    # The other branch sent nothing, so nothing was added up.
    data = make_data(
        DIAMOND, [(0, [1], [1, 1]), (1, [1], [3e38]), (2, [1], [None]), (3, [inf], [inf])]
    )
    assert births(data) == [("changed", 3)]


def test_a_branch_that_was_not_finite_explains_the_sum() -> None:
    for first, second, born in ((nan, 1.0, 1), (1.0, nan, 2)):
        data = make_data(
            DIAMOND, [(0, [1], [1, 1]), (1, [1], [first]), (2, [1], [second]), (3, [nan], [])]
        )
        assert births(data) == [("born", born)]


def test_slots_of_a_node_are_looked_at_one_by_one() -> None:
    graph = make_graph(["Add", "Split"], [(0, 0, 1, 0), (0, 1, 1, 1)], outputs={1: 2})
    data = make_data(graph, [(0, [1], [nan, 1]), (1, [nan, inf], [])])
    # Slot 0 was sent NaN; slot 1 was sent 1 and holds Inf all the same.
    assert births(data) == [("born", 0), ("changed", 1)]


def test_a_node_that_was_sent_nothing_is_not_explained() -> None:
    assert births(make_data(chain(1), [(1, [nan], [])])) == [("unknown", 1)]


def test_what_the_call_gave_is_told_apart() -> None:
    given = make_pass(roots=(RootGradient(0, 0, False, stats_of(nan)),))
    data = make_data(chain(1), [(0, [nan], [nan]), (1, [nan], [])], passes=[given])
    assert births(data) == [("root", 0)]


def test_an_unknown_root_gradient_may_have_been_anything() -> None:
    data = make_data(chain(1), [(0, [1], [1]), (1, [nan], [])])
    unknown = make_pass(roots=(RootGradient(1, 0, False, None),))
    assert births(replace(data, passes=(unknown,))) == [("unknown", 1)]
    finite = make_pass(roots=(RootGradient(1, 0, False, stats_of(1.0)),))
    assert births(replace(data, passes=(finite,))) == [("changed", 1)]


def test_in_a_truncated_graph_a_sum_is_not_blamed() -> None:
    data = make_data(chain(1), [(0, [1], [1]), (1, [nan], [])])
    cut = replace(data, graph=replace(data.graph, truncation=Truncation(2, 1)))
    assert births(data) == [("changed", 1)]
    assert births(cut) == [("unknown", 1)]
    report = Trace(cut).first_nonfinite()
    assert report is not None
    assert "the graph was cut at max_nodes=2: 1 edges lead" in report.explanation
    assert report.values == {"#0 MulBackward0[0]": "f32[4], at most 1"}


def inner_pass(*, sent: float) -> TraceData:
    """Node 1 never finished: pass 1, which it called with NaN, raised."""
    given = RootGradient(2, 0, False, stats_of(nan))
    passes = [make_pass(0), make_pass(1, parent=1, parent_pass=0, roots=(given,))]
    return make_data(chain(3), [(0, [1], [sent]), (2, [nan], [nan])], passes=passes, pass_of=[0, 1])


def test_what_a_node_hands_on_to_a_pass_is_no_birth_though_the_node_never_finished() -> None:
    assert births(inner_pass(sent=nan)) == [("born", 0)]
    assert births(inner_pass(sent=1.0)) == [("root", 2)]
