"""Compare what a node returned with what finite differences expect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ...events.vjp_report import VjpArgument, VjpExample
from ..tensor_meta import TensorMetaCache
from .diagnose import Compared, is_expandable, name_fault
from .finite_differences import Differences
from .forward_call import Argument

__all__ = ["Tolerance", "describe_comparison", "gather_returned", "measure"]

_RTOL = {
    torch.float64: 1e-5,
    torch.complex128: 1e-5,
    torch.float32: 1e-3,
    torch.complex64: 1e-3,
    torch.float16: 1e-2,
    torch.complex32: 1e-2,
}
_COARSE_RTOL = 5e-2
MAX_EXAMPLES = 3
ROWS = 3
"""Vectors that gradients are computed for: two at random, and ones."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a gradient may be off: `atol + rtol * size of its terms`; None for the default."""

    rtol: float | None
    atol: float | None

    def rtol_for(self, dtypes: Sequence[torch.dtype]) -> float:
        """The relative part, by the coarsest dtype that took part."""
        if self.rtol is not None:
            return self.rtol
        return max(
            _RTOL.get(dtype, _COARSE_RTOL)
            for dtype in dtypes
            if dtype.is_floating_point or dtype.is_complex
        )


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a node returned for one argument, as the engine would take it.

    Attributes:
        rows: One row per vector; None if there is none that the engine would take.
        raw: What was returned, one tensor per vector; None if there is none.
        fault: What the engine would refuse; empty if nothing.
        note: What the engine would silently put right; empty if nothing.
    """

    rows: torch.Tensor | None
    raw: list[torch.Tensor] | None = None
    fault: str = ""
    note: str = ""


def gather_returned(returned: Sequence[Any], like: torch.Tensor, name: str) -> Gathered:
    """Bring the gradients for one argument into its shape, as the engine does.

    The engine sums a gradient that is larger than its input over the dimensions that were
    broadcast, casts its dtype, and drops the imaginary part for a real input.

    Args:
        returned: What the node returned for this argument, one per vector.
        like: The argument.
        name: Its name.
    """
    if all(value is None for value in returned):
        return Gathered(None)
    raw: list[torch.Tensor] = []
    for value in returned:
        if value is not None and not isinstance(value, torch.Tensor):
            return Gathered(None, None, f"is of type {type(value).__name__} instead of a tensor")
        gradient = torch.zeros_like(like) if value is None else value.detach()
        if gradient.layout is not torch.strided:
            gradient = gradient.to_dense()
        if gradient.is_complex() and not like.is_complex():
            gradient = gradient.real
        dtype = torch.complex128 if like.is_complex() else torch.float64
        raw.append(gradient.cpu().to(dtype))
    shape = next((gradient.shape for gradient in raw if gradient.shape != like.shape), like.shape)
    if not is_expandable(like.shape, shape):
        return Gathered(None, raw, _shape_fault(shape, like.shape))
    note = ""
    if shape != like.shape:
        note = (
            f"it returns shape {list(shape)} for {name}, whose shape is {list(like.shape)}; "
            f"autograd silently sums over {_summed(shape, like.shape)}"
        )
    rows = torch.stack([gradient.sum_to_size(like.shape).reshape(-1) for gradient in raw])
    return Gathered(rows, raw, "", note)


def _shape_fault(got: torch.Size, expected: torch.Size) -> str:
    text = f"has shape {list(got)} instead of {list(expected)}, which autograd refuses"
    if got == expected[::-1]:
        return f"{text}: it is transposed"
    if is_expandable(got, expected):
        return f"{text}: it was not expanded back"
    return text


def _summed(larger: torch.Size, shape: torch.Size) -> str:
    more = len(larger) - len(shape)
    broadcast = [more + i for i, size in enumerate(shape) if size == 1 != larger[more + i]]
    dimensions = [*range(more), *broadcast]
    return f"dimension{'s' * (len(dimensions) > 1)} {', '.join(map(str, dimensions))}"


def measure(
    gathered: Gathered,
    argument: Argument,
    like: torch.Tensor,
    differences: Differences,
    *,
    rtol: float,
    atol: float | None,
) -> Compared:
    """Expect each element by finite differences, and mark those that are not as expected."""
    slopes = list(differences.slopes(argument.tensor))
    dtype = torch.complex128 if like.is_complex() else torch.float64
    expected = torch.tensor([slope.expected for slope in slopes], dtype=dtype)
    expected = expected.reshape(-1, ROWS).T.contiguous()
    scale = torch.tensor([slope.scale for slope in slopes], dtype=torch.float64)
    noise = torch.tensor([slope.noise for slope in slopes], dtype=torch.float64)
    bend = torch.tensor([slope.bend for slope in slopes], dtype=torch.float64)
    finite = expected.isfinite().all(0) & scale.isfinite()
    smooth = finite & (bend <= 1e-2 * scale + 10 * noise)  # At a jump, `scale` means nothing.
    largest = scale[smooth].max().item() if bool(smooth.any()) else 0.0
    if atol is None:
        # Of large terms that cancel, rounding leaves a little. Where there are no terms at all,
        # what is received is the only measure.
        atol = 0.5 * rtol * largest if largest else 0.1 * rtol * differences.received_size
    atol += torch.finfo(like.dtype).smallest_normal
    tolerance = atol + rtol * scale + noise
    rows = gathered.rows if gathered.rows is not None else torch.zeros_like(expected[:2])
    known = finite.clone()
    wrong = known if gathered.fault else _is_wrong(rows, expected, tolerance) & known
    for position in [] if gathered.fault else wrong.nonzero().flatten().tolist():
        slope = slopes[position]
        if slope.bend <= 1e-2 * rtol * slope.scale + 10 * slope.noise:
            continue  # Smooth, so there is no doubt about what is expected.
        index = _unravel(position, like.shape)
        finer = differences.refine(argument.tensor, index, rtol)
        if finer is None:
            known[position] = wrong[position] = False
            continue
        expected[:, position] = torch.tensor(finer.expected, dtype=dtype)
        tolerance[position] = atol + rtol * finer.scale + finer.noise
        one = slice(position, position + 1)
        wrong[position] = _is_wrong(rows[:, one], expected[:, one], tolerance[one])[0]
    return Compared(
        name=argument.name,
        shape=like.shape,
        got=gathered.rows,
        raw=gathered.raw,
        fault=gathered.fault,
        expected=expected,
        tolerance=tolerance,
        known=known,
        wrong=wrong,
    )


def _is_wrong(rows: torch.Tensor, expected: torch.Tensor, tolerance: torch.Tensor) -> torch.Tensor:
    return ~((rows - expected[:2]).abs() <= tolerance).all(0)


def describe_comparison(
    compared: Compared, argument: Argument, like: torch.Tensor, leads_to: int
) -> VjpArgument:
    """Put the comparison into a record."""
    known = compared.known
    count = int(known.sum())
    meta = TensorMetaCache().describe(like)
    plain = VjpArgument(
        position=argument.position,
        name=argument.name,
        meta=meta,
        leads_to=leads_to,
        status="not checked",
        compared=count,
        left_out=known.numel() - count,
    )
    if not count:
        reason = (
            "the forward function has no derivative at any of its elements"
            if known.numel()
            else "it has no elements"
        )
        return replace(plain, reason=reason)
    if compared.fault:
        return replace(plain, status="wrong", diagnosis=compared.fault)
    got = compared.got if compared.got is not None else torch.zeros_like(compared.expected[:2])
    errors = (
        (got - compared.expected[:2])
        .abs()
        .amax(0)
        .nan_to_num(nan=float("inf"), posinf=float("inf"))
    )
    errors[~known] = -1.0
    largest = compared.expected[:2].abs()[:, known].max().item()
    worst = errors.max().item()
    is_wrong = bool(compared.wrong.any())
    return replace(
        plain,
        status="wrong" if is_wrong else "right",
        max_abs_error=worst,
        max_rel_error=worst / largest if largest else None,
        diagnosis=name_fault(compared) if is_wrong else "",
        examples=_examples(compared, errors, is_wrong),
    )


def _examples(compared: Compared, errors: torch.Tensor, is_wrong: bool) -> tuple[VjpExample, ...]:
    order = errors.argsort(descending=True, stable=True).tolist()
    if is_wrong:
        order = [position for position in order if compared.wrong[position]][:MAX_EXAMPLES]
    else:
        order = [int(compared.known.nonzero()[0])]
    return tuple(
        VjpExample(
            _unravel(position, compared.shape),
            compared.expected[0, position].item(),
            None if compared.got is None else compared.got[0, position].item(),
        )
        for position in order
    )


def _unravel(position: int, shape: torch.Size) -> tuple[int, ...]:
    index: list[int] = []
    for size in reversed(shape):
        position, remainder = divmod(position, size)
        index.append(remainder)
    return tuple(reversed(index))
