"""The slowest events."""

from __future__ import annotations

from typing import Any

import pytest

from inspect_autograd.errors import ArgumentError, ArgumentTypeError
from inspect_autograd.events.trace import Trace
from tests.unit.events.trace_parts import full, trace_of


@pytest.fixture
def trace() -> Trace:
    durations = [5, 30, 2, 30, 7]
    return trace_of([(i % 4, 0, i, time, (full(1.0),), ()) for i, time in enumerate(durations)])


def test_longest_first_and_the_earlier_of_two_alike(trace: Trace) -> None:
    assert [event.order for event in trace.slowest()] == [1, 3, 4, 0, 2]
    assert [event.order for event in trace.slowest(3)] == [1, 3, 4]
    assert trace.slowest(1) == (trace.events[1],)


def test_more_than_there_are(trace: Trace) -> None:
    assert len(trace.slowest(1000)) == 5
    assert trace_of([]).slowest() == ()


@pytest.mark.parametrize("count", [0, -1])
def test_a_count_that_is_too_small(trace: Trace, count: int) -> None:
    with pytest.raises(ArgumentError, match=f"count is {count}; expected 1 or more") as caught:
        trace.slowest(count)
    assert caught.value.remedy


@pytest.mark.parametrize("count", [True, 2.0, "3", None])
def test_a_count_that_is_no_int(trace: Trace, count: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="expected an int"):
        trace.slowest(count)
