"""What a trace costs, against the same backward pass without it, and how big a Trace is."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from statistics import median
from typing import Any

import torch
from torch import nn

import inspect_autograd as ia
from inspect_autograd.live.stepping_stones import drain

Program = tuple[torch.Tensor, nn.Module | None]
ROUNDS = 15


def transformer() -> Callable[[], Program]:
    """TransformerEncoder, 6 layers, d 256, batch 4x128 (goals: meta 1.04, basic 1.25)."""
    layer = nn.TransformerEncoderLayer(256, 8, batch_first=True)
    model = nn.TransformerEncoder(layer, 6, enable_nested_tensor=False)
    inputs = torch.randn(4, 128, 256)
    return lambda: (model(inputs).square().mean(), model)


def mlp() -> Callable[[], Program]:
    """MLP of 20 layers of 512, batch 256 (goals: meta 1.03, basic 1.06)."""
    model = nn.Sequential(*(m for _ in range(20) for m in (nn.Linear(512, 512), nn.ReLU())))
    inputs = torch.randn(256, 512)
    return lambda: (model(inputs).square().mean(), model)


def chain() -> Callable[[], Program]:
    """Chain of 10 000 operations on 4 floats (goals: meta 1.8, basic 3)."""
    x = torch.ones(4, requires_grad=True)

    def make() -> Program:
        y = x
        for _ in range(10_000):
            y = y * 1.0
        return y.sum(), None

    return make


@contextmanager
def naive(loss: torch.Tensor, params: Any) -> Iterator[None]:
    """The plain way: a hook per node, and three numbers with an `.item()` each per gradient."""
    del params
    nodes: list[Any] = [loss.grad_fn]
    seen = set(nodes)
    for node in nodes:
        for next_node, _ in node.next_functions:
            if next_node is not None and next_node not in seen:
                seen.add(next_node)
                nodes.append(next_node)
    rows: list[Any] = []

    def note(*groups: Any) -> None:
        gradients = [g for group in groups for g in group if g is not None]
        rows.append([(g.norm().item(), g.min().item(), g.max().item()) for g in gradients])

    handles = [node.register_hook(note) for node in nodes]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _level(level: Any) -> Callable[[torch.Tensor, Any], AbstractContextManager[Any]]:
    return lambda loss, params: ia.trace(loss, params=params, stats=level)


CANDIDATES: dict[str, Callable[[torch.Tensor, Any], AbstractContextManager[Any]]] = {
    "meta": _level("meta"),
    "basic": _level("basic"),
    "full": _level("full"),
    "naive hooks": naive,
}


def measure(
    make: Callable[[], Program],
    around: Callable[[torch.Tensor, Any], AbstractContextManager[Any]] | None,
) -> tuple[float, float]:
    """CPU seconds of `backward()` alone, and of the whole block around it."""
    loss, model = make()
    if model is not None:
        model.zero_grad()
    drain()  # What an earlier round left to be freed must not be paid for here.
    gc.collect()
    if around is None:
        start = time.thread_time()
        loss.backward()
        return time.thread_time() - start, 0.0
    begin = time.thread_time()
    with around(loss, model):
        start = time.thread_time()
        loss.backward()
        stop = time.thread_time()
    return stop - start, time.thread_time() - begin


def bytes_per_event() -> float:
    """Memory of a finished `basic` trace of the chain with its graph, per event."""
    loss, _ = chain()()
    gc.collect()
    tracemalloc.start()
    with ia.trace(loss) as trace:
        loss.backward()
    del loss  # The nodes keep the empty tables of their hooks; those go with them.
    drain()
    gc.collect()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return size / len(trace)


def main() -> Iterator[str]:
    """Print the ratios, round by round in turn; the machine's speed drifts least within one."""
    torch.set_num_threads(1)
    for prepare in (transformer, mlp, chain):
        make = prepare()
        yield f"{prepare.__doc__}"
        alone: dict[str, list[float]] = {name: [] for name in CANDIDATES}
        block: dict[str, list[float]] = {name: [] for name in CANDIDATES}
        base_seconds = []
        for round_ in range(ROUNDS + 1):
            base, _ = measure(make, None)
            base_seconds.append(base)
            for name, around in CANDIDATES.items():
                backward, whole = measure(make, around)
                if round_:  # The first round warms up.
                    alone[name].append(backward / base)
                    block[name].append(whole / base)
        yield f"  backward without a trace: {median(base_seconds) * 1e3:.0f} ms, which is 1.0"
        for name, values in alone.items():
            low, high = min(values), max(values)
            yield (
                f"  {name:<12} {median(values):6.2f}   (from {low:.2f} to {high:.2f}); "
                f"with hooking and assembling {median(block[name]):.2f}"
            )
    yield f"memory of a trace with its graph: {bytes_per_event():.0f} bytes an event"
