"""What capture costs, against a bare walk of `next_functions`, and how big a Graph is."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torchviz

import inspect_autograd as ia
from inspect_autograd.graph.graph import Graph

from .measure import compare


def chains() -> torch.Tensor:
    """10 003 nodes: 100 chains of 100 products, so that torchviz can walk them too."""
    x = torch.ones(4, requires_grad=True)
    ends = []
    for _ in range(100):
        y = x
        for _ in range(100):
            y = y * 2
        ends.append(y)
    return torch.stack(ends).sum()


def chain() -> torch.Tensor:
    """10 002 nodes in one chain."""
    y = torch.ones(4, requires_grad=True)
    for _ in range(10_000):
        y = y * 2
    return y.sum()


def transformer() -> torch.Tensor:
    """About 10 000 nodes of a TransformerEncoder."""
    layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 132, enable_nested_tensor=False)
    result: torch.Tensor = model(torch.randn(1, 4, 16)).sum()
    return result


def bare_walk(loss: torch.Tensor) -> int:
    """The least that a walk can do: visit every node once."""
    pending: list[Any] = [loss.grad_fn]
    seen = set(pending)
    while pending:
        node = pending.pop()
        for next_node, _ in node.next_functions:
            if next_node is not None and next_node not in seen:
                seen.add(next_node)
                pending.append(next_node)
    return len(seen)


def bytes_per_node(make: Callable[[], torch.Tensor]) -> float:
    """Python memory that a Graph with saved tensors holds, per node."""
    loss = make()
    gc.collect()
    tracemalloc.start()
    graph: Graph = ia.capture(loss)
    gc.collect()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return size / len(graph)


def main() -> Iterator[str]:
    """Print the ratios."""
    torch.set_num_threads(1)
    candidates = {
        "capture(saved=False)": lambda loss: ia.capture(loss, saved=False),
        "capture with saved tensors": ia.capture,
    }
    for make in (chains, chain, transformer):
        yield f"{(make.__doc__ or '').splitlines()[0]}"
        extra = {"torchviz.make_dot": torchviz.make_dot} if make is chains else {}
        base, ratios = compare(bare_walk, {**candidates, **extra}, make)
        nodes = bare_walk(make())
        yield f"  bare walk: {base / nodes * 1e6:.2f} us a node, which is 1.0"
        for name, (low, middle, high) in ratios.items():
            yield f"  {name:<28} {middle:6.1f}   (from {low:.1f} to {high:.1f})"
        yield f"  memory of a Graph            {bytes_per_node(make):6.0f} bytes a node"
