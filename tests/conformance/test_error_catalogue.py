"""Every way of autograd to fail that PyTorch has, and what `explain` says of it.

`autograd_errors.json` holds small programs, what torch raises, and the slug that explains it; null
where there is nothing to explain. Each program runs in a process of its own. One case:

    pytest tests/conformance/test_error_catalogue.py -k "explained and twice_rnn"
    python -m tests.conformance.error_runner twice_rnn     # prints the whole report
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from inspect_autograd.diagnosis.program_rules import PROGRAM_RULES

from .error_programs import PROGRAMS, guilty_line
from .error_runner import CATALOGUE, Runner, Way
from .silent_programs import SILENT_PROGRAMS

DATA = json.loads(CATALOGUE.read_text(encoding="utf-8"))
CASES: dict[str, dict[str, Any]] = {case["key"]: case for case in DATA["cases"]}
MAX_SECONDS = 5

FROM_WARNING = {"nonleaf_to_device", "checkpoint_warn", "scalar_conv", "create_graph_leak"}
"""Nothing is raised; the warning is what is explained."""
SILENT = {"nan_where", "norm_zero"}
"""PyTorch says nothing at all, so `diagnose` is asked about the leaves of the program."""
WITHOUT_LINE = {
    "unused": "what is missing is a line that uses the input; the call may be right all the same",
    **dict.fromkeys(SILENT, "it is found in the gradients alone, which no line is known of"),
}
"""Cases that are explained but have no guilty line, and why."""


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    runner = Runner()
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def run(runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What became of a case; both tests of a case look at the same run."""

    @cache
    def run(key: str, way: Way) -> dict[str, Any]:
        path = tmp_path_factory.mktemp("program") / f"{key}.py"
        return runner.run(path, CASES[key]["source"], way=way)

    return run


def each(keys: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("key", sorted(keys))


def test_every_case_has_a_way_in() -> None:
    without_error = {key for key, case in CASES.items() if case["exception"] is None}
    with_slug = {key for key in without_error if CASES[key]["slug"] is not None}
    assert with_slug == FROM_WARNING | SILENT


def test_every_case_has_a_guilty_line_or_a_reason() -> None:
    with_slug = {key for key, case in CASES.items() if case["slug"] is not None}
    assert set(PROGRAMS) | set(WITHOUT_LINE) == with_slug
    assert not set(PROGRAMS) & set(WITHOUT_LINE)


def way_in(key: str) -> Way:
    return "diagnose" if key in SILENT else "explain"


@each(CASES)
def test_a_failure_is_explained(key: str, run: Any) -> None:
    case, result = CASES[key], run(key, way_in(key))
    assert result["exception"] == case["exception"]
    if torch.__version__.split("+")[0] == DATA["torch"].split("+")[0]:
        assert result["message"] == case["message"]
    assert result["raised"] is None
    reports = [report for report in result["reports"] if report["slugs"]]
    assert [report["slugs"][0] for report in reports] == ([case["slug"]] if case["slug"] else [])
    assert result["seconds"] < MAX_SECONDS
    assert result["changed"] == []


@each(key for key, case in CASES.items() if case["exception"] is None)
def test_diagnose_finds_only_what_is_wrong_with_the_leaves(key: str, run: Any) -> None:
    result = run(key, "diagnose")
    assert (result["raised"], result["changed"]) == (None, [])
    expected = [CASES[key]["slug"]] if key in {*SILENT, "create_graph_leak"} else []
    assert [report["slugs"] for report in result["reports"]] == [expected]


@pytest.mark.parametrize("slug", SILENT_PROGRAMS)
def test_diagnose_finds_a_silent_mistake(slug: str, runner: Runner, tmp_path: Path) -> None:
    mistake, mended = SILENT_PROGRAMS[slug]
    result = runner.run(tmp_path / "program.py", mistake, way="diagnose")
    assert (result["exception"], result["raised"], result["changed"]) == (None, None, [])
    assert [report["slugs"] for report in result["reports"]] == [[slug]]
    result = runner.run(tmp_path / "mended.py", mended, way="diagnose")
    assert (result["exception"], result["raised"]) == (None, None)
    assert [report["slugs"] for report in result["reports"]] == [[]]


def test_every_rule_about_programs_has_a_silent_mistake() -> None:
    assert {*SILENT_PROGRAMS} == {rule.slug for rule in PROGRAM_RULES}


@each(key for key, case in CASES.items() if case["slug"] is not None)
@pytest.mark.parametrize("is_readable", [True, False])
def test_the_code_of_hints_is_python(
    key: str, is_readable: bool, runner: Runner, tmp_path: Path
) -> None:
    """Where the text of the program is unknown, too, and with it most of the names."""
    source = CASES[key]["source"]
    result = runner.run(tmp_path / "program.py", source, way=way_in(key), is_readable=is_readable)
    codes = [code for report in result["reports"] for code in report["codes"]]
    assert result["reports"]
    for code in codes:
        ast.parse(code)


@each(CASES)
def test_an_explanation_changes_nothing_that_follows(key: str, run: Any) -> None:
    with_us, without_us = run(key, way_in(key)), run(key, "nothing")
    for what in ("exception", "message", "warnings", "after", "kept"):
        assert with_us[what] == without_us[what], what


@each(PROGRAMS)
def test_the_guilty_line_is_named(key: str, runner: Runner, tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    result = runner.run(path, PROGRAMS[key], record=True)
    reports = [report for report in result["reports"] if report["slugs"]]
    assert [report["slugs"][0] for report in reports] == [CASES[key]["slug"]]
    assert reports[0]["line"] == [str(path), guilty_line(PROGRAMS[key])], reports[0]["text"]
