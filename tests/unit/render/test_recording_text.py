"""What `print(recording)` shows: what went wrong first, and nothing without a bound."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from typing import Any

import pytest
import torch
from torch import nn

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentError, ArgumentTypeError
from inspect_autograd.events.recording import Recording, RecordingData
from inspect_autograd.events.records import Outcome
from inspect_autograd.events.trace import Trace
from tests.unit.events.recording_parts import FORWARD, cut, recording, span, step, write
from tests.unit.events.trace_parts import nested_trace


def parts_of(recording: Recording) -> list[list[str]]:
    """The text, part by part, each with its lines."""
    return [part.splitlines() for part in str(recording).split("\n\n")]


def test_the_headline() -> None:
    assert parts_of(recording())[0][0] == (
        "Recording of 2 steps (1 earlier one was dropped), 3 backward passes, 20 µs; "
        'stats="full": gradients with all numbers'
    )


def test_what_went_wrong_comes_first() -> None:
    problems = parts_of(recording())[1]
    assert problems == [
        "! 1 cut of the graph, where parameters lose their gradient:",
        f"!   {cut()}",
        "! NaN was born at #0 SumBackward0 (event 0 of pass 0, train.py:41)",
        "!   in 1 of 3 backward passes; print(recording.traces[1].first_nonfinite()) tells more",
    ]


def test_steps() -> None:
    lines = parts_of(recording())[2]
    assert [line.split() for line in lines] == [
        ["step", "time", "forward", "passes", "nodes", "backward", "writes", "ended", "by"],
        # 2.4 µs and 0.7 µs of backward; a pass inside of another one takes no time of its own.
        ["1", "10", "µs", "1.5", "µs", "2", "8", "3.1", "µs", "1", "optimizer.step()"],
        [
            "2",
            "10",
            "µs",
            "1.0",
            "µs",
            "1",
            "4",
            "2.1",
            "µs",
            "1",
            *["the", "end", "of", "the", "block"],
        ],
    ]


def test_a_pass_that_raised_is_said() -> None:
    data = nested_trace().data
    raised = Trace(replace(data, outcome=Outcome("raised", "RuntimeError", "no", 1)))
    made = recording(traces=(raised,), trace_starts_ns=(0,), steps=(step(1, 0), step(2)))
    assert "backward raised RuntimeError" in str(made)


def test_a_last_step_in_which_nothing_was_seen_is_not_shown() -> None:
    idle = (step(1, 0, 1, 2), step(2, ended_by="the end of the block"))
    made = recording(steps=idle, modules=(), mutations=())
    assert parts_of(made)[0][0].startswith("Recording of 1 step (")
    assert "the end of the block" not in str(made)
    for seen in ({"modules": (span("a", 0, 1, step=2),)}, {"mutations": (write(step=2),)}):
        busy = Recording(replace(made.data, **seen))
        assert "the end of the block" in str(busy)


def test_many_steps_lose_their_middle() -> None:
    steps = tuple(step(index) for index in range(40))
    made = Recording(RecordingData(steps=steps, modules=(span("a", 0, 1, step=39),)))
    lines = parts_of(made)[1]
    assert [line.split()[0] for line in lines] == [
        "step", "0", "1", "2", "3", "4", "…", "35", "36", "37", "38", "39"
    ]  # fmt: skip
    assert lines[6] == "  … 30 steps; recording.steps has all"


def test_cuts_that_cost_nothing_and_writes() -> None:
    parts = parts_of(recording())
    cuts, writes = parts[4], parts[5]
    assert cuts[0] == "1 cut of the graph that cost nothing:"
    assert cuts[1].startswith("  Tensor.detach (a Python value) in encoder: ")
    assert writes[0] == "2 writes in place:"
    assert writes[2].split() == ["torch.optim.SGD.step", "train.py:41", "2", "2", "w,", "x"]


def test_writes_are_summed_up_by_line() -> None:
    mutations = (
        *(write(step=1, tensor=f"w{i}") for i in range(5)),
        *(write(step=2, tensor=f"w{i}") for i in range(5)),
        write(step=2, function="Tensor.add_", source=FORWARD, scope="", tensor=""),
    )
    lines = parts_of(recording(mutations=mutations))[5]
    assert lines[0] == "11 writes in place:"
    assert lines[2].split() == [
        "torch.optim.SGD.step", "train.py:41", "10", "5", "w0,", "w1,", "w2,", "…", "2", "more"
    ]  # fmt: skip
    assert lines[3].split() == [
        "Tensor.add_", "model.py:12", "(outermost)", "1", "1", "without", "a", "name"
    ]  # fmt: skip


def test_notes() -> None:
    assert r"note: 复杂 \ud800" in str(recording()).splitlines()
    many = str(recording(notes=tuple(f"note {i} " + "long " * 500 for i in range(20))))
    assert "… and 15 more notes: recording.notes" in many
    assert "note 4 " in many
    assert "note 5 " not in many


def test_without_a_backward_pass() -> None:
    text = str(Recording(RecordingData(steps=(step(0),), modules=(span("a", 0, 1000),))))
    assert "note: no backward pass ran in the block, so there is no graph to look at" in text
    assert text.endswith("more: recording.table(), recording.timeline()")
    assert "recording.graph" not in text


def test_it_is_bounded_and_says_what_is_left_out() -> None:
    many = range(500)
    made = recording(
        cuts=(
            *(cut(function=f"f{i}", step=1) for i in many),
            *(cut(function=f"f{i}", lost=(), step=1) for i in many),
        ),
        mutations=tuple(write(step=1, function=f"f{i}") for i in many),
        modules=tuple(span(f"layers.{i}" * 50, 10_000 + i, 1, step=1) for i in many),
        notes=("x" * 10_000,) * 500,
    )
    lines = str(made).splitlines()
    assert len(lines) < 90
    assert max(map(len, lines)) < 260
    for said in (
        "!   … and 492 more; recording.cuts has all",
        "  … and 497 more; recording.cuts has all",
        "  … and 492 more in 492 places; recording.mutations has all",
        "… and 491 more modules that took less; see recording.table()",
        "… and 495 more notes: recording.notes",
    ):
        assert said in lines


def test_names_cannot_break_the_lines() -> None:
    made = recording(
        cuts=(cut(function="a\nb", step=1),),
        mutations=(write(step=1, function="c\nd", scope="e\x1b[1m"),),
        modules=(span("f\ng", 11_000, 1, step=1),),
    )
    text = str(made)
    assert "\x1b" not in text
    for shown in ("a␊b", "c␊d", "f␊g"):
        assert shown in text


def test_a_real_step() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with ia.record(model, stats="basic") as recorded:
        model(torch.ones(4, 2)).sum().backward()
        optimizer.step()
    parts = parts_of(recorded)
    assert parts[0][0].startswith("Recording of 1 step, 1 backward pass, ")
    assert parts[0][0].endswith('; stats="basic": gradients with their norms')
    assert not any(line.startswith("!") for part in parts for line in part)
    table = {line.split()[0]: line.split() for line in parts[2]}
    # The module, its one call, ..., its parameters and the norm of their gradients.
    norm = float(
        torch.cat([p.grad.flatten() for p in model[2].parameters() if p.grad is not None]).norm()
    )
    assert table["2"][1] == "1"
    assert table["2"][-2:] == ["9", f"{norm:.3g}"]


# -- the table by module -------------------------------------------------------------------------


def test_the_table_by_module() -> None:
    lines = recording().table().splitlines()
    # Columns without any text are left out: saved bytes, parameters and gradients.
    assert lines[0].split() == ["module", "calls", "forward", "own", "backward", "nodes"]
    (block,) = [line for line in lines if line.startswith("block")]
    assert block.split()[1:8] == ["1", "0.4", "µs", "0.4", "µs", "1.1", "µs"]
    assert lines[-1].startswith("forward: with submodules; all else: ")
    assert [line.split("  ")[0] for line in lines[1:-1]] == [
        "(outside of any module)", "(outermost)", "block"
    ]  # fmt: skip


@pytest.mark.parametrize("most", [1, 2, 3, 4, 5])
def test_a_bounded_table(most: int) -> None:
    whole = recording().table().splitlines()
    lines = recording().table(max_lines=most).splitlines()
    assert len(lines) <= most
    if most >= len(whole):
        assert lines == whole
    else:
        (more,) = [line for line in lines if line.startswith("… and ")]
        assert more.endswith(f"table(max_lines={len(whole)}) shows all")


def test_a_gradient_that_is_missing_or_not_finite() -> None:
    model = nn.ModuleDict({"used": nn.Linear(2, 2), "unused": nn.Linear(2, 2)})
    with ia.record(model, stats="basic") as recorded:
        (model["used"](torch.ones(1, 2)).sum() * nan).backward()
    last = {line.split()[0]: line.split()[-1] for line in recorded.table().splitlines()}
    assert (last["used"], last["unused"]) == ("NaN", "none")


def test_an_empty_table() -> None:
    assert Recording(RecordingData()).table() == "no module was called and no backward pass ran"


@pytest.mark.parametrize(("most", "error"), [(0, ArgumentError), (True, ArgumentTypeError)])
def test_max_lines_that_is_none(most: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="max_lines is"):
        recording().table(max_lines=most)
