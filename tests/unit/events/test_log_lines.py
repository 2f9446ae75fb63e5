"""The log that is written while a trace runs, and what is read from one that ends too early."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
import torch

from inspect_autograd.diagnosis.load import load
from inspect_autograd.errors import FileFormatError
from inspect_autograd.events.log_lines import (
    encode_edit,
    encode_event,
    encode_evidence,
    encode_graph_line,
    encode_header,
    encode_note,
    encode_outcome,
    encode_parameters,
    encode_pass,
    encode_threads,
    read_log,
)
from inspect_autograd.events.records import (
    Environment,
    Event,
    Evidence,
    Outcome,
    TensorStats,
    TracedParameter,
)
from inspect_autograd.events.trace import Trace
from inspect_autograd.graph.tensor_meta import TensorMeta
from tests.conformance.plain_hooks import record_by_plain_hooks
from tests.unit.events.trace_parts import backward_pass, full, nested_trace, small_graph, trace_of

ENDS_HERE = "the log ends here: the process was ended or is still running"


def header(trace: Trace) -> list[dict[str, Any]]:
    return [
        encode_header(trace.graph, trace.stats_level, trace.environment),
        encode_graph_line(trace.graph),
    ]


def log_of(trace: Trace) -> list[dict[str, Any]]:
    """All lines, in the order in which a trace that runs would write them."""
    lines = [
        *header(trace),
        encode_threads(trace.threads),
        encode_parameters(trace.parameters),
    ]
    running = Outcome("running")
    lines += [encode_pass(replace(p, outcome=running)) for p in trace.passes]
    evidence = {item.event: item for item in trace.evidence}
    for event in trace.events:
        lines.append(encode_event(event, trace.node_of(event).name))
        if event.order in evidence:
            lines.append(encode_evidence(evidence[event.order]))
    lines += map(encode_edit, trace.edits)
    lines += map(encode_pass, trace.passes)
    lines += map(encode_note, trace.notes)
    return [*lines, encode_outcome(trace.outcome)]


def write(lines: list[dict[str, Any]]) -> list[str]:
    return [json.dumps(line, allow_nan=False, ensure_ascii=False) + "\n" for line in lines]


def read(lines: list[dict[str, Any]]) -> Trace:
    return Trace(read_log(write(lines)))


@pytest.fixture
def trace() -> Trace:
    nested = nested_trace().data
    odd = TensorStats(TensorMeta(None, "float32", "cuda:0"), note="not\nstrided")
    return trace_of(
        [
            (0, 0, 0, 1, (full(nan), None), (full(inf), odd)),
            (1, 1, 2, 3, (full(nan),), (full(-inf), full(0.1))),
        ],
        nested.passes,
        outcome=Outcome("raised", "ValueError", "no", 1),
        parameters=(TracedParameter(("w \u2028 \ud800",), TensorMeta((2,), "float32"), 2, inf),),
        evidence=(Evidence(1, "rule", "Why.", {"self": "0"}),),
        threads=("MainThread", "other"),
        edits=("scaled w",),
        notes=("a note",),
        environment=Environment("2.13", "3.11", "Linux", {"a": nan}),
    )


# -- complete logs -----------------------------------------------------------------------------


def test_the_log_of_a_trace_is_that_trace(trace: Trace, tmp_path: Path) -> None:
    assert read(log_of(trace)) == trace
    path = tmp_path / "a.log"  # The content tells what it is, not the suffix.
    path.write_text("".join(write(log_of(trace))), encoding="utf-8", errors="surrogatepass")
    assert load(path) == trace


def test_the_log_of_a_real_trace() -> None:
    model = torch.nn.Linear(2, 2)
    recorded = record_by_plain_hooks((model(torch.ones(1, 2)).sum() * 0).sqrt(), model)
    assert read(log_of(recorded)) == recorded


def test_a_line_tells_what_it_is_about() -> None:
    event = nested_trace().events[2]
    assert json.loads(write([encode_event(event, "MulBackward0")])[0]) == {
        "kind": "event",
        "order": 2,
        "node": 1,
        "name": "MulBackward0",
        "pass": 0,
        "thread": 0,
        "start_ns": 2000,
        "duration_ns": 900,
        "received": [
            {
                "shape": [2],
                "dtype": "float32",
                "device": "cpu",
                "layout": "strided",
                "l2": 1.5,
                "min": 1.5,
                "max": 1.5,
                "mean": 1.5,
                "zero_count": 0,
                "nan_count": 0,
                "inf_count": 0,
            }
        ],
        "returned": [json.loads(write([encode_event(event, "")])[0])["returned"][0], None],
    }
    line = encode_header(small_graph(), "basic", Environment("2.13", "3.11", "Linux"))
    assert line["format"] == "inspect_autograd.trace-log"
    assert line["schema_version"] == 1
    assert line["stats_level"] == "basic"


def test_a_later_line_replaces_an_earlier_one(trace: Trace) -> None:
    other = replace(trace.graph, torch_version="later")
    changed = replace(trace.passes[1], line=99)
    lines = [
        *log_of(trace),
        encode_graph_line(other),
        encode_pass(changed),
        encode_parameters(()),
        encode_threads(["renamed", "other"]),
        encode_note("one more"),
        encode_outcome(Outcome("completed")),
    ]
    found = read(lines)
    assert found.graph.torch_version == "later"
    assert found.passes == (trace.passes[0], changed)
    assert found.parameters == ()
    assert found.threads == ("renamed", "other")
    assert found.notes == ("a note", "one more")
    assert found.outcome == Outcome("completed")


def test_lines_of_several_threads_may_be_out_of_order() -> None:
    trace = nested_trace()
    lines = log_of(trace)
    first = next(i for i, line in enumerate(lines) if line["kind"] == "event")
    lines[first], lines[first + 2] = lines[first + 2], lines[first]
    assert read(lines) == trace


def test_threads_without_a_name_get_one() -> None:
    lines = [line for line in log_of(nested_trace()) if line["kind"] != "threads"]
    assert read(lines).threads == ("thread 0",)


def test_equal_gradients_are_kept_once() -> None:
    event = Event(0, 1, 0, 0, 0, 1, (full(nan),), (full(nan), full(nan)))
    lines = [*header(nested_trace()), encode_pass(backward_pass()), encode_event(event, "x")]
    assert len(read(lines).data.table.stats) == 1


# -- logs that end too early -------------------------------------------------------------------


def test_a_log_that_is_cut_anywhere_is_read_as_far_as_it_goes(trace: Trace, tmp_path: Path) -> None:
    text = "".join(write(log_of(trace))).encode("utf-8", "surrogatepass")
    begin = text.index(b"\n", text.index(b"\n") + 1)
    path = tmp_path / "cut.jsonl"
    for end in range(begin, len(text) - 1, 7):
        path.write_bytes(text[:end])
        found = load(path, Trace)
        complete = text[:end].count(b'\n{"kind": "event"')
        is_in_event = text[:end].rpartition(b"\n")[2].startswith(b'{"kind": "event"')
        ended = len(found)
        assert ended in (complete, complete - is_in_event)
        # A line without its end is read too, if only the end is missing.
        assert ended == complete - is_in_event or text[end - 1 : end] == b"}"
        assert found.outcome == Outcome("running", message=ENDS_HERE)
        assert ENDS_HERE in found.notes
        assert [repr(event) for event in found.events] == [
            repr(event) for event in trace.events[:ended]
        ]
        assert str(found)


def test_without_the_last_line_end_nothing_is_missing(trace: Trace) -> None:
    lines = write(log_of(trace))
    lines[-1] = lines[-1].rstrip()
    assert Trace(read_log(lines)) == trace


def test_bytes_cut_inside_of_a_letter(trace: Trace) -> None:
    lines = [line.encode("utf-8", "surrogatepass") for line in write(log_of(trace))]
    lines.append('{"kind": "note", "text": "ü'.encode()[:-1])
    assert read_log(lines).notes == ("a note", ENDS_HERE)


def test_passes_that_no_line_describes() -> None:
    trace = nested_trace()
    lines = [line for line in log_of(trace) if line["kind"] not in ("pass", "outcome")]
    found = read(lines)
    assert [p.id for p in found.passes] == [0, 1]
    assert {p.call for p in found.passes} == {"engine"}
    assert found.passes[1].outcome == Outcome("running", message=ENDS_HERE)
    assert len(found) == 4


def test_nodes_that_came_to_light_after_the_graph_was_written() -> None:
    trace = nested_trace()
    lines = log_of(trace)[:-1]
    event = Event(4, 6, 0, 0, 5000, 1, (full(1.0),), ())
    found = read([*lines, encode_event(event, "CosBackward0")])
    assert len(found.graph) == 7
    assert [node.name for node in found.graph.nodes[4:]] == ["unknown", "unknown", "CosBackward0"]
    assert found.graph.nodes[:4] == trace.graph.nodes[:4]
    assert [*found.graph.edges] == [*trace.graph.edges]
    assert found.notes[-1].startswith("of 3 nodes that came to light while the block ran only")
    assert "CosBackward0" in str(found)


def test_events_that_are_missing_in_between() -> None:
    lines = log_of(nested_trace())[:-1]
    kept = [line for line in lines if line.get("order") != 1]
    kept += [encode_evidence(Evidence(3, "rule", "kept")), encode_evidence(Evidence(9, "", "lost"))]
    found = read(kept)
    assert [event.node for event in found.events] == [0, 1, 2]
    assert [event.order for event in found.events] == [0, 1, 2]
    assert found.evidence == (Evidence(2, "rule", "kept"),)
    assert any(note.startswith("the log lacks 7 events") for note in found.notes)


# -- damage ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": 1}, "not numbered"),
        ({"order": -1}, "not numbered"),
        ({"order": 9}, "not numbered"),
        ({"node": 4}, "a node is referred to that is not there"),
        ({"node": 1 << 60}, "a node is referred to"),
        ({"node": True}, "line 7: ValueError: expected a whole number"),
        ({"pass": 2}, "a backward pass is referred to"),
        ({"thread": -1}, "a thread is referred to"),
        ({"thread": 1 << 60}, "referred to that are not there"),
        ({"received": None}, "line 7: TypeError"),
        ({"received": [{"shape": [1], "dtype": "f", "device": "c", "l2": "x"}]}, "line 7: Value"),
        ({"received": [{}]}, "line 7: KeyError"),
        ({"kind": "other"}, "line 7: ValueError: there is no kind 'other'"),
        ({"kind": ["event"]}, "line 7: TypeError"),
    ],
)
def test_a_damaged_line_is_refused(change: dict[str, Any], message: str) -> None:
    lines = log_of(nested_trace())
    assert lines[6]["kind"] == "event"
    lines[6] |= change
    with pytest.raises(ValueError, match=message):
        read(lines)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parent_pass": 1}, "inside one that did not begin before"),
        ({"parent_pass": 1 << 60}, "inside one that did not begin before"),
        ({"parent_pass": None}, "not both"),
        ({"parent": None}, "not both"),
        ({"parent_pass": "0"}, "expected a whole number"),
    ],
)
def test_a_pass_inside_one_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    lines = log_of(nested_trace())
    # One line when it began, and one when it ended, which replaces the other.
    *_, inner = [line for line in lines if line["kind"] == "pass" and line["id"] == 1]
    assert (inner["parent"], inner["parent_pass"]) == (1, 0)
    inner |= change
    with pytest.raises(ValueError, match=message):
        read(lines)


def test_the_line_of_an_outer_pass_may_be_missing_from_a_log_that_ends_too_early() -> None:
    lines = [line for line in log_of(nested_trace())[:-1] if line["kind"] != "event"]
    found = read([line for line in lines if line["kind"] != "pass" or line["id"] != 0])
    assert [(p.call, p.parent_pass) for p in found.passes] == [("engine", None), ("grad", 0)]


def test_a_broken_line_in_the_middle_is_damage(tmp_path: Path) -> None:
    lines = write(log_of(nested_trace()))
    lines[5] = lines[5][:20] + "\n"
    path = tmp_path / "t.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    with pytest.raises(FileFormatError, match=r"a trace file, but damaged .*line 6: "):
        load(path)


def test_too_many_nodes_that_are_not_there_are_damage() -> None:
    event = Event(4, 1 << 40, 0, 0, 0, 1, (), ())
    with pytest.raises(ValueError, match="referred to that are not there"):
        read([*log_of(nested_trace())[:-1], encode_event(event, "x")])


@pytest.mark.parametrize("count", [0, 1])
def test_a_log_without_a_graph(count: int) -> None:
    with pytest.raises(ValueError, match="ends before the graph"):
        read_log(write(log_of(nested_trace()))[:count])


def test_lines_that_are_not_a_log() -> None:
    with pytest.raises(ValueError, match="line 1: KeyError: 'format'"):
        read_log(write([encode_note("a note")]))
    with pytest.raises(ValueError, match="line 1: TypeError"):
        read_log(["[1]", "[2]"])


def test_reading_needs_no_torch(trace: Trace, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("".join(write(log_of(trace))), encoding="utf-8", errors="surrogatepass")
    program = (
        "import sys, inspect_autograd as ia; print(len(ia.load(sys.argv[1]))); "
        "assert 'torch' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "2"
