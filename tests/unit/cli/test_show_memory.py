"""`inspect-autograd show --memory`."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import inspect_autograd as ia
from inspect_autograd.graph.creation import Creation, SourceLine
from inspect_autograd.graph.records import Storage
from tests.unit.graph.memory_graphs import graph_of, saved


@pytest.fixture
def target(model: Path) -> str:
    return f"{model}:make_both"


@pytest.mark.parametrize("by", ["op", "node", "scope"])
def test_the_table_of_the_graph(cli: Any, target: str, tmp_path: Path, by: str) -> None:
    cli("render", target, "-o", tmp_path / "graph.json")
    memory = ia.load(tmp_path / "graph.json", ia.Graph).saved_memory(by)
    for name in (target, tmp_path / "graph.json"):
        ran = cli("show", name, "--memory", by)
        assert (ran.code, ran.err, ran.out) == (0, "", f"{memory}\n")


def test_operations_by_default(cli: Any, target: str) -> None:
    out = cli("show", target, "--memory").out
    assert out == cli("show", target, "--memory", "op").out
    assert out.startswith("Saved for backward by operation: ")


def test_by_line_of_a_graph_that_knows_lines(cli: Any, tmp_path: Path) -> None:
    creations = {0: Creation("f", SourceLine("/a/train.py", 7, "step"))}
    graph = graph_of([[saved(0, 8)]], [Storage(8)], columns={"creations": creations})
    path = graph.save(tmp_path / "graph.json")
    assert "\ntrain.py:7 in step " in cli("show", path, "--memory", "line").out
    table = replace(graph.node_table, creations={})
    path = replace(graph, node_table=table).save(tmp_path / "graph.json")
    ran = cli("show", path, "--memory", "line")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "error: --memory line needs a graph whose nodes know the line that made them; those of "
        f"{path} do not\n"
        "  What to do: Record the forward pass in Python, `with inspect_autograd.record(model) as "
        'recording:` around it, then recording.graph.save("graph.json"), and name that file.\n'
    )


def test_a_long_table_is_cut_and_says_how_to_see_it(cli: Any, tmp_path: Path) -> None:
    kept = [[saved(i, 100)] for i in range(30)]
    graph = graph_of(kept, [Storage(200)] * 30)
    path = graph.save(tmp_path / "graph.json")
    lines = cli("show", path, "--memory", "--max-lines", 20).out.splitlines()
    assert len(lines) == 20
    assert [line for line in lines if line.endswith("; --max-lines 41 shows all")]
    assert [line for line in lines if line == "  … and 27 more; --json has all"]
    assert len(cli("show", path, "--memory").out.splitlines()) == 41


def test_json(cli: Any, target: str) -> None:
    data = cli("show", target, "--memory", "scope", "--json").json["memory"]
    assert (data["by"], data["scopes"]) == ("scope", "inferred")
    rows = data["rows"]
    assert data["activation_bytes"] == data["shared_bytes"] + sum(r["alone_bytes"] for r in rows)
    assert data["total_bytes"] == data["activation_bytes"] + data["parameter_bytes"]
    assert all(r["shared_bytes"] == r["activation_bytes"] - r["alone_bytes"] for r in rows)
    # The input f32[4, 3] of the layer.
    (layer,) = (row for row in rows if row["scope"] == "0")
    assert layer["activation_bytes"] == 48
    assert layer["largest"][0]["tensor"]["meta"]["shape"] == [4, 3]


def test_a_word_that_is_none_of_these(cli: Any, graph_file: Path) -> None:
    ran = cli("show", graph_file, "--memory", "module")
    assert ran.code == 2
    assert "'module' is none of op, node, scope, line; write TARGET before --memory" in ran.err
    assert cli("show", graph_file, "--memory", "--tree").code == 2


def test_a_trace_is_refused(cli: Any, trace_file: Path) -> None:
    ran = cli("show", trace_file, "--memory")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: --memory is for a graph, but {trace_file} is a trace\n")
    assert "inspect_autograd.capture(loss, params=model)" in ran.err


def test_a_file_is_shown_without_torch(graph_file: Path) -> None:
    code = (
        "import sys; from inspect_autograd.cli.main import main\n"
        f"code = main(['show', {str(graph_file)!r}, '--memory', 'scope'])\n"
        "heavy = {'torch', 'numpy', 'pandas', 'matplotlib'}\n"
        "print(code, *sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["0"]
