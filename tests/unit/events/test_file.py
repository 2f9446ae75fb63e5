"""Saved traces: the same trace comes back, and what is not ours is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.diagnosis.load import load
from inspect_autograd.errors import ArgumentError, ArgumentTypeError, FileFormatError
from inspect_autograd.events.records import (
    Environment,
    Evidence,
    Outcome,
    TensorStats,
    TracedParameter,
)
from inspect_autograd.events.trace import Trace
from inspect_autograd.graph.records import Plain
from inspect_autograd.graph.tensor_meta import TensorMeta
from tests.conformance.plain_hooks import record_by_plain_hooks
from tests.unit.events.trace_parts import backward_pass, full, nested_trace, small_graph, trace_of


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def read_strictly(path: Path) -> dict[str, Any]:
    text = path.read_bytes().decode("utf-8", "surrogatepass")
    value: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return value


@pytest.fixture
def trace() -> Trace:
    """A trace that has a bit of everything, and every number that JSON lacks."""
    nested = nested_trace().data
    x = torch.ones(2, requires_grad=True)
    graph = ia.capture((x.relu() * 2).sum(), params={"复杂 \ud800": x})
    attributes: dict[int, dict[str, Plain]] = {
        2: {"low": -inf, "text": "-inf", "nested": (1, (inf, None))}
    }
    graph = replace(graph, node_table=replace(graph.node_table, attributes=attributes))
    meta = TensorMeta(("s0", 3), "complex64", "cuda:1", "sparse_coo")
    odd = TensorStats(meta, nan, -inf, inf, None, None, 3, 4, "not\ncoalesced")
    data = replace(
        trace_of(
            [
                (0, 0, 0, 1, (odd, None), (full(nan), full(inf), full(-0.0))),
                (1, 1, 2, 3, (full(0.1),), (full(-inf), None)),
            ],
            nested.passes,
        ).data,
        graph=graph,
        outcome=Outcome("raised", "RuntimeError", "no\n\ud800", 1),
        parameters=(
            TracedParameter(("复杂 \ud800",), TensorMeta((2,), "float32"), 3, nan),
            TracedParameter((), TensorMeta(None, "float32"), None),
        ),
        evidence=(Evidence(1, "a-rule", "Why.", {"self": "0"}), Evidence(0, "", "?")),
        threads=("MainThread", "ünused"),
        edits=("scaled w",),
        notes=("one", "two"),
        environment=Environment("2.13", "3.11", "Linux", {"a": (1, inf, ("nan", nan)), "b": None}),
    )
    return Trace(data)


def test_round_trip(trace: Trace, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    assert trace.save(path) == path
    loaded = load(path, Trace)
    assert loaded == trace
    assert str(loaded) == str(trace)
    # Each part by itself, as far as records that hold no NaN can be compared.
    assert loaded.outcome == trace.outcome
    assert loaded.passes == trace.passes
    assert loaded.evidence == trace.evidence
    assert (loaded.threads, loaded.edits, loaded.notes) == (
        trace.threads,
        trace.edits,
        trace.notes,
    )
    assert loaded.stats_level == trace.stats_level
    assert loaded.parameters[1] == trace.parameters[1]
    assert repr(loaded.parameters[0]) == repr(trace.parameters[0])
    assert repr(loaded.environment) == repr(trace.environment)
    assert repr([*loaded.events]) == repr([*trace.events])
    assert loaded.graph == trace.graph


def test_the_file_is_strict_json(trace: Trace, tmp_path: Path) -> None:
    value = read_strictly(trace.save(tmp_path / "t.json"))
    assert value["format"] == "inspect_autograd.trace"
    assert value["schema_version"] == 1
    assert value["stats"]["l2"] == ["nan", 0.1, "nan", "inf", 0.0, "-inf"]
    assert value["environment"]["settings"]["a"] == [1, {"float": "inf"}, ["nan", {"float": "nan"}]]


def test_real_traces_come_back(tmp_path: Path) -> None:
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = torch.nn.Linear(2, 2)
    for recorded in (
        record_by_plain_hooks(layer(torch.randn(1, 3, 8)).sum(), layer),
        record_by_plain_hooks((model(torch.ones(1, 2)).sum() * 0).sqrt(), model),
    ):
        assert load(recorded.save(tmp_path / "t.json")) == recorded


def test_the_same_trace_gives_the_same_file(trace: Trace, tmp_path: Path) -> None:
    first = trace.save(tmp_path / "a.json").read_bytes()
    assert load(tmp_path / "a.json", Trace).save(tmp_path / "b.json").read_bytes() == first


def test_loading_needs_no_torch(trace: Trace, tmp_path: Path) -> None:
    path = trace.save(tmp_path / "t.json")
    program = (
        "import sys, inspect_autograd as ia; t = ia.load(sys.argv[1]); print(len(t)); "
        "assert 'rich' not in sys.modules; assert str(t) and t.to_chrome_trace(); "
        "assert 'torch' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "2"


def test_a_trace_that_still_runs_is_saved_as_far_as_it_goes(tmp_path: Path) -> None:
    data = nested_trace().data
    running = Trace(source=lambda: replace(data, outcome=Outcome("running")))
    assert load(running.save(tmp_path / "t.json"), Trace).outcome.status == "running"


# -- equality ----------------------------------------------------------------------------------


def test_traces_are_equal_if_they_say_the_same() -> None:
    one, nan_again = full(1.0), full(float("nan"))
    trace = trace_of([(0, 0, 0, 1, (full(nan),), (one,))])
    assert trace == trace_of([(0, 0, 0, 1, (nan_again,), (one,))])
    assert trace != trace_of([(0, 0, 0, 1, (nan_again,), (full(2.0),))])
    assert trace != trace_of([(0, 0, 0, 2, (nan_again,), (one,))])
    assert trace != trace_of([(0, 0, 0, 1, (nan_again,), (None,))])
    assert trace != trace_of([(0, 0, 0, 1, (nan_again,), (one,))], notes=("a note",))
    assert trace != "a trace"


def test_one_entry_for_two_slots_or_two_entries_are_equal() -> None:
    apart = trace_of([(0, 0, 0, 1, (full(1.0),), (full(1.0), full(2.0)))])
    table = replace(
        apart.data.table, received=[(1,)], returned=[(1, 0)], stats=[full(2.0), full(1.0)]
    )
    shared = Trace(replace(apart.data, table=table))
    assert shared == apart
    assert shared != Trace(replace(apart.data, table=replace(table, returned=[(0, 1)])))


# -- where and what ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("t.png", r"ends in \.json or \.chrome\.json"),
        ("t.jsonl", r"ends in \.json or \.chrome\.json"),
        ("t", r"ends in \.json or \.chrome\.json"),
        ("missing/t.json", "does not exist"),
        ("missing/t.chrome.json", "does not exist"),
    ],
)
def test_where_it_cannot_be_saved(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        nested_trace().save(tmp_path / name)
    assert caught.value.remedy


class BytesPath:
    """A path of bytes, which `pathlib` does not take."""

    def __fspath__(self) -> bytes:
        return b"t.json"

    def __repr__(self) -> str:
        return "<BytesPath>"


def test_a_path_that_is_none() -> None:
    with pytest.raises(ArgumentTypeError, match="path is 3 of type int"):
        nested_trace().save(3)  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match="path is <BytesPath> of type BytesPath"):
        nested_trace().save(BytesPath())  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match="path is None of type NoneType"):
        load(None)  # type: ignore[call-overload]


def test_load_tells_graphs_and_traces_apart(tmp_path: Path) -> None:
    graph_path = small_graph().save(tmp_path / "g.json")
    trace_path = nested_trace().save(tmp_path / "t.json")
    assert isinstance(load(graph_path), ia.Graph)
    assert isinstance(load(trace_path), Trace)
    assert load(graph_path, ia.Graph) == small_graph()
    with pytest.raises(FileFormatError, match=r"t\.json' holds a Trace; expected a Graph"):
        load(trace_path, ia.Graph)
    with pytest.raises(FileFormatError, match=r"g\.json' holds a Graph; expected a Trace"):
        load(graph_path, Trace)
    with pytest.raises(ArgumentTypeError, match="expected Graph, Trace, Recording or Report"):
        load(trace_path, "Trace")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a saved graph, trace, recording or report: it does not hold valid JSON"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "does not hold valid JSON"),
        (b'{"format": "inspect_autograd.trace", "schema_ver', "does not hold valid JSON"),
        (b"[1, 2]", "not a graph, trace, recording or report saved by inspect_autograd"),
        (
            b'{"format": "other"}',
            "not a graph, trace, recording or report saved by inspect_autograd",
        ),
        (
            b'{"format": ["inspect_autograd.trace"]}',
            "not a graph, trace, recording or report saved by",
        ),
        (b'{"format": "inspect_autograd.trace", "schema_version": 2}', "schema_version 2; "),
        (b'{"format": "inspect_autograd.trace"}', "schema_version None; "),
        (b'{"format": "inspect_autograd.trace", "schema_version": 1}', "a trace file, but damaged"),
        (b'{"format": "inspect_autograd.trace-log"}', "schema_version None; "),
        (b'{"format": "inspect_autograd.trace-log", "schema_version": 9}', "schema_version 9; "),
        (b'{"format": "inspect_autograd.trace-log", "schema_version": 1}', "but damaged"),
    ],
)
def test_what_is_not_ours_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=message) as caught:
        load(path)
    assert caught.value.remedy


def test_a_timeline_is_not_read_back(tmp_path: Path) -> None:
    path = nested_trace().save(tmp_path / "t.chrome.json")
    with pytest.raises(FileFormatError, match=r"timeline .* cannot be read back") as caught:
        load(path)
    assert "ui.perfetto.dev" in caught.value.remedy


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no such file"):
        load(tmp_path / "t.json")


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_a_file_that_was_cut_short(trace: Trace, tmp_path: Path, keep: float) -> None:
    file = trace.save(tmp_path / "t.json")
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(FileFormatError, match="cut short"):
        load(file)


# -- damage ------------------------------------------------------------------------------------


def drop_first(column: list[Any]) -> list[Any]:
    return column[1:]


def first_is(value: object) -> Callable[[list[Any]], list[Any]]:
    return lambda column: [value, *column[1:]]


@pytest.mark.parametrize(
    ("path", "new"),
    [
        *((f"events.{name}", drop_first) for name in ("nodes", "starts_ns", "received")),
        ("events.nodes", first_is(4)),
        ("events.nodes", first_is(-1)),
        ("events.nodes", first_is("0")),
        ("events.nodes", first_is(1 << 70)),
        ("events.passes", first_is(2)),
        ("events.threads", first_is(2)),
        ("events.received", first_is([6])),
        ("events.returned", first_is([-2])),
        ("events.returned", first_is([0.5])),
        ("events.returned", first_is(None)),
        ("stats.meta", first_is(2)),
        ("stats.meta", first_is(-1)),
        ("stats.l2", drop_first),
        ("stats.l2", first_is("NaN")),
        ("stats.l2", first_is(True)),
        ("stats.metas.0.shape", ["s0", 1.5]),
        ("stats.metas.0.dtype", None),
        ("stats.note", drop_first),
        ("graph.edges.targets", first_is(999)),
        ("graph", None),
        ("stats_level", "some"),
        ("outcome.status", "fine"),
        ("outcome.node", 4),
        ("outcome.node", True),
        ("passes", drop_first),
        ("passes.0.id", 1),
        ("passes.0.call", "forward"),
        ("passes.0.thread", 2),
        ("passes.1.parent", 4),
        ("passes.1.parent", None),
        ("passes.1.parent_pass", None),
        ("passes.1.parent_pass", 1),
        ("passes.1.parent_pass", -1),
        ("passes.1.parent_pass", True),
        ("passes.0.parent_pass", 0),
        ("passes.0.roots.0.node", 4),
        ("passes.0.roots.0.is_implicit", None),
        ("passes.1.inputs.0.node", 4),
        ("passes.0.outcome.node", -1),
        ("passes.0.retain_graph", 0),
        ("parameters.0.node", 4),
        ("parameters.0.l2", "much"),
        ("evidence.0.event", 2),
        ("evidence.0.values", []),
        ("threads", [1, 2]),
        ("notes", None),
        ("environment", {}),
        ("environment.settings", {"a": {"float": "many"}}),
    ],
)
def test_damaged_files_are_refused(trace: Trace, tmp_path: Path, path: str, new: Any) -> None:
    file = trace.save(tmp_path / "t.json")
    value = read_strictly(file)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    part: Any = value
    for step in steps:
        part = part[step]
    part[last] = new(part[last]) if callable(new) else new
    file.write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(FileFormatError, match="is a trace file, but damaged"):
        load(file)


def test_an_empty_trace_comes_back(tmp_path: Path) -> None:
    empty = trace_of([], [backward_pass(0)], outcome=Outcome("nothing ran"))
    assert load(empty.save(tmp_path / "t.json")) == empty
