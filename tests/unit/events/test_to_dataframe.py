"""Traces as pandas data frames."""

from __future__ import annotations

import sys
from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest
import torch

from inspect_autograd.errors import MissingDependencyError
from inspect_autograd.events.records import TensorStats
from inspect_autograd.graph.creation import Creation, SourceLine
from inspect_autograd.graph.tensor_meta import TensorMeta
from tests.conformance.plain_hooks import record_by_plain_hooks
from tests.unit.events.trace_parts import (
    backward_pass,
    full,
    nested_trace,
    small_graph,
    trace_of,
)

COLUMNS = [
    "order",
    "backward_pass",
    "node",
    "name",
    "label",
    "parameter",
    "scope",
    "function",
    "file",
    "line",
    "direction",
    "slot",
    "shape",
    "dtype",
    "device",
    "l2",
    "min",
    "max",
    "mean",
    "zero_count",
    "nan_count",
    "inf_count",
    "finite",
    "note",
    "start_ns",
    "duration_ns",
    "thread",
]


def test_one_row_per_event_direction_and_slot() -> None:
    frame = nested_trace().to_dataframe()
    assert [*frame.columns] == COLUMNS
    assert [*zip(frame.order, frame.node, frame.direction, frame.slot, strict=True)] == [
        (0, 0, "received", 0),
        (0, 0, "returned", 0),
        (1, 0, "received", 0),
        (1, 0, "returned", 0),
        (2, 1, "received", 0),
        (2, 1, "returned", 0),
        (2, 1, "returned", 1),
        (3, 2, "received", 0),
    ]
    assert [*frame.backward_pass] == [0, 0, 1, 1, 0, 0, 0, 0]


def test_what_a_row_holds() -> None:
    row = nested_trace().to_dataframe().iloc[7].to_dict()
    assert {name: row[name] for name in ("name", "label", "parameter", "scope", "thread")} == {
        "name": "AccumulateGrad",
        "label": "w",
        "parameter": "w",
        "scope": None,
        "thread": "MainThread",
    }
    assert (row["shape"], row["dtype"], row["device"]) == ((2,), "float32", "cpu")
    assert (row["l2"], row["min"], row["max"], row["mean"]) == (3.5, 3.5, 3.5, 3.5)
    assert (row["zero_count"], row["nan_count"], row["inf_count"]) == (0, 0, 0)
    assert row["finite"] is True
    assert (row["start_ns"], row["duration_ns"]) == (3000, 100)
    assert row["note"] == ""


def test_a_slot_without_gradient_has_a_row_of_missing_values() -> None:
    frame = nested_trace().to_dataframe()
    row = frame.iloc[6]
    about_gradient = COLUMNS[COLUMNS.index("shape") : COLUMNS.index("note")]
    assert row[about_gradient].isna().all()
    assert row.note == "no gradient"
    assert row.order == 2


def test_nan_and_what_is_not_known_can_be_told_apart() -> None:
    unknown = TensorStats(TensorMeta((2,), "float32"), note="a sparse gradient")
    rows = [(0, 0, 0, 1, (full(nan), full(inf), unknown, full(0.0)), ())]
    frame = trace_of(rows).to_dataframe()
    assert frame.l2.isna().tolist() == [True, False, True, False]
    assert frame.finite.isna().tolist() == [False, False, True, False]
    assert frame.finite[:2].tolist() == [False, False]
    assert frame.nan_count.tolist()[:2] == [1, 0]
    assert frame.inf_count.tolist()[:2] == [0, 1]
    assert frame.note[2] == "a sparse gradient"
    assert frame.zero_count[3] == 1


def test_an_empty_trace_has_the_same_columns() -> None:
    empty, other = trace_of([]).to_dataframe(), nested_trace().to_dataframe()
    assert len(empty) == 0
    assert [*empty.dtypes] == [*other.dtypes]
    assert str(empty.dtypes["nan_count"]) == "Int64"


def test_a_real_backward() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    trace = record_by_plain_hooks(model(torch.ones(4, 2)).sum(), model)
    frame = trace.to_dataframe()
    leaves = frame[frame.parameter.notna()].set_index("parameter")
    assert sorted(leaves.index) == ["0.bias", "0.weight", "2.bias", "2.weight"]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert leaves.l2[name] == pytest.approx(parameter.grad.norm().item())
        assert leaves["shape"][name] == tuple(parameter.shape)
    assert len(frame) == sum(len(e.received) + len(e.returned) for e in trace.events)


def test_several_passes() -> None:
    rows: list[Any] = [(2, 1, 0, 1, (full(1.0),), ()), (2, 0, 0, 1, (full(1.0),), ())]
    frame = trace_of(rows, [backward_pass(0), backward_pass(1)]).to_dataframe()
    assert frame.backward_pass.tolist() == [1, 0]


def test_without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match="to_dataframe\\(\\) needs pandas") as caught:
        nested_trace().to_dataframe()
    assert "inspect-autograd[pandas]" in caught.value.remedy


def test_where_a_node_comes_from() -> None:
    graph = small_graph()
    creation = Creation("torch.mul", SourceLine("net.py", 7, "f"))
    table = replace(graph.node_table, creations={1: creation})
    rows = [(node, 0, node, 1, (full(1.0),), ()) for node in (0, 1)]
    frame = trace_of(rows, graph=replace(graph, node_table=table)).to_dataframe()
    assert frame.function.tolist() == [None, "torch.mul"]
    assert frame.file.tolist() == [None, "net.py"]
    assert str(frame.line.dtype) == "Int64"
    assert frame.line.isna().tolist() == [True, False]
    assert frame.line[1] == 7
