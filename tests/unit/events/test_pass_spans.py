"""When passes ran."""

from __future__ import annotations

from inspect_autograd.events.pass_spans import find_spans
from inspect_autograd.events.records import Outcome
from tests.unit.events.trace_parts import backward_pass, full, nested_trace, trace_of

ONE = (full(1.0),)


def test_a_pass_inside_of_a_node() -> None:
    assert find_spans(nested_trace().data) == {0: (1000, 3100), 1: (2100, 2400)}


def test_the_events_of_a_pass_need_not_end_in_order() -> None:
    rows = [(0, 0, 100, 50, ONE, ()), (1, 0, 90, 5, ONE, ()), (2, 1, 200, 60, ONE, ())]
    data = trace_of(rows, [backward_pass(0), backward_pass(1)]).data
    assert find_spans(data) == {0: (90, 150), 1: (200, 260)}


def test_a_pass_without_events_has_no_time() -> None:
    passes = [backward_pass(0), backward_pass(1, parent=0, parent_pass=0)]
    data = trace_of([(0, 0, 5, 1, ONE, ())], passes).data
    assert find_spans(data) == {0: (5, 6)}


def test_the_caller_never_ended() -> None:
    passes = [backward_pass(0), backward_pass(1), backward_pass(2, parent=1, parent_pass=1)]
    rows = [(0, 0, 0, 5, ONE, ()), (0, 1, 10, 5, ONE, ()), (0, 2, 20, 5, ONE, ())]
    assert find_spans(trace_of(rows, passes).data) == {0: (0, 5), 1: (10, 25), 2: (20, 25)}


def test_the_caller_never_ended_and_what_the_outer_pass_did_else_came_later() -> None:
    passes = [backward_pass(0), backward_pass(1, parent=1, parent_pass=0)]
    rows = [(2, 1, 10, 5, ONE, ()), (0, 0, 30, 5, ONE, ())]
    assert find_spans(trace_of(rows, passes).data) == {0: (10, 35), 1: (10, 15)}


def test_a_pass_reaches_to_the_end_of_all_that_was_called_from_it() -> None:
    passes = [backward_pass(0)]
    passes += [backward_pass(i, parent=1, parent_pass=i - 1) for i in (1, 2)]
    rows = [(0, i, 10 * i, 5, ONE, ()) for i in range(3)]
    assert find_spans(trace_of(rows, passes).data) == {0: (0, 25), 1: (10, 25), 2: (20, 25)}


def test_a_parent_that_only_called_a_pass() -> None:
    passes = [
        backward_pass(0, outcome=Outcome("running")),
        backward_pass(1, parent=0, parent_pass=0),
    ]
    data = trace_of([(2, 1, 7, 2, ONE, ())], passes).data
    assert find_spans(data) == {0: (7, 9), 1: (7, 9)}
