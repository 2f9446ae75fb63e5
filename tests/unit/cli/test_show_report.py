"""`inspect-autograd show` of a saved report, and the verbs that have no use for one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from inspect_autograd.diagnosis.records import Diagnosis, Evidence, Failure, Hint
from inspect_autograd.diagnosis.report import Report
from inspect_autograd.graph.creation import SourceLine

REPORT = Report(
    (
        Diagnosis(
            "first", "This happened.", "Why.", (Evidence("a fact"),), (Hint("Do.", "x = 1"),)
        ),
        Diagnosis("second", "That too.", "Because.", certainty="likely"),
    ),
    Failure("RuntimeError", "no", SourceLine("gone.py", 3, "f")),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return REPORT.save(tmp_path / "report.json")


def test_it_is_printed_in_full(cli: Any, file: Path) -> None:
    ran = cli("show", file)
    assert ran.code == 0
    assert ran.out == f"{REPORT.to_text(full=True)}\n"
    assert "Because." in ran.out


def test_as_data(cli: Any, file: Path) -> None:
    data = json.loads(cli("show", file, "--json").out)
    assert data["target"] == str(file)
    assert data["report"] == REPORT.to_json()


@pytest.mark.parametrize("view", [["--tree"], ["--flow"], ["--trace", "0"], ["--node", "0"]])
def test_it_has_no_parts(cli: Any, file: Path, view: list[str]) -> None:
    ran = cli("show", file, *view)
    assert ran.code == 2
    assert f"{view[0]} is for a graph, a trace or a recording, but {file} is a report" in ran.err


def test_it_has_no_picture(cli: Any, file: Path, tmp_path: Path) -> None:
    ran = cli("render", file, "-o", tmp_path / "r.png")
    assert ran.code != 0
    assert "is a saved report, which has no picture" in ran.err
    assert f"inspect-autograd show {file}" in ran.err


def test_it_cannot_be_compared(cli: Any, file: Path) -> None:
    ran = cli("compare", file, file)
    assert ran.code != 0
    assert "is a saved report; expected a saved trace" in ran.err
