"""make_dot, which takes the place of torchviz's."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import graphviz
import pytest
import torch

import inspect_autograd
from inspect_autograd.errors import ArgumentError, ArgumentTypeError, NoGraphError
from tests.unit.render.graphs import boxes, middles, parse_svg


def loss() -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    w = torch.ones(4, requires_grad=True)
    return (w * 2).sum(), {"w": w}


@pytest.mark.usefixtures("no_dot")
def test_it_is_a_digraph_that_can_be_drawn_without_dot(tmp_path: Path) -> None:
    tensor, params = loss()
    dot = inspect_autograd.make_dot(tensor, params)
    assert isinstance(dot, graphviz.Digraph)
    path = dot.render("picture", directory=tmp_path, format="png")
    assert Path(path) == tmp_path / "picture.png"
    assert Path(path).read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "picture").read_text(encoding="utf-8") == dot.source
    shown = boxes(parse_svg(dot.pipe(format="svg", encoding="utf-8")))
    assert shown["n2"] == ["w", "f32[4]"]
    assert dot.pipe("pdf").startswith(b"%PDF-")


@pytest.mark.usefixtures("no_dot")
def test_attributes_and_further_nodes_can_be_added() -> None:
    dot = inspect_autograd.make_dot(loss()[0])
    dot.attr(rankdir="LR")
    dot.node("extra", "mine")
    assert "rankdir=LR" in dot.source
    assert boxes(parse_svg(dot.pipe("svg")))["extra"] == ["mine"]


@pytest.mark.usefixtures("no_dot")
def test_attributes_set_on_the_result_are_drawn() -> None:
    dot = inspect_autograd.make_dot(loss()[0])
    assert dot.graph_attr["rankdir"] == "TB"
    dot.graph_attr["rankdir"] = "BT"
    dot.node_attr["fontcolor"] = "#123456"
    dot.edge_attr["color"] = "#654321"
    svg = dot.pipe("svg", encoding="utf-8")
    at = middles(svg)
    assert at["n0"][1] > at["n1"][1] > at["n2"][1]
    assert 'fill="#123456"' in svg
    assert 'stroke="#654321"' in svg


@pytest.mark.usefixtures("no_dot")
def test_direction() -> None:
    dot = inspect_autograd.make_dot(loss()[0], direction="right")
    at = middles(dot.pipe("svg", encoding="utf-8"))
    assert at["n0"][0] < at["n1"][0] < at["n2"][0]
    wrong: Any = "up"
    with pytest.raises(ArgumentError, match="direction is 'up'; expected 'down' or 'right'"):
        inspect_autograd.make_dot(loss()[0], direction=wrong)


@pytest.mark.usefixtures("no_dot")
def test_cleanup_outfile_and_unknown_formats(tmp_path: Path) -> None:
    dot = inspect_autograd.make_dot(loss()[0])
    assert dot.render(outfile=tmp_path / "a.svg", cleanup=True) == str(tmp_path / "a.svg")
    assert [path.name for path in tmp_path.glob("a*")] == ["a.svg"]
    with pytest.raises(ArgumentError, match="format is 'jpg'; without a dot on PATH"):
        dot.pipe("jpg")


def test_a_dot_on_path_is_used(fake_dot: Callable[[str], Path]) -> None:
    fake_dot("import sys; sys.stdin.read(); print('from the fake')")
    assert inspect_autograd.make_dot(loss()[0]).pipe("svg") == b"from the fake\n"


def test_arguments_mean_what_they_mean_in_torchviz() -> None:
    tensor, params = loss()
    plain = inspect_autograd.make_dot((tensor, tensor * 2), params).source
    assert "[0]" in plain
    assert "[1]" in plain
    assert "n0s0" not in plain
    in_box = re.compile(r"self_sym_sizes = \(4,\)</?(BR|FONT)")
    assert not in_box.search(plain)
    detailed = inspect_autograd.make_dot(tensor, show_attrs=True, show_saved=True, max_attr_chars=9)
    assert in_box.search(detailed.source)
    assert "s0 [label=" in detailed.source


def test_no_depth_limit() -> None:
    x = torch.ones(1, requires_grad=True)
    for _ in range(3000):
        x = x * 2
    assert "MulBackward0 ×3000" in inspect_autograd.make_dot(x).source


def test_what_cannot_be_drawn_is_explained() -> None:
    with pytest.raises(NoGraphError):
        inspect_autograd.make_dot(torch.ones(2))
    wrong: Any = "50"
    with pytest.raises(ArgumentTypeError, match="max_attr_chars is '50' of type str"):
        inspect_autograd.make_dot(loss()[0], max_attr_chars=wrong)
