"""What one element of a returned gradient would be in double precision.

Only the part of the tensors that this element depends on is read, so that it costs little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log

import torch

from .scene import Scene

__all__ = ["SUMS_OF_PRODUCTS", "terms_of"]

Part = Callable[[str], torch.Tensor]
"""Gives, by the name of a saved tensor, its part that belongs to the element, in double."""

ElementFormula = Callable[[torch.Tensor, Part, Scene], torch.Tensor]
"""From the part of the received gradient: the terms whose sum is the element."""

_LN2, _LN10 = log(2), log(10)

MAX_TERMS = 2**22
"""More terms are not added up: they would take 32 MiB."""

ELEMENTWISE: Mapping[str, Mapping[int, ElementFormula]] = {
    "MulBackward0": {
        0: lambda g, saved, _: g * saved("other"),
        1: lambda g, saved, _: g * saved("self"),
    },
    "DivBackward0": {
        0: lambda g, saved, _: g / saved("other"),
        1: lambda g, saved, _: -g * saved("self") / saved("other").square(),
    },
    "ReciprocalBackward0": {0: lambda g, saved, _: -g * saved("result").square()},
    "SqrtBackward0": {0: lambda g, saved, _: g / (2 * saved("result"))},
    "RsqrtBackward0": {0: lambda g, saved, _: -0.5 * g * saved("result").pow(3)},
    "LogBackward0": {0: lambda g, saved, _: g / saved("self")},
    "Log2Backward0": {0: lambda g, saved, _: g / (saved("self") * _LN2)},
    "Log10Backward0": {0: lambda g, saved, _: g / (saved("self") * _LN10)},
    "Log1PBackward0": {0: lambda g, saved, _: g / (saved("self") + 1)},
    "ExpBackward0": {0: lambda g, saved, _: g * saved("result")},
    "Exp2Backward0": {0: lambda g, saved, _: g * saved("result") * _LN2},
    "Expm1Backward0": {0: lambda g, saved, _: g * (saved("result") + 1)},
    "SinhBackward0": {0: lambda g, saved, _: g * saved("self").cosh()},
    "CoshBackward0": {0: lambda g, saved, _: g * saved("self").sinh()},
    "TanBackward0": {0: lambda g, saved, _: g * (1 + saved("result").square())},
    "PowBackward0": {
        0: lambda g, saved, scene: (
            g * scene.attributes["exponent"] * saved("self").pow(scene.attributes["exponent"] - 1)
        )
    },
    "PowBackward1": {
        0: lambda g, saved, _: g * saved("exponent") * saved("self").pow(saved("exponent") - 1),
        1: lambda g, saved, _: g * saved("result") * saved("self").log(),
    },
    "AddcmulBackward0": {
        0: lambda g, _, __: g,
        1: lambda g, saved, scene: g * saved("tensor2") * scene.attributes["value"],
        2: lambda g, saved, scene: g * saved("tensor1") * scene.attributes["value"],
    },
    "AddBackward0": {0: lambda g, _, __: g, 1: lambda g, _, s: g * s.attributes["alpha"]},
    "SubBackward0": {0: lambda g, _, __: g, 1: lambda g, _, s: -g * s.attributes["alpha"]},
    "ExpandBackward0": {0: lambda g, _, __: g},
    "ToCopyBackward0": {0: lambda g, _, __: g},
}
"""By node name and slot: the derivative, in which the inputs are broadcast to the result."""


def _rows(g: torch.Tensor, right: torch.Tensor, index: tuple[int, ...]) -> torch.Tensor:
    """Terms of an element of `g @ right.mT`."""
    *batch, i, j = index
    return _double(g[(*batch, i)]) * _double(right[(*batch, j)])


def _columns(left: torch.Tensor, g: torch.Tensor, index: tuple[int, ...]) -> torch.Tensor:
    """Terms of an element of `left.mT @ g`."""
    *batch, i, j = index
    return _double(left.mT[(*batch, i)]) * _double(g.mT[(*batch, j)])


MatrixFormula = Callable[[torch.Tensor, Scene, tuple[int, ...]], torch.Tensor]

MATRICES: Mapping[str, Mapping[int, MatrixFormula]] = {
    "MmBackward0": {
        0: lambda g, s, i: _rows(g, s.saved["mat2"], i),
        1: lambda g, s, i: _columns(s.saved["self"], g, i),
    },
    "BmmBackward0": {
        0: lambda g, s, i: _rows(g, s.saved["mat2"], i),
        1: lambda g, s, i: _columns(s.saved["self"], g, i),
    },
    "AddmmBackward0": {
        1: lambda g, s, i: _rows(g, s.saved["mat2"], i) * s.attributes["alpha"],
        2: lambda g, s, i: _columns(s.saved["mat1"], g, i) * s.attributes["alpha"],
    },
    "BaddbmmBackward0": {
        1: lambda g, s, i: _rows(g, s.saved["batch2"], i) * s.attributes["alpha"],
        2: lambda g, s, i: _columns(s.saved["batch1"], g, i) * s.attributes["alpha"],
    },
    "MvBackward0": {
        0: lambda g, s, i: _double(g[i[0]]) * _double(s.saved["vec"][i[1]]),
        1: lambda g, s, i: _double(s.saved["self"][:, i[0]]) * _double(g),
    },
    "DotBackward0": {
        0: lambda g, s, i: _double(g) * _double(s.saved["tensor"][i]),
        1: lambda g, s, i: _double(g) * _double(s.saved["self"][i]),
    },
}

SUMS_OF_PRODUCTS = frozenset(
    {
        *MATRICES,
        *("AddBackward0", "AddcmulBackward0", "ExpandBackward0", "MulBackward0", "SubBackward0"),
        *("ToCopyBackward0", "PreluKernelBackward0", "MseLossBackward0"),
        *("ConvolutionBackward0", "MkldnnConvolutionBackward0", "CudnnConvolutionBackward0"),
        *("LinearBackward0", "MkldnnLinearBackward0"),
        *("CumsumBackward0", "RepeatBackward0", "EmbeddingBackward0"),
        *("IndexBackward0", "UnsafeIndexBackward0", "IndexSelectBackward0"),
        *("GatherBackward0", "TakeBackward0"),
        *("UnfoldBackward0", "AsStridedBackward0", "Im2ColBackward0"),
        *("AvgPool2DBackward0", "AvgPool3DBackward0", "MaxPool2DWithIndicesBackward0"),
        *("UpsampleNearest1DBackward0", "UpsampleNearest2DBackward0"),
        *("UpsampleLinear1DBackward0", "UpsampleBilinear2DBackward0"),
    }
)
"""Nodes that only multiply and add: from finite numbers they make Inf by overflow alone."""


def terms_of(scene: Scene, slot: int, index: tuple[int, ...]) -> torch.Tensor | None:
    """The terms, in double precision, whose sum is an element of a returned gradient.

    Args:
        scene: The node.
        slot: Which returned gradient.
        index: Which element of it.

    Returns:
        One or more terms; None if it is not known here how this node computes it.
    """
    gradient = scene.gradient
    if gradient.is_complex():
        return None
    matrix = MATRICES.get(scene.name, {}).get(slot)
    if matrix is not None:
        return matrix(gradient, scene, index).reshape(-1)
    element = ELEMENTWISE.get(scene.name, {}).get(slot)
    if element is None:
        return None
    returned = scene.returned[slot]
    parts = _parts(gradient.shape, index, () if returned is None else tuple(returned.shape))
    if gradient[parts].numel() > MAX_TERMS:
        return None

    def part(name: str) -> torch.Tensor:
        return _double(scene.saved[name].broadcast_to(gradient.shape)[parts])

    return element(_double(gradient[parts]), part, scene).reshape(-1)


def _parts(
    shape: torch.Size, index: tuple[int, ...], returned: tuple[int, ...]
) -> tuple[int | slice, ...]:
    """Where in the result's shape the elements lie that an input's element was broadcast to."""
    added = len(shape) - len(returned)
    parts: list[int | slice] = [slice(None)] * added
    for place, size, result_size in zip(index, returned, shape[added:], strict=True):
        parts.append(slice(None) if size == 1 and result_size != 1 else place)
    return tuple(parts)


def _double(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double()
