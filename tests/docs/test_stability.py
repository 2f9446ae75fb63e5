"""docs/stability.md says what the code and the packaging say."""

import re
import tomllib
from pathlib import Path

import pytest

from inspect_autograd.cli import run_files
from inspect_autograd.diagnosis import report_json
from inspect_autograd.events import file as trace_file
from inspect_autograd.events import log_lines, recording_file
from inspect_autograd.graph import file as graph_file

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "stability.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("graph, `.json`", graph_file.SCHEMA_VERSION),
        ("trace, `.json`", trace_file.SCHEMA_VERSION),
        ("log of a trace, `.jsonl`", log_lines.LOG_SCHEMA_VERSION),
        ("recording, `.json`", recording_file.SCHEMA_VERSION),
        (f"folder of a run, `{run_files.INDEX}`", run_files.SCHEMA_VERSION),
        ("report, `.json`", report_json.SCHEMA_VERSION),
    ],
)
def test_versions_of_files(kind: str, version: int) -> None:
    rows = re.findall(rf"^\| {re.escape(kind)} \| .*? \| (\d+) \|$", TEXT, re.MULTILINE)
    assert rows == [str(version)]


def test_accepted_versions() -> None:
    python = PROJECT["requires-python"].removeprefix(">=")
    torch = next(name for name in PROJECT["dependencies"] if name.startswith("torch"))
    lowest, below = re.fullmatch(r"torch>=([\d.]+),<(\d+)", torch).groups()  # type: ignore[union-attr]
    assert f"| Python | {python} and newer |" in TEXT
    assert f"| PyTorch | {lowest} and newer, below {below} |" in TEXT


def test_tested_version_of_torch_is_the_pinned_one() -> None:
    pins = (ROOT / "scripts" / "constraints.txt").read_text(encoding="utf-8")
    pinned = re.search(r"^torch==(.+)$", pins, re.MULTILINE)
    assert pinned is not None
    assert f"below 3 | {pinned[1]} on the CPU |" in TEXT
