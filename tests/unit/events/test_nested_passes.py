"""Which pass ran inside which, and which event called it."""

from __future__ import annotations

import pytest

from inspect_autograd.events.nested_passes import (
    find_callers,
    find_inner_passes,
    outermost_passes,
    pass_depths,
)
from tests.unit.events.trace_parts import full, nested_trace, trace_of
from tests.unit.hand_traces import make_pass

ONE = (full(1.0),)

# In pass 0 node 1 calls pass 1, in which it runs again and calls pass 2; then node 2 of pass 0
# calls pass 3. Pass 4 is one of its own, and so is 5, which node 1 of pass 4 did not call.
PASSES = (
    make_pass(0),
    make_pass(1, parent=1, parent_pass=0),
    make_pass(2, parent=1, parent_pass=1),
    make_pass(3, parent=2, parent_pass=0),
    make_pass(4),
    make_pass(5),
    make_pass(6, parent=1, parent_pass=4),
)


@pytest.mark.parametrize(
    ("id", "inside"),
    [(0, [0, 1, 2, 3]), (1, [1, 2]), (2, [2]), (3, [3]), (4, [4, 6]), (5, [5]), (6, [6])],
)
def test_the_passes_inside_a_pass(id: int, inside: list[int]) -> None:
    assert [one.id for one in find_inner_passes(PASSES, id)] == inside


def test_the_outermost_pass() -> None:
    # Pass 6 began after pass 5, as may be with several threads, and belongs to pass 4.
    assert outermost_passes(PASSES) == [0, 0, 0, 0, 4, 5, 4]
    assert outermost_passes(()) == []


def test_depths() -> None:
    assert pass_depths(PASSES) == [0, 1, 2, 1, 0, 0, 1]


def test_a_node_that_runs_in_several_passes_called_in_one_of_them() -> None:
    rows = [
        (1, 2, 30, 10, ONE, ()),  # Order 0.
        (1, 1, 20, 50, ONE, ()),
        (2, 0, 80, 5, ONE, ()),
        (1, 0, 10, 90, ONE, ()),
        (1, 5, 110, 10, ONE, ()),
        (1, 4, 105, 30, ONE, ()),
    ]
    assert find_callers(trace_of(rows, PASSES).data) == {1: 3, 2: 1, 3: 2, 6: 5}


def test_a_node_may_call_several_passes() -> None:
    passes = [make_pass(0), *(make_pass(i, parent=1, parent_pass=0) for i in (1, 2))]
    rows = [(0, 1, 0, 1, ONE, ()), (0, 2, 0, 1, ONE, ()), (1, 0, 0, 1, ONE, ())]
    assert find_callers(trace_of(rows, passes).data) == {1: 2, 2: 2}


def test_no_event_tells_of_a_node_that_never_finished() -> None:
    passes = [make_pass(0), make_pass(1, parent=1, parent_pass=0), make_pass(2)]
    # What node 1 did later, in pass 2, is not what called pass 1.
    rows = [(0, 0, 0, 1, ONE, ()), (0, 1, 1, 1, ONE, ()), (1, 2, 5, 1, ONE, ())]
    assert find_callers(trace_of(rows, passes).data) == {}


def test_a_called_pass_may_have_no_events() -> None:
    passes = [make_pass(0), make_pass(1, parent=1, parent_pass=0)]
    assert find_callers(trace_of([(1, 0, 0, 1, ONE, ())], passes).data) == {1: 0}


def test_a_trace_without_inner_passes() -> None:
    assert find_callers(trace_of([(1, 0, 0, 1, ONE, ())]).data) == {}
    assert find_callers(nested_trace().data) == {1: 2}
