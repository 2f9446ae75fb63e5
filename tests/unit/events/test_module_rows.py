"""What modules cost, counted by hand and on a real step."""

from __future__ import annotations

from math import hypot, isnan
from typing import Any

import pytest
import torch
from torch import nn

import inspect_autograd as ia
from inspect_autograd.events.module_rows import ModuleRow, find_parents
from inspect_autograd.events.recording import Recording
from tests.unit.events.recording_parts import recording, span, step


def rows_of(recording: Recording) -> dict[str | None, ModuleRow]:
    return {row.path: row for row in recording.module_rows()}


def test_by_hand() -> None:
    rows = rows_of(recording())
    assert {*rows} == {None, "", "block"}
    # Called at 10.5 µs for 1.5 µs, 0.4 µs of them in `block`; and again for 1 µs.
    outermost = rows[""]
    assert (outermost.calls, outermost.forward_ns, outermost.own_forward_ns) == (2, 2500, 2100)
    assert (rows["block"].calls, rows["block"].forward_ns) == (1, 400)
    # `block` made the product, and has the leaf x; w is of the outermost module.
    assert (rows["block"].nodes, rows["block"].backward_ns) == (2, 900 + 200)
    assert (outermost.nodes, outermost.backward_ns) == (1, 100)
    # Sums: 500 in trace 0, 700 in trace 1. Trace 2 has no modules: 500 in its sum, 100 in w, and
    # 900 in the product, of which the pass that it called took 300. That pass ran a sum, for 300.
    assert rows[None].backward_ns == 500 + 700 + 500 + (900 - 300) + 100 + 300
    assert rows[None].calls == 0


def test_the_slowest_comes_first() -> None:
    own = [row.own_ns for row in recording().module_rows()]
    assert own == sorted(own, reverse=True)
    assert own[0] > own[-1]


def made_of(*spans: Any) -> Recording:
    return recording(
        modules=spans, steps=(step(0),), dropped_steps=0, traces=(), trace_starts_ns=()
    )


def test_a_module_that_calls_itself_counts_once() -> None:
    rows = rows_of(made_of(span("a", 0, 100), span("b", 10, 80, 1), span("a", 20, 50, 2)))
    assert (rows["a"].calls, rows["a"].forward_ns, rows["a"].own_forward_ns) == (2, 100, 20 + 50)
    assert (rows["b"].forward_ns, rows["b"].own_forward_ns) == (80, 30)


def test_calls_belong_to_the_call_around_them_in_their_thread() -> None:
    spans = (
        span("a", 0, 100),
        span("b", 10, 20, 1),
        span("c", 15, 5, 1, thread="worker"),  # What called it is in a step that was dropped.
        span("b.d", 16, 2, 2),
        span("e", 40, 5, 1),
        span("late", 200, 5, 1),
    )
    assert find_parents(spans) == [None, 0, None, 1, 0, None]


def test_a_real_step() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), nn.Linear(2, 2))
    for parameter in model[3].parameters():
        parameter.requires_grad_(False)
    with ia.record(model, stats="basic") as recorded:
        model[2](model[1](model[0](torch.ones(5, 3)))).sum().backward()
    rows = rows_of(recorded)
    assert [rows[path].parameters for path in ("0", "2")] == [3 * 4 + 4, 4 * 2 + 2]
    assert (rows["1"].parameters, rows["1"].gradient_l2, rows["1"].is_reached) == (0, None, None)
    for path in ("0", "2"):
        gradients = [p.grad for p in model[int(path)].parameters()]
        by_hand = hypot(*(float(g.norm()) for g in gradients if g is not None))
        assert rows[path].gradient_l2 == pytest.approx(by_hand, rel=1e-5)
        assert rows[path].is_reached
    # tanh keeps its result, f32[5, 4], and the linear layer behind it the same one.
    assert rows["1"].saved_bytes == 5 * 4 * 4
    by_scope = {row.scope: row.activation_bytes for row in recorded.saved_memory(by="scope").rows}
    assert {path: row.saved_bytes for path, row in rows.items() if row.saved_bytes} == by_scope
    assert sum(row.nodes for row in rows.values()) == len(recorded.graph)
    assert sum(row.backward_ns for row in rows.values()) == sum(
        event.duration_ns for event in recorded.traces[0].events
    )


def test_a_module_that_no_gradient_reached() -> None:
    model = nn.ModuleDict({"used": nn.Linear(2, 2), "unused": nn.Linear(2, 2)})
    with ia.record(model, stats="basic") as recorded:
        model["used"](torch.ones(1, 2)).sum().backward()
    rows = rows_of(recorded)
    assert (rows["used"].is_reached, rows["unused"].is_reached) == (True, False)
    assert (rows["unused"].calls, rows["unused"].parameters) == (0, 6)
    assert rows["unused"].gradient_l2 is None


def test_the_last_pass_that_reached_a_module_counts() -> None:
    model = nn.ModuleDict({"a": nn.Linear(1, 1, bias=False), "b": nn.Linear(1, 1, bias=False)})
    with ia.record(model, stats="basic") as recorded:
        for factor, name in ((2.0, "a"), (3.0, "b"), (float("nan"), "b")):
            (model[name](torch.ones(1, 1)) * factor).sum().backward()
    rows = rows_of(recorded)
    assert rows["a"].gradient_l2 == pytest.approx(2.0)
    assert rows["b"].gradient_l2 is not None
    assert isnan(rows["b"].gradient_l2)


@pytest.mark.parametrize("stats", ["meta", "off"])
def test_without_norms_nothing_is_said_of_gradients(stats: Any) -> None:
    model = nn.Linear(2, 2)
    with ia.record({"net": model}, stats=stats) as recorded:
        model(torch.ones(1, 2)).sum().backward()
    row = rows_of(recorded)["net"]
    assert (row.is_reached, row.gradient_l2, row.calls, row.parameters) == (None, None, 1, 6)
    assert (row.backward_ns > 0) == (stats == "meta")
