"""What `print(trace)` shows."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentError, ArgumentTypeError
from inspect_autograd.events.records import Outcome, TensorStats
from inspect_autograd.events.trace import Trace
from inspect_autograd.graph.tensor_meta import TensorMeta
from inspect_autograd.render.trace_table import render_trace_table
from tests.conformance.plain_hooks import record_by_plain_hooks
from tests.unit.events.trace_parts import backward_pass, full, nested_trace, small_graph, trace_of

INTRO = (
    "One line for each node, in the order in which they ran: the gradients that it received and "
    "returned, with |norm|."
)
PASS = "backward() at train.py:41 in step, from SumBackward0 given f32[] |1| (PyTorch's own 1)"
ONE = (full(1.0),)


def many(count: int, bad: tuple[int, ...] = ()) -> Trace:
    """Events of `MulBackward0`, one microsecond each, some of them NaN."""
    stats = full(1.0), full(nan)
    rows = [
        (1, 0, 1000 * i, 1000, (stats[i in bad],), (stats[i in bad], None)) for i in range(count)
    ]
    return trace_of(rows)


# -- the whole ---------------------------------------------------------------------------------


def test_one_pass() -> None:
    rows = [
        (0, 0, 0, 500, (full(1.0, ()),), (full(1.5),)),
        (1, 0, 1, 12_000, (full(1.5),), (full(0.25), None)),
        (2, 0, 2, 3_400_000, (full(0.25),), ()),
    ]
    assert str(trace_of(rows)).splitlines() == [
        INTRO,
        f"{PASS}: completed",
        "order  node          received       returned               time",
        "    0  SumBackward0  f32[] |1|      f32[2] |1.5|         0.5 µs",
        "    1  MulBackward0  f32[2] |1.5|   f32[2] |0.25|, none   12 µs",
        "    2  w             f32[2] |0.25|  into .grad           3.4 ms",
        "completed: 3 events, every gradient is finite",
    ]


def test_passes_are_listed_one_by_one() -> None:
    called = "called by MulBackward0 #1, inputs=[w, an unreached tensor]"
    inner = replace(nested_trace().passes[1], roots=())
    trace = Trace(replace(nested_trace().data, passes=(nested_trace().passes[0], inner)))
    assert str(trace).splitlines()[1:-1] == [
        f"pass 0: {PASS}: completed",
        "order  pass  node                       received      returned              time",
        "    0     0  SumBackward0               f32[] |1|     f32[2] |1.5|        0.5 µs",
        "    2     0  MulBackward0 (ran pass 1)  f32[2] |1.5|  f32[2] |3.5|, none  0.9 µs",
        "    3     0  w                          f32[2] |3.5|  into .grad          0.1 µs",
        f"  pass 1: autograd.grad() at checkpoint.py:7 in step, {called}: completed",
        "    1     1    SumBackward0             f32[2] |2|    f32[2] |2.5|        0.3 µs",
        "          1    w                        f32[2] |3|    to the caller",
        "          1    an unreached tensor      none          to the caller",
    ]


def test_what_is_not_finite_is_marked() -> None:
    rows = [
        (0, 0, 0, 500, ONE, (full(inf), full(2.0))),
        (1, 0, 1, 500, (full(inf),), (full(nan), None)),
        (2, 0, 2, 500, ONE, ()),
    ]
    lines = str(trace_of(rows)).splitlines()
    assert lines[2:-1] == [
        "   order  node          received          returned                        time",
        "!      0  SumBackward0  f32[2] |1|        f32[2] |inf| Inf, f32[2] |2|  0.5 µs",
        "!      1  MulBackward0  f32[2] |inf| Inf  f32[2] |nan| NaN, none        0.5 µs",
        "       2  w             f32[2] |1|        into .grad                    0.5 µs",
        "completed: 3 events",
    ]
    assert lines[-1] == (
        "! marks what is not finite: 2 events, the first is SumBackward0 (order 0); "
        "see trace.first_nonfinite()"
    )


def test_a_root_gradient_that_is_not_finite_is_marked() -> None:
    (plain,) = trace_of([]).passes
    root = replace(plain.roots[0], stats=full(nan))
    text = str(trace_of([(2, 0, 0, 1, ONE, ())], [replace(plain, roots=(root,))]))
    assert "\n! backward() at train.py:41" in text


def test_shapes_only() -> None:
    meta = TensorStats(TensorMeta((2, 3), "float32"))
    lines = str(trace_of([(0, 0, 0, 1, (meta,), (meta, None))], stats_level="meta")).splitlines()
    assert lines[0].endswith("returned (shapes only).")
    assert lines[3] == "    0  SumBackward0  f32[2, 3]  f32[2, 3], none  0.0 µs"
    assert lines[-1] == "completed: 1 event"


# -- the end -----------------------------------------------------------------------------------


def ending(**parts: Any) -> list[str]:
    return str(trace_of([(2, 0, 0, 1, ONE, ())], **parts)).splitlines()[4:]


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Outcome("completed"), "completed: 1 event, every gradient is finite"),
        (Outcome("running"), "running: 1 event so far"),
        (Outcome("running", message="cut here"), "running: 1 event so far; cut here"),
        (
            Outcome("raised", "ValueError", "too\nbad", 1),
            "raised ValueError in MulBackward0 (node 1) after 1 event: too bad",
        ),
        (Outcome("raised"), "raised an exception after 1 event"),
    ],
)
def test_how_it_ended(outcome: Outcome, text: str) -> None:
    assert ending(outcome=outcome) == [text]


def test_nothing_ran() -> None:
    trace = trace_of([], outcome=Outcome("nothing ran"))
    empty = Trace(replace(trace.data, passes=()))
    assert " ".join(line.strip() for line in str(empty).splitlines()) == (
        "nothing ran: no backward pass went through this graph. Call loss.backward() inside the "
        "block `with inspect_autograd.trace(loss) as trace:`, on that very loss."
    )


def test_edits_and_notes() -> None:
    notes = ("first\nnote", *(f"note {i}" for i in range(6)))
    assert ending(edits=("scaled w by 0.5",), notes=notes)[1:] == [
        "edit: scaled w by 0.5",
        "note: first note",
        *(f"note: note {i}" for i in range(4)),
        "… and 2 more: trace.notes",
    ]


def test_a_note_that_the_outcome_says_too_is_said_once() -> None:
    assert ending(outcome=Outcome("running", message="cut"), notes=("cut", "other")) == [
        "running: 1 event so far; cut",
        "note: other",
    ]


def test_a_long_message_keeps_its_ends() -> None:
    message = "begin " + "word " * 1000 + "end"
    lines = ending(outcome=Outcome("raised", "ValueError", message))
    assert len(lines) <= 5
    assert "begin" in lines[0]
    assert lines[-1].endswith("end")
    assert all(len(line) <= 120 for line in lines)


# -- what is left out --------------------------------------------------------------------------


def test_the_middle_is_left_out() -> None:
    lines = many(100).table(max_lines=13).splitlines()
    assert len(lines) == 13
    assert [line.split()[0] for line in lines[3:11]] == ["0", "1", "2", "…", "96", "97", "98", "99"]
    assert lines[6] == "  … 93 events"
    assert lines[-1] == (
        'not shown: 93 events; trace.table(max_lines=104) shows all, trace.table(nodes="…") some'
    )


def test_the_number_of_lines_that_shows_all() -> None:
    trace = many(100, (50,))
    whole = trace.table(max_lines=105)
    assert "not shown" not in whole
    assert len(whole.splitlines()) == 105
    assert "not shown" in trace.table(max_lines=104)
    assert trace.table(max_lines=10_000) == whole


def test_what_is_not_finite_is_not_left_out() -> None:
    lines = many(100, (40, 60)).table(max_lines=17).splitlines()
    assert [line for line in lines if line.startswith("!")][:2] == [
        "!     40  MulBackward0  f32[2] |nan| NaN  f32[2] |nan| NaN, none  1.0 µs",
        "!     60  MulBackward0  f32[2] |nan| NaN  f32[2] |nan| NaN, none  1.0 µs",
    ]
    assert [line for line in lines if line.startswith("  …")] == [
        "  … 37 events",
        "  … 19 events",
        "  … 36 events",
    ]


def test_of_many_that_are_not_finite_the_first_are_shown() -> None:
    lines = many(1000, tuple(range(100, 1000))).table(max_lines=60).splitlines()
    assert len(lines) == 60
    shown = [int(line.split()[1]) for line in lines if line.startswith("!  ")]
    assert [order for order in shown if order < 900] == [*range(100, 100 + 18)]
    assert (
        "! marks what is not finite: 900 events, the first is MulBackward0 (order 100);"
        in (lines[-2])
    )
    left = 900 - len(shown)
    assert lines[-1].startswith("not shown: ")
    assert f"({left} not finite)" in lines[-1]


@pytest.mark.parametrize("max_lines", [*range(1, 20), 60])
@pytest.mark.parametrize("bad", [(), (0,), (30, 31, 45), tuple(range(50))])
def test_there_are_never_more_lines(max_lines: int, bad: tuple[int, ...]) -> None:
    text = many(50, bad).table(max_lines=max_lines)
    assert 1 <= len(text.splitlines()) <= max_lines
    if max_lines < 54:
        assert "trace.table(max_lines=" in text.splitlines()[-1]


def test_where_there_is_little_room_it_goes_to_the_table() -> None:
    lines = many(50, (30,)).table(max_lines=9).splitlines()
    assert [line.split()[0] for line in lines] == [
        *("backward()", "order", "0", "…", "!", "…", "49", "completed:", "not")
    ]


def test_many_passes() -> None:
    passes = [backward_pass(i) for i in range(200)]
    trace = trace_of([(2, i, i, 1, ONE, ()) for i in range(200)], passes)
    lines = str(trace).splitlines()
    assert len(lines) == 60
    assert lines[1].startswith("pass 0: backward()")
    # 56 lines for passes and events: 28 (14 of each), one for the gap, and 27 (13 passes).
    assert "  … 173 passes, 172 events" in lines
    assert lines[-1].startswith("not shown: 173 passes, 172 events; ")


def test_only_some_nodes() -> None:
    lines = nested_trace().table(nodes="Sum*").splitlines()
    assert [line.split()[0] for line in lines[3:6]] == ["0", "pass", "1"]
    assert lines[-2:] == [
        "shown: 2 of 4 events, those of nodes that match 'Sum*'",
        "completed: 4 events, every gradient is finite",
    ]


def test_a_glob_that_matches_nothing() -> None:
    assert nested_trace().table(nodes="Cos*").splitlines() == [
        "no event is of a node that matches 'Cos*'; trace.graph.find('Cos*') finds nodes",
        "completed: 4 events, every gradient is finite",
    ]


# -- width -------------------------------------------------------------------------------------


def test_lines_have_a_bounded_width() -> None:
    name = ".".join(f"module{i}" for i in range(30)) + ".weight"
    x = torch.ones(2, requires_grad=True)
    graph = ia.capture((x * 2).sum(), params={name: x})
    slots = tuple(full(float(i), (1000,) * 6) for i in range(50))
    rows = [(1, 0, 0, 1, slots, slots), (2, 0, 1, 1, slots[:1], ())]
    lines = str(trace_of(rows, graph=graph)).splitlines()
    assert max(map(len, lines[2:])) <= 120
    assert "module0.module" in lines[4]
    assert "9.weight" in lines[4]
    assert "… 50 in all" in lines[3]
    assert "into .grad" in lines[4]


def test_slots_that_are_left_out_for_width_still_tell_what_is_not_finite() -> None:
    slots = (*(full(float(i)) for i in range(50)), full(nan), *(full(float(i)) for i in range(9)))
    assert "… 60 in all, NaN in slot 50" in str(trace_of([(1, 0, 0, 1, ONE, slots)]))


def test_names_give_way_to_gradients() -> None:
    x = torch.ones(2, requires_grad=True)
    graph = ia.capture((x * 2).sum(), params={"a" * 90: x})
    lines = str(trace_of([(2, 0, 0, 1, (full(0.5),), ())], graph=graph)).splitlines()
    assert "f32[2] |0.5|  into .grad" in lines[3]
    assert len(lines[3]) <= 120
    assert lines[3].count("a") > 70


def test_names_with_control_characters_stay_in_their_line() -> None:
    x = torch.ones(2, requires_grad=True)
    graph = ia.capture((x * 2).sum(), params={"a\nb\x1b[31m": x})
    lines = str(trace_of([(2, 0, 0, 1, ONE, ())], graph=graph)).splitlines()
    assert len(lines) == 5
    assert "a␊b␛[31m" in lines[3]


# -- arguments and use -------------------------------------------------------------------------


@pytest.mark.parametrize("max_lines", [0, -3])
def test_too_few_lines(max_lines: int) -> None:
    with pytest.raises(ArgumentError, match=f"max_lines is {max_lines}; expected 1 or more"):
        render_trace_table(nested_trace(), max_lines=max_lines)


@pytest.mark.parametrize("max_lines", [True, "60", 1.5, None])
def test_lines_that_are_no_int(max_lines: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="expected an int") as caught:
        nested_trace().table(max_lines=max_lines)
    assert caught.value.remedy


def test_a_glob_that_is_no_string() -> None:
    with pytest.raises(ArgumentTypeError, match="nodes is 3 of type int; expected a glob"):
        nested_trace().table(nodes=3)  # type: ignore[arg-type]


def test_a_running_trace_is_looked_at_once() -> None:
    looks = []

    def look() -> Any:
        looks.append(1)
        return nested_trace().data

    assert str(Trace(source=look)) == str(nested_trace())
    assert len(looks) == 1


def test_a_real_backward() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    for parameter in model.parameters():
        torch.nn.init.ones_(parameter)  # Behind a ReLU that is off no gradient would be NaN.
    text = str(record_by_plain_hooks((model(torch.ones(4, 2)).sum() * 0).sqrt(), model))
    for name, parameter in model.named_parameters():
        shape = ", ".join(map(str, parameter.shape))
        (line,) = [line for line in text.splitlines() if f" {name} " in line]
        assert line.startswith("!")
        assert f"f32[{shape}] |nan| NaN " in line
        assert "into .grad" in line
    assert "the first is SqrtBackward0 (order 0)" in text


def test_100_000_events() -> None:
    trace = many(100_000, (50_000,))
    lines = str(trace).splitlines()
    assert len(lines) == 60
    assert any(line.startswith("!  50000") for line in lines)
    assert small_graph() is trace.graph
