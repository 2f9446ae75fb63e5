"""What a recording costs, against the same training step without it."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from statistics import median
from typing import Any

import torch
from torch import nn

import inspect_autograd as ia
from inspect_autograd.live.stepping_stones import drain

Step = Callable[[], None]
Around = Callable[[nn.Module], AbstractContextManager[Any]]
ROUNDS = 15


def transformer() -> tuple[nn.Module, torch.Tensor]:
    """TransformerEncoder, 6 layers, d 128, batch 2x64 (goals: off 1.12, basic 1.35)."""
    layer = nn.TransformerEncoderLayer(128, 8, batch_first=True)
    return nn.TransformerEncoder(layer, 6, enable_nested_tensor=False), torch.randn(2, 64, 128)


def mlp() -> tuple[nn.Module, torch.Tensor]:
    """MLP of 20 layers of 512, batch 256 (goals: off 1.05, basic 1.10)."""
    layers = [module for _ in range(20) for module in (nn.Linear(512, 512), nn.ReLU())]
    return nn.Sequential(*layers), torch.randn(256, 512)


def _anomaly(*, check_nan: bool) -> Around:
    return lambda _: torch.autograd.set_detect_anomaly(True, check_nan=check_nan)


CANDIDATES: dict[str, Around] = {
    "off, effects and saved": lambda m: ia.record(m, stats="off", limit=2),
    "off, lines alone": lambda m: ia.record(m, stats="off", effects=False, saved=False, limit=2),
    "meta": lambda m: ia.record(m, limit=2),
    "basic": lambda m: ia.record(m, stats="basic", limit=2),
    "plain, afterwards": lambda _: nullcontext(),
    "anomaly mode": _anomaly(check_nan=True),
    "the same without NaN": _anomaly(check_nan=False),
}


def make_step(model: nn.Module, inputs: torch.Tensor) -> Step:
    """A whole step: forward, backward, optimizer, gradients set to None."""
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)

    def step() -> None:
        model(inputs).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def measure(model: nn.Module, step: Step, around: Around) -> tuple[float, float]:
    """CPU seconds of the second step in a block, and of a block around a single step."""
    drain()  # What an earlier round left to be freed must not be paid for here.
    gc.collect()
    with around(model):
        step()
        start = time.thread_time()
        step()
        inside = time.thread_time() - start
    gc.collect()
    start = time.thread_time()
    with around(model):
        step()
    return inside, time.thread_time() - start


def main() -> Iterator[str]:
    """Print the ratios, round by round in turn; the machine's speed drifts least within one."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "Anomaly Detection has been enabled", UserWarning)
    for prepare in (transformer, mlp):
        yield f"{prepare.__doc__}"
        model, inputs = prepare()
        step = make_step(model, inputs)
        inside: dict[str, list[float]] = {name: [] for name in CANDIDATES}
        block: dict[str, list[float]] = {name: [] for name in CANDIDATES}
        seconds = []
        for round_ in range(ROUNDS + 1):
            base, _ = measure(model, step, lambda _: nullcontext())
            seconds.append(base)
            for name, around in CANDIDATES.items():
                one, whole = measure(model, step, around)
                if round_:  # The first round warms up.
                    inside[name].append(one / base)
                    block[name].append(whole / base)
        yield f"  a plain step: {median(seconds) * 1e3:.0f} ms, which is 1.0"
        for name, values in inside.items():
            yield (
                f"  {name:<24} {median(values):6.2f}   (from {min(values):.2f} to "
                f"{max(values):.2f}); a block of one step {median(block[name]):.2f}"
            )
