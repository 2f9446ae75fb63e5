"""Saved reports come back; what is not as it was written is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.diagnosis.load import load
from inspect_autograd.diagnosis.records import Evidence
from inspect_autograd.diagnosis.report import Report
from inspect_autograd.errors import ArgumentTypeError, FileFormatError


def explained() -> Report:
    x = torch.ones(3, requires_grad=True)
    try:
        (x * 2).backward()
    except RuntimeError as error:
        return ia.explain(error)
    raise AssertionError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return explained().save(tmp_path / "report.json")


def test_a_report_comes_back_with_all_that_it_says(file: Path) -> None:
    report, loaded = explained(), load(file, Report)
    assert [found.slug for found in loaded.diagnoses] == ["non-scalar-output"]
    assert loaded.diagnoses == report.diagnoses
    assert loaded.failure == report.failure
    assert loaded.to_text(full=True) == report.to_text(full=True)
    assert loaded.to_json()["torch_version"] == torch.__version__


def test_the_graph_does_not_come_back(file: Path) -> None:
    loaded = load(file, Report)
    assert loaded.graph is None
    assert explained().graph is not None


def test_a_report_without_failure(tmp_path: Path) -> None:
    model = torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(3)))
    model[1].bias.requires_grad_(False)
    report = ia.diagnose(model(torch.ones(1, 2)).sum(), model)
    assert [found.slug for found in report.diagnoses] == ["parameter-frozen"]
    loaded = load(report.save(tmp_path / "r.json"), Report)
    assert (loaded.failure, loaded.scene) == (None, None)
    assert loaded.diagnoses == report.diagnoses


def test_facts_come_back(tmp_path: Path) -> None:
    facts = (Evidence("a fact", ia.SourceLine("a.py", 3, "f"), 7), Evidence("another"))
    assert load(Report((), facts=facts).save(tmp_path / "r.json"), Report).facts == facts


def test_the_kind_is_held(file: Path, tmp_path: Path) -> None:
    graph = ia.capture(torch.ones(1, requires_grad=True) * 2).save(tmp_path / "g.json")
    assert isinstance(ia.load(file), ia.Report)
    with pytest.raises(FileFormatError, match="holds a Report; expected a Trace"):
        ia.load(file, ia.Trace)
    with pytest.raises(FileFormatError, match="holds a Graph; expected a Report"):
        ia.load(graph, ia.Report)
    with pytest.raises(ArgumentTypeError, match="expected Graph, Trace, Recording or Report"):
        ia.load(file, dict)  # type: ignore[arg-type]


def put(*keys: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(report: dict[str, Any]) -> None:
        inner: Any = report
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("schema_version", value=2), "has schema_version 2; this version .* reads 1"),
        (put("schema_version", value=None), "has schema_version None"),
        (lambda report: report.pop("facts"), r"a report file, but damaged \(KeyError: 'facts'\)"),
        (put("diagnoses", 0, "certainty", value="sure"), "certainty is 'sure'"),
        (put("diagnoses", 0, "summary", value=None), "expected a text, not None"),
        (put("failure", "source", "line", value="3"), "expected a whole number, not '3'"),
        (put("diagnoses", value={"slug": "x"}), "damaged"),
    ],
)
def test_what_is_damaged_or_newer_is_refused(
    file: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    value = json.loads(file.read_text("utf-8"))
    change(value)
    file.write_text(json.dumps(value), "utf-8")
    with pytest.raises(FileFormatError, match=message):
        load(file)


def test_loading_needs_no_torch(file: Path) -> None:
    program = (
        "import sys, inspect_autograd as ia; r = ia.load(sys.argv[1]); print(r.diagnoses[0].slug); "
        "assert str(r); assert 'torch' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=True
    )
    assert result.stdout == "non-scalar-output\n"
