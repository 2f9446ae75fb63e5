"""How a node came to be, in records, in files and in folded graphs."""

from dataclasses import replace
from pathlib import Path

import torch

import inspect_autograd as ia
from inspect_autograd.graph.creation import Creation, SourceLine

LINE = SourceLine("/somewhere/train.py", 12, "step")
CALL = Creation("torch.square", LINE, (SourceLine("functional.py", 3, "square"),), call=1)


def graph_with(creations: dict[int, Creation]) -> ia.Graph:
    x = torch.ones(2, requires_grad=True)
    graph = ia.capture((x * 2).square().sum(), params={"x": x})
    return replace(graph, node_table=replace(graph.node_table, creations=creations))


def test_a_node_tells_the_line_that_made_it() -> None:
    graph = graph_with({1: CALL})
    assert graph.nodes[1].creation is CALL
    assert graph.nodes[1].source == LINE
    assert graph.nodes[0].source is None
    assert LINE.short == "train.py:12"
    assert str(CALL) == "torch.square at train.py:12"


def test_what_is_not_known_says_why() -> None:
    assert str(Creation(reason="made before the block")) == "unknown: made before the block"


def test_a_creation_survives_a_file(tmp_path: Path) -> None:
    graph = graph_with({0: Creation(made_by="MulBackward0", thread="T"), 1: CALL, 2: CALL})
    read = ia.load(graph.save(tmp_path / "g.json"), ia.Graph)
    assert read == graph
    assert read.nodes[1].creation is read.nodes[2].creation


def test_a_fold_keeps_the_line_that_its_members_share() -> None:
    both = graph_with({0: CALL, 1: replace(CALL, function="other")})
    (folded,) = [node for node in both.fold("chain").nodes if node.fold is not None]
    assert folded.source == LINE
    assert folded.creation == Creation(source=LINE)
    other = replace(CALL, source=replace(LINE, line=13))
    (folded,) = [n for n in graph_with({0: CALL, 1: other}).fold("chain").nodes if n.fold]
    assert folded.creation is None
