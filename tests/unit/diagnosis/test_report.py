"""A report as data: JSON, files, and a short repr."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.diagnosis.records import Diagnosis, Evidence, Failure, Hint
from inspect_autograd.diagnosis.report import Report
from inspect_autograd.diagnosis.scene import Scene
from inspect_autograd.errors import ArgumentError, ArgumentTypeError
from inspect_autograd.graph.creation import SourceLine

LINE = SourceLine("train.py", 3, "f")
DIAGNOSIS = Diagnosis(
    "some-slug", "Summary.", "Why.", (Evidence("a fact", LINE, 0),), (Hint("Do.", "x = 1"),)
)


def explained() -> Report:
    graph = ia.capture(torch.ones(3, requires_grad=True) * 2)
    failure = Failure("RuntimeError", "no", LINE)
    return Report(
        (DIAGNOSIS,), failure, (Evidence("other", node=99),), graph, Scene(torch_version="2.13.0")
    )


def test_json() -> None:
    source = {"file": "train.py", "line": 3, "function": "f"}
    value = explained().to_json()
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert value == {
        "format": "inspect_autograd.report",
        "schema_version": 1,
        "torch_version": "2.13.0",
        "failure": {"type": "RuntimeError", "message": "no", "source": source},
        "diagnoses": [
            {
                "slug": "some-slug",
                "summary": "Summary.",
                "explanation": "Why.",
                "certainty": "certain",
                "source": None,
                "evidence": [
                    {"text": "a fact", "source": source, "node": 0, "node_name": "MulBackward0"}
                ],
                "hints": [{"text": "Do.", "code": "x = 1"}],
            }
        ],
        "facts": [{"text": "other", "source": None, "node": 99, "node_name": None}],
    }


def test_json_of_a_report_with_nothing_in_it() -> None:
    value = Report(()).to_json()
    assert (value["failure"], value["torch_version"]) == (None, None)
    assert (value["diagnoses"], value["facts"]) == ([], [])


def test_files(tmp_path: Path) -> None:
    report = explained()
    for suffix in (".txt", ".html", ".json"):
        path = tmp_path / f"report{suffix}"
        assert report.save(path) == path
    assert (tmp_path / "report.txt").read_text("utf-8") == f"{report.to_text(full=True)}\n"
    assert json.loads((tmp_path / "report.json").read_text("utf-8")) == report.to_json()
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>\n")
    assert report.to_html() in page
    assert 'name="color-scheme" content="light dark"' in page


@pytest.mark.parametrize("name", ["report", "report.pdf"])
def test_other_suffixes_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"ends in \.txt, \.html or \.json"):
        Report(()).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_path_is_a_path() -> None:
    with pytest.raises(ArgumentTypeError, match="path is 3"):
        Report(()).save(3)  # type: ignore[arg-type]


def test_the_repr_is_short() -> None:
    assert repr(explained()) == "<Report of RuntimeError: some-slug>"
    assert repr(Report(())) == "<Report of no failure: no diagnosis>"
    many = Report(tuple(Diagnosis(f"s{i}", "", "") for i in range(9)))
    assert repr(many) == "<Report of no failure: s0, s1, s2, s3, s4, … 9 in all>"


def test_ipython_shows_the_text() -> None:
    class Printer:
        shown = ""

        def text(self, text: str) -> None:
            self.shown = text

    printer: Any = Printer()
    explained()._repr_pretty_(printer, False)
    assert printer.shown == str(explained())
    explained()._repr_pretty_(printer, True)
    assert printer.shown == repr(explained())
