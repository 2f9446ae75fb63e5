"""Where NaN and Inf came up, in traces made by hand."""

from dataclasses import replace

import pytest

from inspect_autograd.events.records import BackwardPass, RootGradient, TensorStats
from inspect_autograd.events.trace import TraceData
from inspect_autograd.graph.records import Truncation
from inspect_autograd.render.nonfinite_origins import Origins, find_origins
from tests.unit.render.graphs import F4, chain, make_graph
from tests.unit.render.hand_traces import make_data, make_pass, stats_of

NAN, INF = float("nan"), float("inf")

# 0 → 1 and 2, and both → 3.
DIAMOND = make_graph(["Add", "Mul", "Mul", "Sin"], [(0, 1), (0, 2), (1, 3), (2, 3)])


def origins(data: TraceData, passes: tuple[BackwardPass, ...] | None = None) -> Origins:
    orders: dict[int, list[int]] = {}
    for order, node in enumerate(data.table.nodes):
        orders.setdefault(node, []).append(order)
    return find_origins(data, orders, data.passes if passes is None else passes)


def test_a_finite_trace_has_none() -> None:
    data = make_data(chain(2), [(0, [1], [2]), (1, [2], [3]), (2, [3], [])])
    assert origins(data) == Origins()


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_birth_has_finite_input_and_other_output(bad: float) -> None:
    data = make_data(chain(2), [(0, [1], [2]), (1, [2], [bad]), (2, [bad], [])])
    assert origins(data) == Origins(births=frozenset({1}))


def test_there_may_be_several_births() -> None:
    data = make_data(
        DIAMOND, [(0, [1], [1, 1]), (1, [1], [NAN]), (2, [1], [INF]), (3, [NAN], [NAN])]
    )
    assert origins(data).births == {1, 2}
    assert origins(data).arrivals == {}


def test_a_birth_after_a_slot_without_gradient_counts() -> None:
    data = make_data(chain(1), [(0, [None], [NAN]), (1, [NAN], [])])
    assert origins(data).births == {0}


def test_unknown_input_is_no_birth() -> None:
    data = make_data(chain(1), [(0, [1], [NAN]), (1, [NAN], [])])
    stats = [TensorStats(F4), *data.table.stats[1:]]
    unknown = replace(data, table=replace(data.table, stats=stats))
    assert origins(data).births == {0}
    assert origins(unknown) == Origins()


def test_a_sum_of_finite_gradients_may_overflow() -> None:
    data = make_data(
        DIAMOND, [(0, [1], [1, 1]), (1, [1], [3e38]), (2, [1], [2e38]), (3, [INF], [INF])]
    )
    assert origins(data) == Origins(arrivals={3: 2})


def test_one_finite_gradient_that_arrives_changed_counts_as_one() -> None:
    data = make_data(chain(1), [(0, [1], [1]), (1, [NAN], [])])
    assert origins(data) == Origins(arrivals={1: 1})
    # The other branch sent nothing.
    data = make_data(
        DIAMOND, [(0, [1], [1, 1]), (1, [1], [1]), (2, [1], [None]), (3, [NAN], [NAN])]
    )
    assert origins(data).arrivals == {3: 1}


def test_a_branch_that_was_not_finite_explains_the_sum() -> None:
    for first, second in ((NAN, 1.0), (1.0, NAN)):
        data = make_data(
            DIAMOND, [(0, [1], [1, 1]), (1, [1], [first]), (2, [1], [second]), (3, [NAN], [])]
        )
        assert origins(data).arrivals == {}


def test_slots_of_a_node_are_looked_at_one_by_one() -> None:
    graph = make_graph(["Add", "Split"], [(0, 0, 1, 0), (0, 1, 1, 1)], outputs={1: 2})
    data = make_data(graph, [(0, [1], [NAN, 1]), (1, [NAN, INF], [])])
    # Slot 0 was sent NaN; slot 1 was sent 1 and holds Inf all the same.
    assert origins(data) == Origins(births=frozenset({0}), arrivals={1: 1})


def test_a_node_that_was_sent_nothing_is_not_explained() -> None:
    data = make_data(chain(1), [(1, [NAN], [])])
    assert origins(data) == Origins()


def test_what_the_call_gave_is_told_apart() -> None:
    data = make_data(chain(1), [(0, [NAN], [NAN]), (1, [NAN], [])])
    given = make_pass(roots=(RootGradient(0, 0, False, stats_of(NAN)),))
    assert origins(data, (given,)) == Origins(given=frozenset({0}))


def test_an_unknown_root_gradient_may_have_been_anything() -> None:
    data = make_data(chain(1), [(0, [1], [1]), (1, [NAN], [])])
    unknown = make_pass(roots=(RootGradient(1, 0, False, None),))
    assert origins(data, (unknown,)) == Origins()
    finite = make_pass(roots=(RootGradient(1, 0, False, stats_of(1.0)),))
    assert origins(data, (finite,)).arrivals == {1: 1}


def test_in_a_truncated_graph_a_sum_is_not_blamed() -> None:
    data = make_data(chain(1), [(0, [1], [1]), (1, [NAN], [])])
    cut = replace(data, graph=replace(data.graph, truncation=Truncation(2, 1)))
    assert origins(cut) == Origins()
