"""Every view of a graph."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import inspect_autograd as ia
from tests.unit.recorded_models import capture_recorded

SUMMARY = """\
3 nodes, 3 edges, 1 root, depth 2
nodes   MulBackward0 ×1, DotBackward0 ×1, AccumulateGrad ×1
leaves  1, of which 1 named
"""


@pytest.fixture
def saved(quadratic: Path, tmp_path: Path) -> Path:
    from inspect_autograd.cli.target import load_target

    return load_target(f"{quadratic}:y").save(tmp_path / "quadratic.json")


def test_summary(cli: Any, quadratic: Path) -> None:
    ran = cli("show", f"{quadratic}:y", "--summary")
    assert ran.code == 0
    assert ran.out.startswith(SUMMARY)
    assert ran.err == ""


def test_the_overview_is_the_text_of_the_graph(cli: Any, saved: Path) -> None:
    assert cli("show", saved).out == f"{ia.load(saved)}\n"


def test_tree(cli: Any, saved: Path) -> None:
    ran = cli("show", saved, "--tree")
    assert ran.out == f"{ia.load(saved, ia.Graph).tree()}\n"
    assert len(cli("show", saved, "--tree", "--max-lines", 2).out.splitlines()) == 2


def test_find(cli: Any, saved: Path) -> None:
    assert (
        cli("show", saved, "--find", "[MDA]*").out
        == """\
node  name          receives  kind of node
#0    MulBackward0  f32[]
#1    DotBackward0  f32[]
#2    x             f32[4]    AccumulateGrad
3 of 3 nodes match '[MDA]*'
"""
    )
    assert (
        cli("show", saved, "--find", "x").out
        == """\
node  name  receives  kind of node
#2    x     f32[4]    AccumulateGrad
1 of 3 nodes matches 'x'
"""
    )


def test_find_nothing_says_what_there_is(cli: Any, saved: Path) -> None:
    ran = cli("show", saved, "--find", "Mul")
    assert ran.code == 0
    assert ran.out == (
        "0 of 3 nodes match 'Mul'\n"
        "There are MulBackward0, DotBackward0, AccumulateGrad. "
        'A glob with stars matches parts of a name: "*Mul*".\n'
    )


def test_a_long_table_is_cut_and_says_so(cli: Any, saved: Path) -> None:
    ran = cli("show", saved, "--find", "*", "--max-lines", 2)
    assert ran.out.splitlines()[-1] == "3 of 3 nodes match '*'; 1 more than --max-lines 2 shows"
    as_json = cli("show", saved, "--find", "*", "--max-lines", 2, "--json").json
    assert as_json["found"] == 3
    assert [node["id"] for node in as_json["nodes"]] == [0, 1]


@pytest.mark.parametrize("id", ["1", "#1"])
def test_node(cli: Any, saved: Path, id: str) -> None:
    ran = cli("show", saved, "--node", id)
    assert ran.out.startswith("#1 DotBackward0\n")
    assert "  self    f32[4]  16 B  memory of x\n" in ran.out
    assert cli("show", saved, "--node", id, "--json").json["node"]["name"] == "DotBackward0"


def test_a_node_that_is_not_there(cli: Any, saved: Path) -> None:
    ran = cli("show", saved, "--node", 3)
    assert ran.code == 2
    assert "error: there is no node 3: this graph has the nodes 0 to 2\n" in ran.err


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh())
    graph = capture_recorded(model, lambda: model(torch.ones(1, 2)).sum())
    return graph.save(tmp_path / "recorded.json")


def test_find_by_module(cli: Any, recorded: Path) -> None:
    lines = cli("show", recorded, "--find", "1").out.splitlines()
    assert lines[0].split() == ["node", "name", "receives", "module", "line"]
    assert lines[1].split()[:-1] == ["#1", "TanhBackward0", "f32[1,", "2]", "1"]
    assert re.fullmatch(r"test_show_graph\.py:\d+", lines[1].split()[-1])
    assert lines[2] == "1 of 6 nodes matches '1'"


def test_find_nothing_says_which_modules_there_are(cli: Any, recorded: Path) -> None:
    assert " Modules are 1, 0. A glob" in cli("show", recorded, "--find", "2").out


def test_modules(cli: Any, recorded: Path, saved: Path) -> None:
    out = cli("show", recorded, "--modules").out
    assert out == f"{ia.load(recorded, ia.Graph).tree(by='scope')}\n"
    assert "\n  1                          1 " in out
    assert len(cli("show", recorded, "--modules", "--max-lines", 2).out.splitlines()) == 2
    data = cli("show", recorded, "--modules", "--json").json
    assert data["scopes"] == "recorded"
    assert [(row["path"], row["nodes"], row["leaves"]) for row in data["modules"]] == [
        ("", 5, 2),
        ("0", 4, 2),
        ("1", 1, 0),
        (None, 1, 0),
    ]
    # A parameter without a dot in its name is of the outermost module.
    assert cli("show", saved, "--modules", "--json").json["scopes"] == "inferred"


def test_modules_are_not_of_a_trace(cli: Any, trace_file: Path) -> None:
    ran = cli("show", trace_file, "--modules")
    assert ran.code == 2
    assert "--flow module" in ran.err


@pytest.mark.parametrize("view", [[], ["--summary"], ["--tree"], ["--find", "*"], ["--node", "0"]])
def test_json_of_every_view(cli: Any, saved: Path, view: list[str]) -> None:
    ran = cli("show", saved, *view, "--json")
    assert ran.code == 0
    assert ran.json["target"] == str(saved)
    if view in ([], ["--summary"]):
        assert ran.json["summary"]["names"] == [
            ["MulBackward0", 1],
            ["DotBackward0", 1],
            ["AccumulateGrad", 1],
        ]
        assert ran.json["roots"][0]["node"] == 0


def test_names_cannot_act_on_the_terminal(cli: Any, tmp_path: Path) -> None:
    x = torch.ones(1, requires_grad=True)
    path = ia.capture(x * 2, params={"\x1b[31mx": x}).save(tmp_path / "escape.json")
    for options in ([], ["--tree"], ["--find", "*"], ["--node", "1"]):
        out = cli("show", path, *options).out
        assert ("\x1b" in out, "␛[31mx" in out) == (False, True)
