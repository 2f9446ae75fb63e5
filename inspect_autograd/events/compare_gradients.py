"""Whether two gradients, or all gradients of two events, agree within tolerances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from typing import Literal

from ..graph.tensor_meta import TensorMeta
from .records import Event, TensorStats

__all__ = [
    "GradientDifference",
    "Tolerance",
    "compare_events",
    "compare_stats",
    "format_two",
]

What = Literal["slots", "presence", "shape", "dtype", "layout", "non-finite", "l2", "min", "max",
               "mean"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class GradientDifference:
    """The first way in which the gradients of two events differ.

    Attributes:
        side: Whether they were received or returned.
        slot: Which slot; None where the number of slots differs.
        what: What differs: the number of `slots`; `presence`, where only one side has a gradient;
            `shape`, `dtype` or `layout`; `non-finite`, where NaN or Inf are on one side only, or
            not as many; or one of the numbers of `TensorStats`.
        a: What it is in the first trace, in words.
        b: What it is in the second.
        value_a: The number, where `what` is one.
        value_b: The number of the second.
        relative: Their distance as a share of the larger norm, or for an element or the mean of
            the largest element; None where there is no finite one.
    """

    side: Literal["received", "returned"]
    slot: int | None
    what: What
    a: str
    b: str
    value_a: float | None = None
    value_b: float | None = None
    relative: float | None = None

    @property
    def place(self) -> str:
        """`returned[2]`, or `returned` where the number of slots differs."""
        return self.side if self.slot is None else f"{self.side}[{self.slot}]"

    def __str__(self) -> str:
        kind = {"l2": "", "presence": "", "non-finite": "", "slots": ""}.get(
            self.what, f"{self.what} "
        )
        text = f"{self.place} {kind}{self.a} against {self.b}"
        return text if self.relative is None else f"{text}, relative difference {self.relative:.2g}"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far numbers may be apart."""

    rtol: float
    atol: float

    def agrees(self, x: float, y: float, scale: float) -> bool:
        """Whether two numbers are within `atol + rtol · scale`; NaN agrees with NaN."""
        if x == y or (isnan(x) and isnan(y)):
            return True
        if not (isfinite(x) and isfinite(y)):
            return False
        return abs(x - y) <= self.atol + self.rtol * scale


def compare_events(a: Event, b: Event, tolerance: Tolerance) -> GradientDifference | None:
    """The first difference between two events, what they received first; None if they agree."""
    sides: tuple[Literal["received", "returned"], ...] = ("received", "returned")
    for side in sides:
        ours: Sequence[TensorStats | None] = getattr(a, side)
        theirs: Sequence[TensorStats | None] = getattr(b, side)
        for slot, (x, y) in enumerate(zip(ours, theirs, strict=False)):
            if x is y:
                continue
            found = _compare_slot(side, slot, x, y, tolerance)
            if found is not None:
                return found
        if len(ours) != len(theirs):
            return GradientDifference(
                side, None, "slots", _count_slots(len(ours)), _count_slots(len(theirs))
            )
    return None


def _count_slots(count: int) -> str:
    return f"{count} slot{'s' * (count != 1)}"


def _compare_slot(
    side: Literal["received", "returned"],
    slot: int,
    a: TensorStats | None,
    b: TensorStats | None,
    tolerance: Tolerance,
) -> GradientDifference | None:
    if a is None or b is None:
        if a is b:
            return None
        return GradientDifference(side, slot, "presence", _describe(a), _describe(b))
    found = compare_stats(a, b, tolerance)
    if found is None:
        return None
    what, text_a, text_b = found
    if what not in ("l2", "min", "max", "mean"):
        return GradientDifference(side, slot, what, text_a, text_b)
    x, y = getattr(a, what), getattr(b, what)
    scale = _scale(what, a, b)
    distance = abs(x - y)
    relative = distance / scale if isfinite(distance) and scale > 0 and isfinite(scale) else None
    return GradientDifference(side, slot, what, text_a, text_b, x, y, relative)


def _describe(stats: TensorStats | None) -> str:
    return "None" if stats is None else str(stats)


def compare_stats(
    a: TensorStats, b: TensorStats, tolerance: Tolerance
) -> tuple[What, str, str] | None:
    """What differs between two gradients, and what it is on either side; None if they agree.

    Compared is what both have: a number that is None on one side is not.
    """
    if a.meta is not b.meta and a.meta != b.meta:
        meta = _compare_meta(a.meta, b.meta)
        if meta is not None:
            return meta
    if _differ_in_nonfinite(a, b):
        return "non-finite", _describe_finite(a), _describe_finite(b)
    for what in ("l2", "min", "max", "mean"):
        x, y = getattr(a, what), getattr(b, what)
        if x is None or y is None or tolerance.agrees(x, y, _scale(what, a, b)):
            continue
        text_a, text_b = format_two(x, y)
        if what == "l2":
            return "l2", f"|{text_a}|", f"|{text_b}|"
        return what, text_a, text_b
    return None


def _compare_meta(a: TensorMeta, b: TensorMeta) -> tuple[What, str, str] | None:
    if not _same_shape(a.shape, b.shape):
        return "shape", _format_shape(a.shape), _format_shape(b.shape)
    if a.dtype != b.dtype:
        return "dtype", a.dtype, b.dtype
    if a.layout != b.layout and a.layout is not None and b.layout is not None:
        return "layout", a.layout, b.layout
    return None


def _same_shape(a: tuple[int | str, ...] | None, b: tuple[int | str, ...] | None) -> bool:
    if a is None or b is None:
        return True  # Unknown on one side.
    # The name of a symbolic size may stand for any number, and differs from run to run.
    return len(a) == len(b) and all(
        x == y or isinstance(x, str) or isinstance(y, str) for x, y in zip(a, b, strict=True)
    )


def _format_shape(shape: tuple[int | str, ...] | None) -> str:
    return "?" if shape is None else f"[{', '.join(map(str, shape))}]"


def _differ_in_nonfinite(a: TensorStats, b: TensorStats) -> bool:
    finite_a, finite_b = a.is_finite, b.is_finite
    if finite_a is None or finite_b is None:
        return False
    if finite_a != finite_b:
        return True
    counts = ((a.nan_count, b.nan_count), (a.inf_count, b.inf_count))
    return any(x != y for x, y in counts if x is not None and y is not None)


def _describe_finite(stats: TensorStats) -> str:
    if stats.is_finite:
        return "finite" if stats.l2 is None else f"finite |{stats.l2:.3g}|"
    counts = [("NaN", stats.nan_count), ("Inf", stats.inf_count)]
    return " and ".join(f"{count} {name}" for name, count in counts if count) or stats.problem


def _scale(what: str, a: TensorStats, b: TensorStats) -> float:
    """What a difference is measured by."""
    if what == "l2":
        return max(abs(a.l2 or 0.0), abs(b.l2 or 0.0))
    # The rounding errors of an element are as large as the terms it is a sum of, and the smallest
    # or the mean element may be next to 0 where others are not.
    return max(a.max_abs or 0.0, b.max_abs or 0.0)


def format_two(x: float, y: float) -> tuple[str, str]:
    """Both numbers, with as many digits as it takes to tell them apart."""
    for digits in (3, 6, 9, 17):
        texts = f"{x:.{digits}g}", f"{y:.{digits}g}"
        if texts[0] != texts[1]:
            return texts
    return f"{x:.3g}", f"{y:.3g}"
