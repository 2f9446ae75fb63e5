"""What the engine in Python costs, against the real one, and how fast an order is foretold."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from statistics import median

import torch

import inspect_autograd as ia
from inspect_autograd.live.stepping_stones import drain

from .trace import Program, chain, mlp, transformer

ROUNDS = 15
DEEP = 100_000
GOALS = {transformer: "1.3", mlp: "none set", chain: "8"}


def backward(loss: torch.Tensor) -> None:
    """The baseline."""
    loss.backward()


def step_through(loss: torch.Tensor) -> None:
    """Walk the graph and run every node; the steps are kept, as by default."""
    ia.step(loss).run()


def _measure(make: Callable[[], Program], run: Callable[[torch.Tensor], None]) -> float:
    """CPU seconds for one pass over a graph that nobody has looked at."""
    loss, model = make()
    if model is not None:
        model.zero_grad()
    drain()
    gc.collect()
    start = time.thread_time()
    run(loss)
    return time.thread_time() - start


def _seconds_to_foretell() -> float:
    y = torch.ones(1, requires_grad=True)
    for _ in range(DEEP):
        y = y * 1.0
    graph = ia.capture(y, saved=False)
    start = time.thread_time()
    ia.execution_order(graph)
    return time.thread_time() - start


def main() -> Iterator[str]:
    """Print the ratios, round by round in turn; the machine's speed drifts least within one."""
    torch.set_num_threads(1)
    bases = []
    for prepare, goal in GOALS.items():
        make = prepare()
        ratios = []
        seconds = []
        for round_ in range(ROUNDS + 1):
            base = _measure(make, backward)
            ratio = _measure(make, step_through) / base
            if round_:  # The first round warms up.
                seconds.append(base)
                ratios.append(ratio)
        yield f"{(prepare.__doc__ or '').partition(' (')[0]} (goal: {goal})"
        yield f"  backward: {median(seconds) * 1e3:.0f} ms, which is 1.0"
        yield (
            f"  step, run to the end {median(ratios):6.2f}   "
            f"(from {min(ratios):.2f} to {max(ratios):.2f})"
        )
        bases.append(median(seconds))
    chain_seconds = bases[-1]
    order = _seconds_to_foretell()
    yield (
        f"execution_order of {DEEP} nodes: {order:.2f} s (goal: 1 s), "
        f"{order / chain_seconds:.1f} times the backward pass of 10 000"
    )
