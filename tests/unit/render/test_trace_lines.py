"""Which lines a trace has, and which of them are shown."""

from __future__ import annotations

from math import nan

from inspect_autograd.events.records import Outcome, PassInput, RootGradient
from inspect_autograd.render.trace_lines import Line, choose_lines, list_lines
from tests.unit.events.trace_parts import backward_pass, full, nested_trace, trace_of

ONE = (full(1.0),)


def lines_of(count: int, bad: tuple[int, ...] = ()) -> list[Line]:
    return [Line(0, i, None, i in bad) for i in range(count)]


def test_pass_by_pass() -> None:
    data = nested_trace().data
    inputs = data.passes[1].inputs
    assert inputs is not None
    assert list_lines(data, None) == [
        Line(0),
        Line(0, 0),
        Line(0, 2),
        Line(0, 3),
        Line(1),
        Line(1, 1),
        Line(1, None, inputs[0]),
        Line(1, None, inputs[1]),
    ]


def test_a_glob_leaves_out_passes_without_such_nodes() -> None:
    data = nested_trace().data
    assert [(line.backward_pass, line.order) for line in list_lines(data, "Mul*")] == [
        (0, None),
        (0, 2),
    ]
    shown = [(line.backward_pass, line.order) for line in list_lines(data, "w")]
    assert shown == [(0, None), (0, 3), (1, None), (1, None)]
    assert list_lines(data, "nothing") == []


def test_what_is_not_finite_is_marked() -> None:
    rows = [(0, 0, 0, 1, ONE, (full(nan),)), (1, 0, 1, 1, (full(nan),), ()), (2, 0, 2, 1, ONE, ())]
    passes = [
        backward_pass(
            call="grad",
            roots=(RootGradient(0, 0, False, full(nan)),),
            inputs=(PassInput(2, 0, (), full(nan)), PassInput(2, 0, (), None)),
        )
    ]
    lines = list_lines(trace_of(rows, passes).data, None)
    assert [line.is_nonfinite for line in lines] == [True, True, True, False, True, False]


def test_results_of_a_pass_that_did_not_complete_are_not_there() -> None:
    inputs = (PassInput(2, 0, ("w",), None),)
    raised = backward_pass(call="grad", inputs=inputs, outcome=Outcome("raised"))
    assert list_lines(trace_of([], [raised]).data, None) == [Line(0)]
    accumulates = backward_pass(call="backward", inputs=inputs)
    assert list_lines(trace_of([], [accumulates]).data, None) == [Line(0)]


def test_both_ends_are_shown() -> None:
    assert choose_lines(lines_of(100), 7) == [0, 1, 2, 97, 98, 99]
    assert choose_lines(lines_of(100), 8) == [0, 1, 2, 3, 97, 98, 99]
    assert choose_lines(lines_of(10), 100) == [*range(10)]


def test_what_is_not_finite_is_shown_too() -> None:
    # Nine lines: three gaps take a line each.
    assert choose_lines(lines_of(100, (40, 60)), 9) == [0, 1, 40, 60, 98, 99]


def test_what_is_not_finite_takes_a_third_at_most() -> None:
    lines = lines_of(1000, tuple(range(100, 900)))
    assert choose_lines(lines, 30) == [*range(9), *range(100, 110), *range(991, 1000)]


def test_neighbours_share_a_gap() -> None:
    assert choose_lines(lines_of(100, (50, 51, 52)), 9) == [0, 1, 50, 51, 52, 98, 99]


def test_the_first_to_run_come_first() -> None:
    # Pass 0 is listed first, but the nodes of pass 1 ran before those of it that follow.
    lines = [Line(0), *(Line(0, i, None, True) for i in range(50, 100))]
    lines += [Line(1), *(Line(1, i, None, True) for i in range(50))]
    kept = choose_lines(lines, 12)
    assert [lines[i].order for i in kept if 51 < i < 99] == [0, 1, 2, 3]


def test_there_is_never_more_than_fits() -> None:
    for count in (1, 2, 5, 20, 50):
        for step in (1, 2, 3, 7):
            lines = lines_of(count, tuple(range(0, count, step)))
            for room in range(3, 30):
                kept = choose_lines(lines, room)
                gaps = sum(b - a > 1 for a, b in zip([-1, *kept], [*kept, count], strict=True))
                assert len(kept) + gaps <= room
                assert kept
