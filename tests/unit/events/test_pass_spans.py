"""When passes ran and what called them."""

from __future__ import annotations

from inspect_autograd.events.pass_spans import find_callers, find_spans
from inspect_autograd.events.records import Outcome
from tests.unit.events.trace_parts import backward_pass, full, nested_trace, trace_of

ONE = (full(1.0),)


def test_a_pass_inside_of_a_node() -> None:
    data = nested_trace().data
    assert find_callers(data) == {1: 2}
    assert find_spans(data) == {0: (1000, 3100), 1: (2100, 2400)}


def test_the_execution_during_which_the_pass_began_is_the_caller() -> None:
    passes = [backward_pass(0), backward_pass(1, parent=1), backward_pass(2)]
    passes += [backward_pass(3, parent=1), backward_pass(4, parent=1)]
    rows = [
        (2, 1, 120, 10, ONE, ()),
        (1, 0, 100, 50, ONE, ()),
        (2, 3, 220, 10, ONE, ()),
        (2, 4, 240, 10, ONE, ()),
        (1, 2, 200, 60, ONE, ()),
    ]
    data = trace_of(rows, passes).data
    assert find_callers(data) == {1: 1, 3: 4, 4: 4}
    assert find_spans(data)[2] == (200, 260)


def test_a_node_that_runs_again_in_the_pass_that_it_called() -> None:
    passes = [backward_pass(0), *(backward_pass(i, parent=1) for i in (1, 2, 3))]
    rows = [
        (1, 2, 30, 10, ONE, ()),
        (1, 1, 20, 50, ONE, ()),
        (1, 3, 80, 5, ONE, ()),
        (1, 0, 10, 90, ONE, ()),
    ]
    # Pass 0 calls 1, which calls 2; then pass 0 calls 3.
    assert find_callers(trace_of(rows, passes).data) == {1: 3, 2: 1, 3: 3}


def test_a_pass_without_events_has_no_time() -> None:
    data = trace_of([(0, 0, 5, 1, ONE, ())], [backward_pass(0), backward_pass(1, parent=0)]).data
    assert find_spans(data) == {0: (5, 6)}
    assert find_callers(data) == {}


def test_the_caller_never_ended() -> None:
    raised = Outcome("raised", "RuntimeError", "no", 1)
    passes = [
        backward_pass(0),
        backward_pass(1, outcome=raised),
        backward_pass(2, parent=1, outcome=raised),
    ]
    rows = [(0, 0, 0, 5, ONE, ()), (0, 1, 10, 5, ONE, ()), (0, 2, 20, 5, ONE, ())]
    data = trace_of(rows, passes).data
    assert find_callers(data) == {}
    assert find_spans(data) == {0: (0, 5), 1: (10, 25), 2: (20, 25)}


def test_a_pass_reaches_to_the_end_of_all_that_was_called_from_it() -> None:
    raised = Outcome("raised", "RuntimeError", "no", 1)
    passes = [backward_pass(i, parent=1 if i else None, outcome=raised) for i in range(3)]
    rows = [(0, i, 10 * i, 5, ONE, ()) for i in range(3)]
    assert find_spans(trace_of(rows, passes).data) == {0: (0, 25), 1: (10, 25), 2: (20, 25)}


def test_a_parent_that_only_called_a_pass() -> None:
    passes = [backward_pass(0, outcome=Outcome("running")), backward_pass(1, parent=0)]
    data = trace_of([(2, 1, 7, 2, ONE, ())], passes).data
    assert find_spans(data) == {0: (7, 9), 1: (7, 9)}
