"""`inspect-autograd show` and `render` of a saved recording."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import inspect_autograd as ia
from inspect_autograd.cli.target import load_trace
from inspect_autograd.errors import TargetError
from tests.unit.events.recording_parts import recording


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A recording put together by hand, of three traces."""
    return recording().save(tmp_path / "recording.json")


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """A recording of two steps of a small model."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    optimizer = torch.optim.SGD(model.parameters())
    with ia.record(model, stats="basic") as recorded:
        for _ in range(2):
            model(torch.ones(4, 2)).sum().backward()
            optimizer.step()
    return recorded.save(tmp_path / "real.json")


@pytest.mark.parametrize(
    "view",
    [[], ["--cuts"], ["--writes"], ["--timeline"], ["--modules"], ["--trace", "1"], ["--json"]],
)
def test_it_is_shown_without_torch(file: Path, view: list[str]) -> None:
    code = (
        "import sys; from inspect_autograd.cli.main import main\n"
        f"code = main(['show', {str(file)!r}, *{view!r}])\n"
        "heavy = {'torch', 'numpy', 'pandas', 'pygraphviz', 'graphviz', 'networkx'}\n"
        "print(code, *sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["0"]
    assert done.stdout


def test_the_summary_names_options_instead_of_methods(cli: Any, file: Path) -> None:
    ran = cli("show", file)
    assert ran.code == 0
    assert ran.out.startswith("Recording of 2 steps")
    assert "--trace 1 tells more" in ran.out
    assert ran.out.splitlines()[-1] == "more: --modules, --timeline, --memory line, --trace 0"
    assert "recording." not in ran.out


def test_one_part(cli: Any, file: Path) -> None:
    made = recording()
    assert cli("show", file, "--cuts").out.splitlines() == [str(cut) for cut in made.cuts]
    assert cli("show", file, "--cuts", "--max-lines", "1").out == (
        "… and 2 more; --max-lines 2 shows all\n"
    )
    assert "train.py:41" in cli("show", file, "--writes").out
    assert cli("show", file, "--timeline").out == f"{made.timeline().table(max_lines=200)}\n"
    assert cli("show", file, "--modules").out == f"{made.table()}\n"
    assert "--max-lines 12 shows all" in cli("show", file, "--timeline", "--max-lines", "9").out


def test_memory_by_line(cli: Any, real: Path) -> None:
    ran = cli("show", real, "--memory", "line")
    assert ran.out.startswith("Saved for backward by line: ")
    assert "test_show_recording.py" in ran.out
    assert cli("show", real, "--memory", "line", "--trace", "0").code == 0


def test_one_trace_is_shown_as_any_trace(cli: Any, file: Path, real: Path) -> None:
    made = recording()
    assert cli("show", file, "--trace", "0").out == f"{made.traces[0].table(max_lines=200)}\n"
    assert "NaN was born" in cli("show", file, "--trace", "1").out
    assert "Gradient flow" in cli("show", real, "--trace", "1", "--flow", "module").out


def test_json(cli: Any, file: Path) -> None:
    data = cli("show", file, "--json").json
    assert [trace["nodes"] for trace in data["traces"]] == [4, 4, 4]
    assert data["traces"][1]["first_nonfinite"]["kind"] == "born"
    assert data["cuts"][0]["lost"] == ["a.bias", "a.weight"]
    assert (data["writes"], data["dropped_steps"]) == (2, 1)
    assert {row["path"] for row in data["modules"]} == {None, "", "block"}
    assert len(cli("show", file, "--writes", "--json").json["writes"]) == 2
    assert len(cli("show", file, "--timeline", "--json").json["timeline"]) == 11


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tree"], "--tree is for a graph or a trace, but {} is a recording"),
        (["--flow"], "--flow is for a graph or a trace, but {} is a recording"),
        (["--find", "*"], "--find is for a graph or a trace, but {} is a recording"),
        (["--node", "0"], "--node is for a graph or a trace, but {} is a recording"),
        (["--trace", "3"], "--trace is 3, but {} has the traces 0 to 2"),
        (["--trace", "0", "--cuts"], "--cuts is for a whole recording, but {} is a trace"),
    ],
)
def test_what_does_not_fit(cli: Any, file: Path, options: list[str], message: str) -> None:
    ran = cli("show", file, *options)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[0] == f"error: {message.format(file)}"
    assert ran.err.splitlines()[1].startswith("  What to do: ")


@pytest.mark.parametrize("option", ["--cuts", "--writes", "--timeline"])
def test_what_needs_a_recording(cli: Any, trace_file: Path, graph_file: Path, option: str) -> None:
    for path, kind in ((trace_file, "trace"), (graph_file, "graph")):
        ran = cli("show", path, option)
        assert ran.code == 2
        assert ran.err.startswith(f"error: {option} is for a recording, but {path} is a {kind}\n")
        assert "inspect_autograd.record(model)" in ran.err
        assert cli("render", path, "-o", path.with_suffix(".svg"), "--trace", "0").code == 2


def test_a_trace_that_is_no_number(cli: Any, file: Path) -> None:
    assert "'x' is not the number of a trace" in cli("show", file, "--trace", "x").err


def test_nothing_recorded(cli: Any, tmp_path: Path) -> None:
    with ia.record() as recorded:
        pass
    path = recorded.save(tmp_path / "empty.json")
    assert cli("show", path, "--cuts").out == "nothing was cut off its graph\n"
    assert cli("show", path, "--writes").out == "nothing was written in place\n"
    assert cli("show", path).code == 0
    for ran in (cli("show", path, "--trace", "0"), cli("render", path, "-o", tmp_path / "x.svg")):
        assert ran.err.startswith(f"error: {path} holds no backward pass")


# -- render --------------------------------------------------------------------------------------


def test_render_draws_the_last_trace(cli: Any, real: Path, tmp_path: Path) -> None:
    for name, options in (("last", []), ("second", ["--trace", "1"]), ("first", ["--trace", "0"])):
        assert cli("render", real, "-o", tmp_path / f"{name}.dot", *options).code == 0
    last, second, first = ((tmp_path / f"{n}.dot").read_text() for n in ("last", "second", "first"))
    assert last == second != first


def test_render_writes_the_recording_or_one_trace(cli: Any, real: Path, tmp_path: Path) -> None:
    saved = ia.load(real, ia.Recording)
    assert "Recording of" in cli("render", real, "-o", tmp_path / "again.json").out
    assert ia.load(tmp_path / "again.json") == saved
    assert cli("render", real, "-o", tmp_path / "trace.json", "--trace", "0").code == 0
    assert ia.load(tmp_path / "trace.json") == saved.traces[0]
    assert "ui.perfetto.dev" in cli("render", real, "-o", tmp_path / "r.chrome.json").out
    names = {e["name"] for e in json.loads((tmp_path / "r.chrome.json").read_text())["traceEvents"]}
    assert {"step 0", "the model", "backward()"} <= names


def test_render_draws_the_graph_where_nothing_was_hooked(cli: Any, tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    with ia.record(model, stats="off") as recorded:
        model(torch.ones(1, 2)).sum().backward()
    path = recorded.save(tmp_path / "off.json")
    assert cli("render", path, "-o", tmp_path / "off.dot", "--saved").code == 0
    assert "did not run" not in (tmp_path / "off.dot").read_text(encoding="utf-8")


def test_where_only_a_trace_will_do(file: Path) -> None:
    with pytest.raises(TargetError, match="is a saved recording; expected a saved trace") as caught:
        load_trace(str(file))
    assert f"inspect-autograd render {file} --trace 0 -o trace.json" in caught.value.remedy
