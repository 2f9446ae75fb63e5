"""Code that `inspect-autograd step` steps through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CODE = """\
import torch
import torch.utils.checkpoint

x = torch.tensor([1.0, 2.0], requires_grad=True)
h = x.sin()
loss = (h * h).sum() + x.sum()
both = h * h

def spoiled():
    h = x.exp()
    loss = (h * 3).sum()
    with torch.no_grad():
        h.mul_(2)
    return loss

class Fails(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        raise ValueError("no\\nreason")

def fails():
    return Fails.apply(x).sum()

def hooked():
    w = torch.ones(2, requires_grad=True)
    w.register_hook(print)
    return w.sum()

def of_complex():
    z = torch.ones(2, dtype=torch.complex64, requires_grad=True)
    return (z * z).sum()

def strided():
    parts = [torch.ones(2), torch.ones(3)]
    return torch.nested.nested_tensor(parts, requires_grad=True) * 2

def jagged():
    parts = [torch.ones(2), torch.ones(3)]
    nested = torch.nested.nested_tensor(parts, requires_grad=True, layout=torch.jagged)
    return nested * 2

def checkpointed():
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 2)
    start = torch.ones(1, 2, requires_grad=True)
    return torch.utils.checkpoint.checkpoint(model, start, use_reentrant=True).sum(), model

def no_graph():
    return torch.ones(2).sum()

def chain():
    h = x
    for _ in range(100_000):
        h = h + 1
    return h.sum()
"""
# Ids of `loss`: 0 add, 1 sum of the square, 2 sum of x, 3 mul, 4 x, 5 sin.


@pytest.fixture
def code(write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "200")
    return str(write("stepped.py", CODE))


@pytest.fixture
def step(cli: Any, code: str) -> Callable[..., str]:
    """What commands print on `loss`, each without the line that repeats it."""

    def run(commands: str, *options: str, name: str = "loss") -> str:
        ran = cli("step", f"{code}:{name}", "--commands", commands, *options)
        assert (ran.code, ran.err) == (0, "")
        printed: str = ran.out
        return printed.rpartition("(step) ")[2].partition("\n")[2]

    return run
