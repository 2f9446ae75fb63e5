"""Traces as timelines for Perfetto and chrome://tracing."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import torch

import inspect_autograd as ia
from inspect_autograd.events.records import Evidence, Outcome
from inspect_autograd.events.trace import Trace
from inspect_autograd.graph.creation import Creation, SourceLine
from tests.conformance.plain_hooks import record_by_plain_hooks
from tests.unit.events.trace_parts import (
    backward_pass,
    full,
    nested_trace,
    small_graph,
    trace_of,
)

ONE = (full(1.0),)


def bars(trace: Trace) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = trace.to_chrome_trace()["traceEvents"]
    return [event for event in events if event["ph"] == "X"]


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def check_nesting(bars: list[dict[str, Any]]) -> None:
    """Bars of one thread either do not overlap, or one holds the other and stands before it."""
    for i, bar in enumerate(bars):
        for later in bars[i + 1 :]:
            if bar["tid"] != later["tid"]:
                continue
            # Viewers count whole nanoseconds.
            end, later_start, later_end = (
                round(1000 * time)
                for time in (bar["ts"] + bar["dur"], later["ts"], later["ts"] + later["dur"])
            )
            assert end <= later_start or later_end <= end, (bar["name"], later["name"])


def test_times_are_microseconds() -> None:
    times = [(bar["name"], bar["ts"], bar["dur"]) for bar in bars(nested_trace())]
    assert times == [
        ("backward train.py:41", 1.0, 2.1),
        ("SumBackward0", 1.0, 0.5),
        ("MulBackward0", 2.0, 0.9),
        ("grad checkpoint.py:7", 2.1, 0.3),
        ("SumBackward0", 2.1, 0.3),
        ("w", 3.0, 0.1),
    ]


def test_passes_nest_in_the_node_that_called_them() -> None:
    found = bars(nested_trace())
    check_nesting(found)
    assert found[3]["args"]["called_by_node"] == 1
    assert found[3]["args"]["inputs"] == ["w: f32[2] |3|", "None: none"]


def test_a_pass_encloses_what_it_called_though_the_caller_raised() -> None:
    raised = Outcome("raised", "RuntimeError", "no", 1)
    passes = [
        backward_pass(0, outcome=raised),
        backward_pass(1, parent=1, parent_pass=0, outcome=raised),
    ]
    rows = [(0, 0, 0, 5, ONE, ()), (0, 1, 20, 5, ONE, ()), (2, 1, 25, 5, ONE, ())]
    found = bars(trace_of(rows, passes))
    check_nesting(found)
    assert [bar["args"]["pass"] for bar in found] == [0, 0, 1, 1, 1]
    assert found[0]["args"]["outcome"] == "raised RuntimeError no"


def test_threads_have_tracks_and_names() -> None:
    passes = [backward_pass(0, thread=1)]
    rows = [(0, 0, 0, 5, ONE, ()), (1, 0, 3, 9, ONE, ())]
    built = trace_of(rows, passes, event_threads=[1, 0], threads=("MainThread", "worker"))
    events = built.to_chrome_trace()["traceEvents"]
    names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert names == {0: "MainThread", 1: "worker"}
    assert [(bar["tid"], bar["cat"]) for bar in bars(built)] == [
        (1, "backward pass"),
        (1, "op"),
        (0, "op"),
    ]
    # The bar of the pass reaches to its last event, which ran in another thread.
    assert bars(built)[0]["dur"] == 0.012


def test_what_is_not_finite_is_text(tmp_path: Path) -> None:
    trace = trace_of(
        [(1, 0, 0, 5, (full(nan),), (full(inf), None))],
        evidence=(Evidence(0, "some-rule", "It divided by zero."),),
    )
    text = trace.save(tmp_path / "t.chrome.json").read_text(encoding="utf-8")
    value = json.loads(text, parse_constant=refuse)
    event = value["traceEvents"][-1]
    assert event["args"]["received"] == ["f32[2] |nan| NaN"]
    assert event["args"]["returned"] == ["f32[2] |inf| Inf", "none"]
    assert event["args"]["not_finite"] is True
    assert event["args"]["evidence"] == "It divided by zero."
    assert "not_finite" not in bars(nested_trace())[1]["args"]


def test_passes_without_events_are_named() -> None:
    trace = trace_of([(0, 0, 0, 5, ONE, ())], [backward_pass(0), backward_pass(1)])
    assert len(bars(trace)) == 2
    other = trace.to_chrome_trace()["otherData"]
    assert other["passes_without_events"] == [1]
    assert other["stats_level"] == "full"
    assert trace_of([]).to_chrome_trace()["otherData"]["passes_without_events"] == [0]


def test_names_that_utf8_does_not_know(tmp_path: Path) -> None:
    x = torch.ones(2, requires_grad=True)
    graph = ia.capture((x * 2).sum(), params={"权重 \ud800": x})
    trace = trace_of([(2, 0, 0, 5, ONE, ())], graph=graph)
    value = json.loads(trace.save(tmp_path / "t.chrome.json").read_text(encoding="utf-8"))
    assert value["traceEvents"][-1]["name"] == "权重 \\ud800"


def test_a_real_backward(tmp_path: Path) -> None:
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    trace = record_by_plain_hooks(layer(torch.randn(1, 3, 8)).sum(), layer)
    found = bars(trace)
    check_nesting(found)
    assert len(found) == len(trace) + 1
    assert {"linear1.weight", "NativeLayerNormBackward0"} <= {bar["name"] for bar in found}
    assert round(found[0]["ts"] * 1000) == min(event.start_ns for event in trace.events)
    json.dumps(trace.to_chrome_trace(), allow_nan=False)


def test_where_a_node_comes_from() -> None:
    creation = Creation("torch.mul", SourceLine("net.py", 7, "f"), call=2)
    graph = small_graph()
    table = replace(graph.node_table, scopes={1: "a"}, creations={1: creation, 0: Creation()})
    rows = [(node, 0, node, 1, ONE, ()) for node in (0, 1, 2)]
    trace = trace_of(rows, graph=replace(graph, node_table=table))
    args = {bar["args"]["node"]: bar["args"] for bar in bars(trace) if "node" in bar["args"]}
    wanted = ("function", "file", "line", "module", "call")
    assert [args[1].get(name) for name in wanted] == ["torch.mul", "net.py", 7, "a", 2]
    assert not {*wanted} & ({*args[0]} | {*args[2]})
