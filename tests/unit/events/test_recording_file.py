"""Saved recordings: the same recording comes back, and what is damaged is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from math import nan
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import inspect_autograd as ia
from inspect_autograd.diagnosis.load import load
from inspect_autograd.errors import ArgumentError, FileFormatError
from inspect_autograd.events.recording import Recording, RecordingData, Step
from inspect_autograd.events.recording_codec import decode_recording, encode_recording
from inspect_autograd.graph.json_file import DAMAGED
from tests.unit.events.recording_parts import cut, recording, span, step, write
from tests.unit.events.trace_parts import full, nested_trace, small_graph, trace_of


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def read_strictly(path: Path) -> dict[str, Any]:
    text = path.read_bytes().decode("utf-8", "surrogatepass")
    value: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return value


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    saved = recording()
    assert saved.save(path) == path
    loaded = load(path, Recording)
    assert loaded == saved
    # Each part by itself: `==` above compares what is written, which might lack something.
    skipped = {"environment", "traces"}
    for field in fields(RecordingData):
        if field.name not in skipped:
            assert getattr(loaded.data, field.name) == getattr(saved.data, field.name), field.name
    assert repr(loaded.environment) == repr(saved.environment)
    assert loaded.traces[1:] == saved.traces[1:]
    assert repr(loaded.traces[1].events[0]) == repr(saved.traces[1].events[0])
    made = loaded.traces[0].graph.nodes[1].creation
    assert made is not None
    assert made == saved.traces[0].graph.nodes[1].creation
    assert (str(loaded), str(loaded.timeline())) == (str(saved), str(saved.timeline()))


def test_the_file_is_strict_json(tmp_path: Path) -> None:
    value = read_strictly(recording().save(tmp_path / "r.json"))
    assert (value["format"], value["schema_version"]) == ("inspect_autograd.recording", 1)
    # Two lines, which five records refer to.
    assert value["lines"] == [
        ["/project/model.py", 12, "Model.forward"],
        ["/project/train.py", 41, "main"],
    ]
    assert [row["source"] for row in value["mutations"]] == [1, 1]
    assert [row["source"] for row in value["modules"]] == [0, 0, None]
    assert value["environment"]["settings"]["odd"] == {"float": "nan"}


@pytest.mark.parametrize("level", ["off", "meta"])
def test_without_any_trace(tmp_path: Path, level: Any) -> None:
    empty = Recording(RecordingData(steps=(Step(0, 1, 2, "", ()),), stats_level=level))
    assert load(empty.save(tmp_path / "r.json")) == empty
    assert load(Recording(RecordingData()).save(tmp_path / "r.json")) == Recording(RecordingData())


def test_real_recordings_come_back(tmp_path: Path) -> None:
    model = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    optimizer = torch.optim.AdamW(model.parameters())
    for stats in ("full", "meta", "off"):
        with ia.record(model, stats=stats, limit=2) as recorded:
            for factor in (1, 0, 0):
                (model(torch.ones(1, 3, 8)).sum() * factor).sqrt().backward()
                optimizer.step()
        assert recorded.data.dropped_steps == 1
        assert any(node.creation is not None for node in recorded.graph.nodes)
        loaded = load(recorded.save(tmp_path / "r.json"), Recording)
        assert loaded == recorded
        assert str(loaded) == str(recorded)


def test_a_recording_that_still_runs_is_saved_as_far_as_it_goes(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    with ia.record(model) as recorded:
        model(torch.ones(1, 2)).sum().backward()
        recorded.save(tmp_path / "r.json")
    inside = load(tmp_path / "r.json", Recording)
    assert [step.ended_by for step in inside.steps] == [""]
    assert inside.traces == recorded.traces


def test_the_same_recording_gives_the_same_file(tmp_path: Path) -> None:
    first = recording().save(tmp_path / "a.json").read_bytes()
    assert load(tmp_path / "a.json", Recording).save(tmp_path / "b.json").read_bytes() == first


def test_loading_needs_no_torch(tmp_path: Path) -> None:
    path = recording().save(tmp_path / "r.json")
    program = (
        "import sys, inspect_autograd as ia; r = ia.load(sys.argv[1]); print(len(r.traces)); "
        "assert str(r) and r.table() and str(r.timeline()) and r.saved_memory('line', trace=0); "
        "assert 'torch' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "3"


def test_load_tells_recordings_from_the_rest(tmp_path: Path) -> None:
    path = recording().save(tmp_path / "r.json")
    graph_path = small_graph().save(tmp_path / "g.json")
    with pytest.raises(FileFormatError, match=r"r\.json' holds a Recording; expected a Trace"):
        load(path, ia.Trace)
    with pytest.raises(FileFormatError, match=r"g\.json' holds a Graph; expected a Recording"):
        load(graph_path, Recording)


@pytest.mark.parametrize("name", ["r.png", "r", "r.jsonl"])
def test_where_it_cannot_be_saved(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArgumentError, match=r"ends in \.json or \.chrome\.json") as caught:
        recording().save(tmp_path / name)
    assert "recording.traces[-1].render(path)" in caught.value.remedy
    assert not (tmp_path / name).exists()


def test_a_timeline_is_not_read_back(tmp_path: Path) -> None:
    path = recording().save(tmp_path / "r.chrome.json")
    assert read_strictly(path)["traceEvents"]
    with pytest.raises(FileFormatError, match=r"timeline .* cannot be read back"):
        load(path)


# -- equality ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"traces": (nested_trace(), nested_trace(), nested_trace())},
        {"trace_starts_ns": (12_000, 15_000, 22_001)},
        {"steps": (step(1, 0, 1), step(2, 2))},
        {"steps": (step(1, 0), step(2, 1, 2, ended_by="the end of the block"))},
        {"cuts": (cut(),)},
        {"mutations": ()},
        {"modules": ()},
        {"notes": ()},
    ],
)
def test_recordings_that_differ(changes: dict[str, Any]) -> None:
    assert recording() == recording()  # Though they hold NaN.
    assert recording() != recording(**changes)
    assert recording() != "a recording"


# -- damage ------------------------------------------------------------------------------------


def drop_first(column: list[Any]) -> list[Any]:
    return column[1:]


def first_is(value: object) -> Callable[[list[Any]], list[Any]]:
    return lambda column: [value, *column[1:]]


@pytest.mark.parametrize(
    ("path", "new"),
    [
        ("lines", drop_first),
        ("lines.0", ["a.py", 1]),
        ("lines.0", ["a.py", -1, "f"]),
        ("lines.0", ["a.py", True, "f"]),
        ("lines.0", [None, 1, "f"]),
        ("steps", drop_first),
        ("steps.0.index", 0),
        ("steps.0.index", 2),
        ("steps.0.start_ns", 99_999),
        ("steps.0.start_ns", "0"),
        ("steps.0.duration_ns", -1),
        ("steps.0.ended_by", None),
        ("steps.0.traces", [0]),
        ("steps.0.traces", [1, 0]),
        ("steps.0.traces", [0, 1, 2]),
        ("steps.0.traces", [0, 1.0]),
        ("dropped_steps", 2),
        ("dropped_steps", -1),
        ("dropped_steps", None),
        ("trace_starts_ns", drop_first),
        ("trace_starts_ns", first_is(0.5)),
        ("traces", drop_first),
        ("traces", None),
        ("traces.0.events.nodes", first_is(4)),
        ("traces.0.graph.edges.targets", first_is(999)),
        ("traces.0.stats_level", "basic"),
        ("stats_level", "some"),
        ("stats_level", "off"),
        ("cuts.0.reason", "by hand"),
        ("cuts.0.source", 2),
        ("cuts.0.source", -1),
        ("cuts.0.step", 3),
        ("cuts.0.count", -1),
        ("cuts.0.lost", ["b.weight"]),
        ("cuts.0.reaches_loss", 1),
        ("cuts.0.meta", {}),
        ("cuts.0.scope", 5),
        ("mutations.0.source", True),
        ("mutations.0.step", -1),
        ("mutations.0.step", 3),
        ("mutations.0.meta", None),
        ("mutations.0.version_before", "3"),
        ("mutations.0.time_ns", None),
        ("mutations.0.view_of", None),
        ("modules.0.path", None),
        ("modules.0.step", 0),
        ("modules.0.depth", -1),
        ("modules.0.duration_ns", 0.5),
        ("notes", [1]),
        ("environment", {}),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, path: str, new: Any) -> None:
    file = recording().save(tmp_path / "r.json")
    value = read_strictly(file)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    part: Any = value
    for key in steps:
        part = part[key]
    part[last] = new(part[last]) if callable(new) else new
    file.write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(FileFormatError, match="is a recording file, but damaged"):
        load(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"format": "inspect_autograd.recording"}', "schema_version None; "),
        (b'{"format": "inspect_autograd.recording", "schema_version": 2}', "schema_version 2; "),
        (b'{"format": "inspect_autograd.recording", "schema_version": 1}', "but damaged"),
        (b'{"format": "inspect_autograd.recording", "sche', "does not hold valid JSON"),
    ],
)
def test_what_is_not_ours_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=message) as caught:
        load(path)
    assert caught.value.remedy


ENCODED = json.dumps(encode_recording(recording().data))
JUNK = st.sampled_from([None, True, -1, 0, 1, 2, 99, 0.5, "", "off", [], [0], {}, {"float": "nan"}])


def list_places(value: Any) -> list[tuple[Any, Any]]:
    """Every container of a JSON value with one of its keys."""
    found, open_values = [], [value]
    while open_values:
        part = open_values.pop()
        keys = part.keys() if isinstance(part, dict) else range(len(part))
        for key in keys:
            found.append((part, key))
            # What the codec of graphs lets through is its own matter.
            if isinstance(part[key], dict | list) and key != "graph":
                open_values.append(part[key])
    return found


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_one_damage_is_refused_or_can_be_looked_at(data: st.DataObject) -> None:
    value = json.loads(ENCODED)
    part, key = data.draw(st.sampled_from(list_places(value)))
    if isinstance(part, dict) and data.draw(st.booleans()):
        del part[key]
    else:
        part[key] = data.draw(JUNK)
    try:
        damaged = decode_recording(value)
    except DAMAGED:
        return
    # What is let through has parts of the right kinds, so that it is written just as it was read.
    again = decode_recording(json.loads(json.dumps(encode_recording(damaged), allow_nan=False)))
    assert Recording(again) == Recording(damaged)


def test_a_trace_of_another_level_is_refused() -> None:
    basic = trace_of([(0, 0, 0, 1, (full(nan),), (None,))], stats_level="basic")
    data = RecordingData((basic,), (0,), (step(0, 0),), stats_level="full")
    with pytest.raises(ValueError, match="other statistics"):
        decode_recording(encode_recording(data))
    decode_recording(encode_recording(replace(data, stats_level="basic")))


def test_steps_between_others_may_be_missing(tmp_path: Path) -> None:
    steps = (step(1, 0, 1), step(7, 2))
    kept = recording(steps=steps, modules=(span("", 0, 1, step=7),))
    assert load(kept.save(tmp_path / "r.json")) == kept


def test_a_cut_of_a_dropped_step_is_kept(tmp_path: Path) -> None:
    kept = recording(
        cuts=(cut(step=0),), mutations=(write(step=2),), modules=(span("", 0, 1, step=2),)
    )
    assert load(kept.save(tmp_path / "r.json")) == kept
