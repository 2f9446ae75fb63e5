"""What the tests of graph_holders share."""

from __future__ import annotations

import re
from itertools import count

import torch

import inspect_autograd as ia
from inspect_autograd.graph.holders import HeldGraph, HeldTensor

_sizes = count(1001)


def new_leaf() -> torch.Tensor:
    """A leaf of a size that no other tensor of the process has, to be known again by."""
    return torch.ones(next(_sizes), requires_grad=True)


def graphs_of(found: ia.GraphHolders, leaf: torch.Tensor) -> list[HeldGraph]:
    """The graphs that are held through a tensor of the size of a leaf."""
    return [
        graph
        for graph in found.graphs
        if any(t.meta is not None and t.meta.shape == leaf.shape for t in graph.tensors)
    ]


def tensors_of(found: ia.GraphHolders, leaf: torch.Tensor) -> list[HeldTensor]:
    """The tensors of the size of a leaf through which a graph is held."""
    return [
        tensor
        for graph in found.graphs
        for tensor in graph.tensors
        if tensor.meta is not None and tensor.meta.shape == leaf.shape
    ]


def look(leaf: torch.Tensor) -> list[str]:
    """Who holds the tensors of the size of a leaf, in words."""
    return [
        holder.text for tensor in tensors_of(ia.graph_holders(), leaf) for holder in tensor.holders
    ]


def without_lines(text: str) -> str:
    """A text without line numbers: `f at train.py:42` is `f at train.py`."""
    return re.sub(r"\.py:\d+", ".py", text)
