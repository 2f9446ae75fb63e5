"""What an automatic picture costs, against capturing the graph, and against `dot` on all of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import torch

import inspect_autograd as ia


def long_chain() -> ia.Graph:
    """20 000 nodes in one chain."""
    y = torch.ones(4, requires_grad=True)
    for _ in range(20_000):
        y = y * 2
    return ia.capture(y.sum())


def big_transformer() -> ia.Graph:
    """About 10 000 nodes of a TransformerEncoder with named parameters."""
    layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 132, enable_nested_tensor=False)
    return ia.capture(model(torch.randn(1, 4, 16)).sum(), params=model)


def main() -> Iterator[str]:
    """Print seconds of the automatic picture and how they compare with a small picture's."""
    with tempfile.TemporaryDirectory() as folder:
        x = torch.arange(4.0, requires_grad=True)
        small = ia.capture(2 * torch.dot(x, x))
        base = min(_seconds(small, Path(folder) / f"small{i}.svg") for i in range(3))
        yield f"SVG of a graph of 3 nodes: {base:.2f} s, which is 1.0"
        for make in (long_chain, big_transformer):
            graph = make()
            seconds = min(_seconds(graph, Path(folder) / f"big{i}.svg") for i in range(3))
            title = (make.__doc__ or "").rstrip(".")
            yield f"SVG of {title} ({len(graph)}): {seconds / base:.1f}   ({seconds:.2f} s)"


def _seconds(graph: ia.Graph, path: Path) -> float:
    start = perf_counter()
    graph.render(path)
    return perf_counter() - start
