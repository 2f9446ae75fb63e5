"""The tree of modules as text."""

from dataclasses import replace

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentError, ArgumentTypeError
from inspect_autograd.graph.creation import Creation
from tests.unit.render.graphs import layers, make_graph, product

TOTALS = "All numbers include submodules; each storage is counted once a line."


def test_one_line_for_each_module() -> None:
    assert layers(2).tree(by="scope") == (
        f"Modules as recorded in the forward pass. {TOTALS}\n"
        "module                   nodes  leaves  own nodes\n"
        "(outermost)                  9       4  SumBackward0\n"
        "  layers                     8       4\n"
        "    0                        4       2  AddmmBackward0, ReluBackward0\n"
        "    1                        4       2  AddmmBackward0, ReluBackward0\n"
        "(outside of any module)      1       1"
    )


def test_calls_are_shown_where_there_are_several() -> None:
    graph = make_graph(
        ["AddBackward0", "MulBackward0", "ExpBackward0"],
        [(0, 1), (0, 2)],
        columns={
            "scopes": {0: "", 1: "a", 2: "a"},
            "creations": {0: Creation(call=0), 1: Creation(call=1), 2: Creation(call=0)},
        },
        scopes="recorded",
    )
    lines = graph.tree(by="scope").splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["module", "nodes", "calls", "own", "nodes"],
        ["(outermost)", "3", "AddBackward0"],
        ["a", "2", "×2", "ExpBackward0,", "MulBackward0"],
    ]


def test_inferred_modules_are_called_so() -> None:
    graph = layers(2)
    bare = replace(graph, scopes=None, node_table=replace(graph.node_table, scopes={}))
    lines = bare.tree(by="scope").splitlines()
    assert lines[0] == f"Modules inferred from the names of the parameters. {TOTALS}"
    assert [line.split()[0] for line in lines[2:]] == ["(outermost)", "layers", "0", "1"]
    assert bare.scopes is None


def test_without_names_nothing_is_known() -> None:
    graph = make_graph(["SumBackward0", "AccumulateGrad"], [(0, 1)], leaves={1: ""})
    lines = graph.tree(by="scope").splitlines()
    assert lines[0].startswith("No modules are known: none were recorded, and no parameter has a")
    assert lines[2].split() == ["(outside", "of", "any", "module)", "2", "1", "SumBackward0"]


def test_the_innermost_modules_are_left_out_first() -> None:
    graph = layers(50)
    assert len(graph.tree(by="scope").splitlines()) == 55
    lines = graph.tree(by="scope", max_lines=54).splitlines()
    assert [line.split()[0] for line in lines[2:-1]] == ["(outermost)", "layers", "(outside"]
    assert lines[-1] == (
        '… and 50 more modules, 2 levels deep and deeper; tree(by="scope", max_lines=55) shows all'
    )


@pytest.mark.parametrize("max_lines", [1, 2, 3, 4, 5])
def test_very_few_lines(max_lines: int) -> None:
    lines = layers(50).tree(by="scope", max_lines=max_lines).splitlines()
    assert len(lines) <= max_lines
    shown = max(max_lines - 3, 0)
    assert lines[-1] == (
        f'… and {53 - shown} more modules; tree(by="scope", max_lines=55) shows all'
    )


def test_a_wide_level_is_cut_at_its_end() -> None:
    scopes = {i: f"m{i}" for i in range(30)}
    names = ["MulBackward0"] * 30
    graph = make_graph(
        names, [(i, i + 1) for i in range(29)], columns={"scopes": scopes}, scopes="recorded"
    )
    lines = graph.tree(by="scope", max_lines=10).splitlines()
    # Without sequence numbers, what has the higher id is taken to have run earlier.
    assert [line.split()[0] for line in lines[2:-1]] == [
        "(outermost)",
        *(f"m{i}" for i in range(29, 23, -1)),
    ]
    assert lines[-1] == '… and 24 more modules; tree(by="scope", max_lines=33) shows all'


def test_names_cannot_act_on_a_terminal() -> None:
    graph = make_graph(
        ["A", "B"], [(0, 1)], columns={"scopes": {0: "\x1b[31m", 1: "b" * 99}}, scopes="recorded"
    )
    text = graph.tree(by="scope")
    assert "\x1b" not in text
    assert "  ␛[31m" in text
    assert f"  {'b' * 20}…{'b' * 19} " in text


@pytest.mark.parametrize("by", ["module", "nodes", None, 1, ["scope"]])
def test_what_a_tree_cannot_be_of(by: object) -> None:
    with pytest.raises(ArgumentError, match=r"by is .*; expected 'node' or 'scope'"):
        product().tree(by=by)  # type: ignore[arg-type]
    assert product().tree(by="node") == product().tree()


def test_max_lines_is_checked_here_too() -> None:
    with pytest.raises(ArgumentError, match="max_lines is 0; expected 1 or more"):
        product().tree(by="scope", max_lines=0)
    with pytest.raises(ArgumentTypeError, match="max_lines is 'x'"):
        product().tree(by="scope", max_lines="x")  # type: ignore[arg-type]


def test_saved_bytes_are_told_apart_from_parameters() -> None:
    w, x = torch.ones(4, requires_grad=True), torch.ones(4, requires_grad=True)
    h = x.exp()
    graph = ia.capture((h * w).sum(), params={"m.w": w, "x": x})
    # Mul saves exp's result (16 B, which Exp saves too) and the parameter w (16 B).
    lines = graph.tree(by="scope").splitlines()
    (line,) = [line for line in lines if line.startswith("  m ")]
    assert line.split()[3:7] == ["16", "B", "16", "B"]
