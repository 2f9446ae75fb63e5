"""The timeline of a recording: order, nesting, and the form that Perfetto reads."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentError, ArgumentTypeError
from inspect_autograd.events.recording import Recording
from inspect_autograd.events.timeline import Timeline
from tests.unit.events.recording_parts import recording, span, step, write


def entries(recording: Recording) -> list[tuple[str, str, int, int, int]]:
    return [
        (e.kind, e.name, e.depth, e.start_ns, e.duration_ns) for e in recording.timeline().entries
    ]


def test_everything_in_the_order_in_which_it_began() -> None:
    assert entries(recording()) == [
        ("step", "step 1", 0, 10_000, 10_000),
        ("module", "the model", 1, 10_500, 1500),
        ("module", "block", 2, 11_000, 400),
        # Trace 0 began at 12 µs; its first event 1 µs later, its last one ended at 3.4 µs.
        ("backward", "backward()", 1, 13_000, 2400),
        ("backward", "backward()", 1, 17_000, 700),
        ("write", "torch.optim.SGD.step", 1, 19_000, 0),
        ("step", "step 2", 0, 20_000, 10_000),
        ("module", "the model", 1, 20_500, 1000),
        ("backward", "backward()", 1, 23_000, 2100),
        ("backward", "grad()", 2, 24_100, 300),
        ("write", "torch.optim.SGD.step", 1, 29_000, 0),
    ]


def test_what_an_entry_says() -> None:
    by_kind = {entry.kind: entry for entry in recording().timeline().entries}
    assert by_kind["step"].detail == "ended by the end of the block"
    assert by_kind["write"].detail == "a view of x: f32[2, 3]"
    assert by_kind["backward"].detail == "trace 2, completed"
    assert by_kind["backward"].source == ia.SourceLine("checkpoint.py", 7, "step")


def test_a_second_call_is_numbered_and_threads_nest_by_themselves() -> None:
    spans = (
        span("a", 10, 100),
        span("b", 20, 50, thread="worker"),
        span("a.c", 30, 10, call=1),
        span("b.c", 30, 10, thread="worker"),
    )
    made = recording(
        steps=(step(0),),
        dropped_steps=0,
        traces=(),
        trace_starts_ns=(),
        mutations=(),
        modules=spans,
    )
    assert [(e.name, e.thread, e.depth) for e in made.timeline().entries[1:]] == [
        ("a", "MainThread", 1),
        ("b", "worker", 1),
        ("a.c, call 2", "MainThread", 2),
        ("b.c", "worker", 2),
    ]


# -- Chrome's format ---------------------------------------------------------------------------


def assert_well_formed(trace: dict[str, Any]) -> list[dict[str, Any]]:
    """Valid JSON in which the bars of each track lie inside or beside each other."""
    text = json.dumps(trace, allow_nan=False)
    text.encode("utf-8")
    bars: list[dict[str, Any]] = json.loads(text)["traceEvents"]
    named = {bar["tid"] for bar in bars if bar["ph"] == "M"}
    for track in {bar["tid"] for bar in bars}:
        assert track in named
        ends: list[float] = []
        for bar in (bar for bar in bars if bar["tid"] == track and bar["ph"] == "X"):
            while ends and ends[-1] <= bar["ts"] + 1e-6:
                ends.pop()
            end = bar["ts"] + bar["dur"]
            assert not ends or end <= ends[-1] + 1e-6, bar
            ends.append(end)
    timed = [bar["ts"] for bar in bars if bar["ph"] != "M"]
    assert all(before <= after for before, after in pairwise(timed))
    return bars


def test_chrome_trace() -> None:
    bars = assert_well_formed(recording().timeline().to_chrome_trace())
    assert [bar["args"]["name"] for bar in bars if bar["ph"] == "M"] == ["steps", "MainThread"]
    first = next(bar for bar in bars if bar["ph"] == "X")
    writes = [bar for bar in bars if bar["ph"] == "i"]
    assert (first["name"], first["tid"], first["ts"], first["dur"]) == ("step 1", 0, 10.0, 10.0)
    assert [(bar["name"], bar["ts"], bar["s"]) for bar in writes] == [
        ("torch.optim.SGD.step", 19.0, "t"),
        ("torch.optim.SGD.step", 29.0, "t"),
    ]
    assert writes[0]["args"]["source"] == "/project/train.py:41 in main"


def test_a_step_may_end_inside_of_a_module() -> None:
    steps = (step(1), step(2))
    made = recording(
        modules=(span("", 15_000, 10_000, step=1),), steps=steps, traces=(), trace_starts_ns=()
    )
    assert_well_formed(made.timeline().to_chrome_trace())


def test_a_lone_surrogate_is_escaped() -> None:
    made = recording(
        mutations=(write(step=1, tensor="\ud800", function="\ud800", thread="\ud800"),)
    )
    bars = assert_well_formed(made.timeline().to_chrome_trace())
    assert r"\ud800" in {bar["name"] for bar in bars}


def test_real_steps_nest() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1))
    optimizer = torch.optim.AdamW(model.parameters())
    with ia.record(model) as recorded:
        for _ in range(2):
            checkpoint(model, torch.ones(1, 2), use_reentrant=False).sum().backward()
            optimizer.step()
    timeline = recorded.timeline()
    assert_well_formed(timeline.to_chrome_trace())
    backward = [entry for entry in timeline.entries if entry.kind == "backward"]
    assert [entry.depth for entry in backward] == [1, 1]
    # The checkpoint calls the model again while the pass runs, so there it is inside of it.
    calls = [e for e in timeline.entries if e.name.startswith("the model") and e.step == 0]
    assert [entry.depth for entry in calls] == [1, 2]
    assert backward[0].start_ns < calls[1].start_ns


def test_nothing_recorded() -> None:
    assert str(Timeline(())) == "nothing was recorded"
    assert_well_formed(Timeline(()).to_chrome_trace())


# -- text --------------------------------------------------------------------------------------


def test_text() -> None:
    made = recording()
    lines = str(made.timeline()).splitlines()
    assert lines[0].split() == ["start", "took", "line"]
    assert [line.split("  ")[-1].strip() for line in lines[1:3]] == [
        "ended by optimizer.step()",
        "model.py:12",
    ]
    assert lines[3].split() == ["11", "µs", "0.4", "µs", "block", "model.py:12"]
    assert lines[2].index("the model") + 2 == lines[3].index("block")
    assert len(lines) == 12


def test_the_writes_of_one_call_are_one_line() -> None:
    many = tuple(write(step=1, tensor=f"w{i}", time_ns=19_000 + i) for i in range(30))
    (line,) = [
        line for line in str(recording(mutations=many).timeline()).splitlines() if "write" in line
    ]
    assert line.endswith("w0: f32[2, 3], … 30 tensors")
    two = (many[0], write(step=1, function="Tensor.add_", time_ns=19_500), many[1])
    assert str(recording(mutations=two).timeline()).count("write ") == 2


@pytest.mark.parametrize("most", [1, 2, 4, 7, 9, 11, 12])
def test_a_long_text_loses_what_is_inside_first(most: int) -> None:
    timeline = recording().timeline()
    lines = timeline.table(max_lines=most).splitlines()
    assert len(lines) <= most
    if most == 12:
        assert lines == str(timeline).splitlines()
        return
    assert lines[-1].startswith("… and ")
    assert timeline.table(max_lines=int(lines[-1].split("max_lines=")[1].split(")")[0])) == str(
        timeline
    )


def test_what_is_left_out_is_counted() -> None:
    lines = recording().timeline().table(max_lines=11).splitlines()
    # The innermost level: a module, and the pass that ran inside another one.
    assert lines[-1] == "… and 1 module, 1 backward pass; table(max_lines=12) shows all"


@pytest.mark.parametrize(("most", "error"), [(0, ArgumentError), ("9", ArgumentTypeError)])
def test_max_lines_that_is_none(most: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="max_lines is"):
        recording().timeline().table(max_lines=most)
