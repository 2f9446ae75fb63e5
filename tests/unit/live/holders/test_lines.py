"""The line that made a graph: from a recording, or from anomaly mode."""

from __future__ import annotations

import sys
from typing import Any

import torch

import inspect_autograd as ia
from inspect_autograd.live.holders.line_of_node import find_creation
from tests.unit.live.holders.looking import new_leaf, tensors_of


class Recording:
    """Knows the nodes of one type."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[str] = []

    def creation_of(self, node: Any) -> ia.Creation | None:
        self.asked.append(node.name())
        if node.name() != self.name:
            return None
        return ia.Creation("Tensor.exp", ia.SourceLine("train.py", 7, "step"))


def test_a_recording_is_asked() -> None:
    leaf = new_leaf()
    first, second = leaf.exp(), leaf.sin()
    recording = Recording("ExpBackward0")
    found = ia.graph_holders(recording=recording)
    creations = {t.grad_fn: t.creation for t in tensors_of(found, leaf)}
    assert str(creations["ExpBackward0"]) == "Tensor.exp at train.py:7"
    assert creations["SinBackward0"] is None
    assert {"ExpBackward0", "SinBackward0"} <= set(recording.asked)
    assert "train.py:7" in str(found)
    assert "inspect_autograd.record()" not in str(found)
    del first, second


def test_without_a_recording_the_text_says_how_to_get_the_lines() -> None:
    y = new_leaf().exp()
    assert "graph_holders(recording=recording)" in str(ia.graph_holders())
    del y


def test_anomaly_mode_knows_the_line() -> None:
    leaf = new_leaf()
    with torch.autograd.set_detect_anomaly(True, check_nan=False):
        line = sys._getframe().f_lineno + 1
        y = leaf.exp()
    (tensor,) = tensors_of(ia.graph_holders(), leaf)
    assert tensor.creation is not None
    assert tensor.creation.source == ia.SourceLine(
        __file__, line, "test_anomaly_mode_knows_the_line"
    )
    del y


def test_lines_of_torch_are_passed_over() -> None:
    leaf = new_leaf()
    with torch.autograd.set_detect_anomaly(True, check_nan=False):
        y = torch.nn.functional.softplus(torch.nn.functional.gelu(leaf) * 2).unflatten(0, (-1,))
    assert y.grad_fn is not None
    creation = find_creation(y.grad_fn, None)
    assert creation is not None
    assert creation.source is not None
    assert creation.source.file == __file__


def test_metadata_of_somebody_else_is_no_traceback() -> None:
    node: Any = new_leaf().exp().grad_fn
    node.metadata["traceback_"] = "not a list"
    assert find_creation(node, None) is None
    node.metadata["traceback_"] = [3, "no frame"]
    assert find_creation(node, None) is None
