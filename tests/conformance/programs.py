"""Programs for the tests: one example, and random ones made of instructions.

An instruction that does not fit the tensors at hand does something near it, or nothing, so that
every list of instructions is a program and shorter ones are programs too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

__all__ = ["LEAVES", "Instruction", "Result", "example_program", "instructions", "run_program"]


class Instruction(NamedTuple):
    """Apply `name` to the tensors numbered `first` and `second`, counted round the pool."""

    name: str
    first: int
    second: int


class Result(NamedTuple):
    """What a program left behind: every tensor it made, and the leaves it started from."""

    pool: list[Tensor]
    leaves: dict[str, Tensor]


LEAVES = {"matrix": (2, 3), "other": (2, 3), "vector": (3,), "unused": (4,)}


def example_program() -> tuple[Tensor, dict[str, Tensor]]:
    """A loss with views, a change in place, several outputs and kept tensors."""
    torch.manual_seed(0)
    model = nn.Linear(3, 4)
    x = torch.randn(5, 3, requires_grad=True)
    y = model(x)
    y[0] *= 2
    first, second = y.tanh().split(2, dim=1)
    values, _ = (first * second).max(dim=1)
    return values.exp().sum(), {"x": x, **dict(model.named_parameters())}


class SinAndProduct(torch.autograd.Function):
    """Two outputs, and no gradient for the second input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        total = y.sum()
        ctx.save_for_backward(x, total)
        ctx.set_materialize_grads(False)
        ctx.note = "kept on ctx"
        return x.sin(), x * total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None]:
        x, total = ctx.saved_tensors
        factors = (x.cos(), total)
        parts = [g * factor for g, factor in zip(grads, factors, strict=True) if g is not None]
        return (sum(parts[1:], parts[0]) if parts else None), None


class SavesOutput(torch.autograd.Function):
    """Keeps its own output, which PyTorch stores in another way than an input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.tanh().exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        grad: Tensor = grads[0] * y
        return grad


class DoublesInPlace(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        return x.mul_(2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0] * 2


class WithIndex(torch.autograd.Function):
    """A second output that has no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        index = x.argmax()
        ctx.mark_non_differentiable(index)
        ctx.index = index
        return x * 3, index

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0] * 3


def _apply(function: Any, *inputs: Tensor) -> Any:
    return function.apply(*inputs)  # `Function.apply` has no type hints.


def _fit(x: Tensor, y: Tensor) -> Tensor:
    """Something made of `y` that can be combined with `x` without making it larger."""
    return y if y.shape == x.shape else y.sum()


def _rows(x: Tensor) -> Tensor:
    return x if x.dim() else x.reshape(1)


def _matrix(x: Tensor) -> Tensor:
    return x if x.dim() == 2 else x.reshape(1, -1)


Made = Tensor | Sequence[Tensor]

PURE: dict[str, Callable[[Tensor, Tensor], Made]] = {
    "add": lambda x, y: x + _fit(x, y),
    "mul": lambda x, y: x * _fit(x, y),
    "div": lambda x, y: x / (_fit(x, y).abs() + 1),
    "self_mul": lambda x, _: x * x,
    "scale": lambda x, _: 0.7 * x,
    "sin": lambda x, _: x.sin(),
    "tanh": lambda x, _: x.tanh(),
    "sqrt": lambda x, _: x.abs().sqrt(),
    "sum": lambda x, _: x.sum(0) if x.dim() else x.sum(),
    "where": lambda x, y: torch.where(x > 0, x, _fit(x, y)),
    "cat": lambda x, y: torch.cat([x.reshape(-1)[:4], y.reshape(-1)[:4], x.reshape(-1)[:1]]),
    "stack": lambda x, y: torch.stack([x.sum(), y.sum(), x.sum()]),
    "gather": lambda x, _: _rows(x)[torch.tensor([0, 0])],
    "unbind": lambda x, _: _rows(x).unbind(0),
    "split": lambda x, _: _rows(x).split(1),
    "chunk": lambda x, _: x.reshape(-1).chunk(2),
    "max": lambda x, _: _rows(x).max(0),
    "topk": lambda x, _: _rows(x).topk(1, dim=0),
    "std_mean": lambda x, _: torch.std_mean(x.reshape(-1), correction=0),
    "svd": lambda x, _: torch.linalg.svd(_matrix(x), full_matrices=False),
    "view": lambda x, _: x.view(-1) if x.is_contiguous() else x.view_as(x),
    "transpose": lambda x, _: _matrix(x).t(),
    "select": lambda x, _: _rows(x)[0],
    "narrow": lambda x, _: _rows(x)[-1:],
    "expand": lambda x, _: _rows(x)[:1].expand_as(_rows(x)),
    "detach": lambda x, _: x.detach(),
    "clone": lambda x, _: x.clone(),
    "two_outputs": lambda x, y: _apply(SinAndProduct, x, y),
    "saves_output": lambda x, _: _apply(SavesOutput, x),
    "with_index": lambda x, _: _apply(WithIndex, x),
}

# Refused by torch for leaves, for views of leaves, and for one of several views made at once.
IN_PLACE: dict[str, Callable[[Tensor, Tensor], object]] = {
    "add_": lambda x, y: x.add_(_fit(x, y)),
    "mul_": lambda x, y: x.mul_(_fit(x, y)),
    "sin_": lambda x, _: x.sin_(),
    "copy_": lambda x, y: x.copy_(_fit(x, y)),
    "zero_first_": lambda x, _: _rows(x)[0].zero_(),
    "scale_slice_": lambda x, _: _rows(x)[-1:].mul_(0.3),
    "set_item_": lambda x, y: _rows(x).__setitem__(0, y.sum()),
    "custom_": lambda x, _: _apply(DoublesInPlace, x),
    "detach_": lambda x, _: x.detach_() if not x.is_leaf else None,
}

REFUSED = re.compile(
    "in-?place|leaf Variable|more than one element of the written-to tensor|failed to converge"
)
CAPTURE = "capture"
MAX_POOL = 40

instructions: st.SearchStrategy[list[Instruction]] = st.lists(
    st.builds(
        Instruction,
        # In-place changes twice as often as their number would make them.
        st.sampled_from([*PURE, *IN_PLACE, *IN_PLACE, CAPTURE]),
        st.integers(0, 15),
        st.integers(0, 15),
    ),
    min_size=1,
    max_size=14,
)


def run_program(
    program: Sequence[Instruction], observe: Callable[[Tensor], object] | None = None
) -> Result:
    """Run a program.

    Args:
        program: What to do.
        observe: Called at every `capture` with a tensor that has a graph; None to do nothing.
    """
    generator = torch.Generator().manual_seed(0)
    leaves = {
        name: torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
        for name, shape in LEAVES.items()
    }
    pool = [leaves["matrix"], leaves["other"], leaves["vector"]]
    # The first copies can be written to, which leaves cannot.
    pool += [pool[0] * 1.5, pool[2] + 0.1]
    for name, first, second in program:
        x, y = pool[first % len(pool)], pool[second % len(pool)]
        if name == CAPTURE:
            if observe is not None and x.requires_grad:
                observe(x)
            continue
        try:
            if name in IN_PLACE:
                IN_PLACE[name](x, y)
            else:
                made = PURE[name](x, y)
                found = [made] if isinstance(made, Tensor) else list(made)
                pool += [tensor for tensor in found if tensor.is_floating_point()]
        except RuntimeError as error:
            # Some changes in place are refused, and so is the use of what they have spoiled.
            if not REFUSED.search(str(error)):
                raise
        pool = pool[:MAX_POOL]
    return Result(pool, leaves)
