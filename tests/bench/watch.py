"""What a watch costs, against the same training step without it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from statistics import median
from typing import Any

import torch
from torch import nn

import inspect_autograd as ia

from .record import make_step, mlp, transformer

ROUNDS = 15
STEPS = 8
"""Steps in a block: its beginning and end, and walks of the graph, are part of what it costs."""


def blocks(model: nn.Module) -> dict[str, AbstractContextManager[Any]]:
    """What is put around the steps, by name."""
    return {
        "watch": ia.watch(model),
        "every 10 steps": ia.watch(model, every=10),
        "without graphs": ia.watch(model, graphs=False),
        "plain, afterwards": nullcontext(),
    }


def main() -> Iterator[str]:
    """Print the ratios, round by round in turn; the machine's speed drifts least within one."""
    torch.set_num_threads(1)
    for prepare in (transformer, mlp):
        yield f"{(prepare.__doc__ or '').partition(' (')[0]} (goal: 1.10)"
        model, inputs = prepare()
        step = make_step(model, inputs)
        ratios: dict[str, list[float]] = {name: [] for name in blocks(model)}
        seconds = []
        for round_ in range(ROUNDS + 1):
            base = _time(step, nullcontext())
            seconds.append(base / STEPS)
            for name, around in blocks(model).items():
                ratio = _time(step, around) / base
                if round_:  # The first round warms up.
                    ratios[name].append(ratio)
        yield f"  a plain step: {median(seconds) * 1e3:.0f} ms, which is 1.0"
        for name, values in ratios.items():
            yield (
                f"  {name:<24} {median(values):6.3f}   (from {min(values):.3f} to "
                f"{max(values):.3f})"
            )


def _time(step: Any, around: AbstractContextManager[Any]) -> float:
    """CPU seconds of a few steps in a block."""
    start = time.thread_time()
    with around:
        for _ in range(STEPS):
            step()
    return time.thread_time() - start
