"""What programs are made of whose cuts and writes are known.

Every line that makes a cut or a write says so in a comment, on the same line or above it:

- `# cut: REASON FUNCTION FATE`, where FATE is `reaches` (a loss was computed from what came out),
  `left` (it left PyTorch) or `ends`; then, where it is not 1, `xCOUNT`; `lost=NAMES`; `in=MODULE`.
  Spaces in a reason are written as `-`.
- `# write: FUNCTION TENSOR VERSIONS`, with `-` for a tensor without a name; `x=y` where `y` owns
  the memory that `x` looks at; versions as `0>1>2` where the line runs several times; `in=MODULE`.

Several in one comment are separated by `;`. A line without a comment makes neither.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

PROGRAMS: list[Callable[[], Any]] = []


def program(function: Callable[[], Any]) -> Callable[[], Any]:
    """Add a program to the list; it returns its recording."""
    PROGRAMS.append(function)
    return function


def parameter(*values: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values))


class Scale(nn.Module):
    """Multiplies by a parameter `w`."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.w = parameter(*values or (2.0, 3.0))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.w


class Two(nn.Module):
    """A Scale `a` and a Scale `b` behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.a = Scale()
        self.b = Scale()

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.b(self.a(x))
        return hidden
