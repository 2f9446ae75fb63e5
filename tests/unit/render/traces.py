"""Traces of small programs, and what their pictures say."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from inspect_autograd.events.records import Outcome, PassInput, TensorStats
from inspect_autograd.events.table import EventTable
from inspect_autograd.events.trace import Trace
from tests.conformance.plain_hooks import naive_stats, record_by_plain_hooks

NAN = float("nan")


def change(trace: Trace, **fields: Any) -> Trace:
    """The trace with other parts."""
    return Trace(replace(trace.data, **fields))


def change_pass(trace: Trace, **fields: Any) -> Trace:
    """The trace with another first pass."""
    first, *others = trace.passes
    return change(trace, passes=(replace(first, **fields), *others))


@cache
def mlp() -> Trace:
    """Eleven nodes: loss, square, and two linear layers with a tanh between."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    return record_by_plain_hooks(model(torch.randn(16, 4)).square().mean(), model)


@cache
def scaled() -> Trace:
    """`(x * 100).sum()` of four ones: norms 1, 2 and 200."""
    x = torch.ones(4, requires_grad=True)
    return record_by_plain_hooks((x * 100).sum(), {"x": x})


@cache
def nan_of_sqrt() -> Trace:
    """The trap of `where`: the derivative of sqrt at 0 is inf, times 0 that is NaN."""
    x = torch.tensor([0.0, 1.0, 4.0, 9.0], requires_grad=True)
    w = torch.ones(4, requires_grad=True)
    h = x * w
    return record_by_plain_hooks(torch.where(h > 0, h.sqrt(), h).sum(), {"x": x, "w": w})


@cache
def inf_of_sum() -> Trace:
    """Two gradients that are finite and whose sum is not."""
    x = torch.ones(2, requires_grad=True)
    h = x * 1.0
    return record_by_plain_hooks((h * 3e38).sum() + (h * 2e38).sum(), {"x": x})


def deep(length: int, change: Callable[[torch.Tensor], torch.Tensor] | None = None) -> Trace:
    """A chain of `length` multiplications, something in the middle, and as many again."""
    x = torch.full((3,), 4.0, requires_grad=True)
    y = x
    for _ in range(length):
        y = y * 1.01
    y = change(y) if change else y
    for _ in range(length):
        y = y * 1.01
    return record_by_plain_hooks(y.sum(), {"x": x})


class Broken(torch.autograd.Function):
    """Its backward raises."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise RuntimeError("this backward is <broken>")


def raised() -> Trace:
    """A pass that raised in a custom Function, the third of five nodes."""
    x = torch.randn(3, requires_grad=True)
    y: torch.Tensor = Broken.apply(x * 2)  # type: ignore[no-untyped-call]
    trace = record_by_plain_hooks(y.sin().sum(), {"x": x})
    (node,) = trace.graph.find("Broken*")
    outcome = replace(trace.outcome, node=node.id)
    return change(change_pass(trace, outcome=outcome), outcome=outcome)


def nothing_ran() -> Trace:
    """The graph of `mlp`, and no pass."""
    outcome = Outcome("nothing ran")
    return change(mlp(), passes=(), table=EventTable(), outcome=outcome)


def without_numbers(trace: Trace) -> Trace:
    """The trace as `stats="meta"` makes it."""
    stats = [TensorStats(one.meta) for one in trace.data.table.stats]
    root = replace(trace.passes[0].roots[0], stats=None)
    bare = change(trace, stats_level="meta", table=replace(trace.data.table, stats=stats))
    return change_pass(bare, roots=(root,))


def limited_to_weight() -> Trace:
    """`torch.autograd.grad` of the weight of the last layer of `mlp`: four of eleven nodes run."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    loss = model(torch.randn(16, 4)).square().mean()
    weight = model.get_parameter("2.weight")
    gradients: list[torch.Tensor] = []
    trace = record_by_plain_hooks(
        loss, model, lambda: gradients.extend(torch.autograd.grad(loss, [weight]))
    )
    (leaf,) = trace.graph.find("2.weight")
    given = PassInput(leaf.id, 0, ("2.weight",), naive_stats(gradients[0]))
    return change_pass(trace, call="grad", inputs=(given,))


def attributes(source: str, key: str) -> dict[str, str]:
    """The attributes of one statement of DOT source, but for its label and tooltip."""
    (line,) = [line for line in source.splitlines() if line.startswith(f"\t{key} [")]
    rest = re.sub(r'label=<.*?>, tooltip="(?:[^"\\]|\\.)*"', "", line)
    return {
        name: value.strip('"') for name, value in re.findall(r'(\w+)=("[^"]*"|[^,\]\s]+)', rest)
    }


def edge(source: str, ends: str) -> str:
    """The one statement of DOT source about an arrow."""
    (line,) = [line for line in source.splitlines() if line.startswith(f"\t{ends}")]
    return line


def key_of(trace: Trace, pattern: str) -> str:
    """The key, in DOT source, of the one node that a glob finds."""
    (node,) = trace.graph.find(pattern)
    return f"n{node.id}"


def draw(trace: Trace, folder: Path, suffix: str = ".dot", **options: Any) -> str:
    """The picture as text."""
    return trace.render(folder / f"trace{suffix}", **options).read_text(encoding="utf-8")
