"""`inspect-autograd show`, and what it costs for a saved file."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("view", [[], ["--tree"], ["--find", "*"], ["--node", "0"], ["--json"]])
def test_a_saved_graph_is_shown_without_torch(graph_file: Path, view: list[str]) -> None:
    assert run_and_list_heavy_modules(graph_file, view) == ["0"]


@pytest.mark.parametrize(
    "view", [[], ["--find", "*"], ["--node", "0"], ["--flow"], ["--slowest"], ["--json"]]
)
def test_a_saved_trace_is_shown_without_torch(
    trace_file: Path, nan_file: Path, log_file: Path, view: list[str]
) -> None:
    for path in (trace_file, nan_file, log_file):
        assert run_and_list_heavy_modules(path, view) == ["0"]


def run_and_list_heavy_modules(path: Path, view: list[str]) -> list[str]:
    code = (
        "import sys; from inspect_autograd.cli.main import main\n"
        f"code = main(['show', {str(path)!r}, *{view!r}])\n"
        "heavy = {'torch', 'numpy', 'pandas', 'pygraphviz', 'graphviz', 'networkx'}\n"
        "print(code, *sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stderr.split()


# -- options that fit one kind of target only ------------------------------------------------------


@pytest.mark.parametrize("option", ["--tree", "--summary"])
def test_an_option_for_graphs_and_a_trace(cli: Any, trace_file: Path, option: str) -> None:
    ran = cli("show", trace_file, option)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"error: {option} is for a graph, but {trace_file} is a trace\n"
        "  What to do: Leave it out: what a trace shows is the table of what ran.\n"
    )
    assert cli("show", trace_file, option, "--json").error["type"] == "UsageError"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--flow"], "--flow"),
        (["--flow", "module", "--pass", "0"], "--flow"),
        (["--slowest"], "--slowest"),
        (["--slowest", "3"], "--slowest"),
    ],
)
def test_an_option_for_traces_and_a_graph(
    cli: Any, graph_file: Path, options: list[str], named: str
) -> None:
    ran = cli("show", graph_file, *options)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {named} is for a trace, but {graph_file} is a graph\n")
    assert "inspect_autograd.trace(loss)" in ran.err


@pytest.mark.parametrize("options", [["--flow"], ["--slowest"]])
def test_code_makes_a_graph_and_is_not_run_to_find_out(
    cli: Any, write: Any, options: list[str]
) -> None:
    path = write("slow.py", "raise RuntimeError('ran')\n")
    ran = cli("show", f"{path}:loss", *options)
    assert ran.code == 2
    assert f"{options[0]} is for a trace, but {path}:loss makes a graph\n" in ran.err


def test_max_nodes_of_a_trace(cli: Any, trace_file: Path) -> None:
    ran = cli("show", trace_file, "--max-nodes", 2)
    assert ran.code == 2
    assert "--max-nodes bounds what is captured" in ran.err


# -- files that are neither ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"schema_version": 10000}', "\x00\x01", "\ufeff{}"]
)
def test_a_file_that_is_no_graph(cli: Any, tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text, encoding="utf-8")
    ran = cli("show", path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert "internal error" not in ran.err


def test_a_file_that_is_not_text(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "picture.json"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    ran = cli("show", path, "--json")
    assert ran.code == 2
    assert ran.error["type"] == "FileFormatError"
    assert json.dumps(ran.error)
