"""torchviz as a second opinion on models that it can draw.

torchviz walks the same graph by recursion and draws it like this:

- a node without a fill colour is a node of the graph, under the `id()` of the Python object and
  labelled with the name of its type; AccumulateGrad is one of them;
- an edge leads from the *next* node to the node, against the flow of gradients, and there is one
  for each entry of `next_functions` that is not None. It does not show slots;
- a light blue node is a leaf tensor, labelled with its name and shape, with an edge to its
  AccumulateGrad. Here the leaf is part of the AccumulateGrad record;
- a dark olive node is an output, with an edge from its `grad_fn`. Here it is a Root;
- an orange node is a tensor saved by a custom Function (built-in ones not, unless asked).

So the uncoloured nodes and the edges among them must be ours, one for one, and so must the pairs
of leaf and AccumulateGrad.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import inspect_autograd as ia

from .reference import pair_with_live

with warnings.catch_warnings():
    # It imports distutils, which Python 3.12 and newer have only with setuptools.
    warnings.simplefilter("ignore", DeprecationWarning)
    torchviz = pytest.importorskip("torchviz", exc_type=ImportError)


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(torch.relu(self.norm(self.first(x)))))


class Tied(nn.Module):
    """One weight that is used twice, so that its AccumulateGrad has two edges."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.out = nn.Linear(4, 7, bias=False)
        self.out.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        return torch.log_softmax(self.out(self.embedding(x)), -1)


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        factor: Tensor = 2 * x
        return grads[0] * factor


class WithCustom(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        square: Any = Square  # `Function.apply` has no type hints.
        y: Tensor = square.apply(self.linear(x))
        return y * y  # Two edges to one node.


def mlp() -> tuple[nn.Module, Tensor]:
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)), torch.randn(5, 4)


def cnn() -> tuple[nn.Module, Tensor]:
    layers = [nn.Conv2d(1, 4, 3), Residual(4), Residual(4), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.LazyLinear(3)), torch.randn(2, 1, 8, 8)


def lstm() -> tuple[nn.Module, Tensor]:
    return nn.LSTM(3, 4, num_layers=2, bidirectional=True), torch.randn(6, 2, 3)


def lstm_cell() -> tuple[nn.Module, Tensor]:
    return nn.LSTMCell(3, 4), torch.randn(2, 3)


def transformer() -> tuple[nn.Module, Tensor]:
    layer = nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True)
    return nn.TransformerEncoder(layer, 3, enable_nested_tensor=False), torch.randn(2, 5, 8)


def tied() -> tuple[nn.Module, Tensor]:
    return Tied(), torch.tensor([[1, 2], [3, 1]])


def custom() -> tuple[nn.Module, Tensor]:
    return WithCustom(), torch.randn(2, 3)


@dataclass
class Drawing:
    """The parts of a torchviz picture, keyed by the ids of the Python objects."""

    ops: dict[int, str] = field(default_factory=dict)
    leaves: dict[int, str] = field(default_factory=dict)
    outputs: set[int] = field(default_factory=set)
    edges: Counter[tuple[int, int]] = field(default_factory=Counter)


def draw(outputs: tuple[Tensor, ...], params: Mapping[str, Tensor]) -> Drawing:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "distutils Version classes", DeprecationWarning)
        body = torchviz.make_dot(outputs, params=dict(params)).body
    drawing = Drawing()
    for line in body:
        if edge := re.fullmatch(r"\t(\d+) -> (\d+)(?: \[.*\])?\n", line):
            drawing.edges[int(edge[1]), int(edge[2])] += 1
            continue
        found = re.fullmatch(r'\t(\d+) \[label=("[^"]*"|\w+)(?: fillcolor=(\w+))?\]\n', line)
        assert found, f"torchviz wrote a line that this test cannot read: {line!r}"
        id, label = int(found[1]), found[2].strip('"')
        match found[3]:
            case None:
                drawing.ops[id] = label
            case "lightblue":
                drawing.leaves[id] = label
            case "darkolivegreen1":
                drawing.outputs.add(id)
    return drawing


@pytest.mark.parametrize("make", [mlp, cnn, lstm, lstm_cell, transformer, tied, custom])
def test_torchviz_draws_the_same_graph(make: Callable[[], tuple[nn.Module, Tensor]]) -> None:
    torch.manual_seed(0)
    model, x = make()
    result = model(x)
    outputs = (result,) if isinstance(result, Tensor) else (result[0], result[1][0])
    losses = tuple(output.sum() for output in outputs)
    params = dict(model.named_parameters())

    graph = ia.capture(losses, params=model)
    # These stay alive and so keep the ids that torchviz sees.
    live = pair_with_live(graph, losses)
    drawing = draw(losses, params)

    ids = [id(node) for node in live]
    assert drawing.ops == {ids[node.id]: node.name for node in graph.nodes}
    assert drawing.outputs == {id(loss) for loss in losses}
    ours = Counter((ids[edge.target], ids[edge.source]) for edge in graph.edges)
    assert Counter({e: n for e, n in drawing.edges.items() if set(e) <= set(ids)}) == ours

    for node in graph.leaves():
        assert node.parameter is not None
        variable = params[node.parameter.names[0]]
        assert drawing.edges[id(variable), ids[node.id]] == 1
        shape = ", ".join(map(str, node.parameter.meta.shape or ()))
        assert drawing.leaves[id(variable)].splitlines() == [node.parameter.name, f" ({shape})"]
    assert len(drawing.leaves) == len(graph.leaves())


def test_parallel_edges_are_drawn_apart() -> None:
    # A model above must have them, or multiplicity would not have been compared.
    model, x = custom()
    graph = ia.capture(model(x).sum())
    assert max(Counter((edge.source, edge.target) for edge in graph.edges).values()) == 2
