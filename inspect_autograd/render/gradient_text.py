"""Gradients and times in a cell of a table."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from math import isinf

from ..events.records import TensorStats
from .escape import shorten, visible

__all__ = ["format_duration", "gradient_text", "gradients_text"]

MAX_NOTE_CHARS = 40


def gradient_text(stats: TensorStats | None) -> str:
    """One gradient, `f32[2, 3] |0.234|`; `none` where there is none."""
    if stats is None:
        return "none"
    text = visible(str(stats))
    if stats.problem and stats.problem not in text:
        text += f" {stats.problem}"
    if stats.is_finite and stats.l2 is not None and isinf(stats.l2):
        text += " norm overflows"
    if stats.l2 is None and stats.note:
        text += f" ({visible(shorten(stats.note, MAX_NOTE_CHARS))})"
    return text


def gradients_text(slots: Sequence[TensorStats | None], width: int | None = None) -> str:
    """The gradients of several slots; those in a row that read the same are counted.

    Args:
        slots: One gradient per slot.
        width: Longest text. What does not fit is left out, which is said, and so is the first
            slot that is not finite among them.
    """
    runs = [(text, len([*run])) for text, run in groupby(map(gradient_text, slots))]
    texts = [text if count == 1 else f"{text} ×{count}" for text, count in runs]
    whole = ", ".join(texts)
    if width is None or len(whole) <= width:
        return whole
    for shown in range(len(texts) - 1, 0, -1):
        rest = _rest(slots, first=sum(count for _, count in runs[:shown]))
        text = f"{', '.join(texts[:shown])}, {rest}"
        if len(text) <= width:
            return text
    return shorten(whole, width) if len(slots) == 1 else _rest(slots, first=0)


def _rest(slots: Sequence[TensorStats | None], first: int) -> str:
    text = f"… {len(slots)} in all"
    for slot, stats in enumerate(slots[first:], first):
        if stats is not None and stats.problem:
            return f"{text}, {stats.problem} in slot {slot}"
    return text


def format_duration(nanoseconds: int) -> str:
    """A time as a person reads it: `0.4 µs`, `12 µs`, `3.5 ms`, `1.2 s`."""
    size, unit = 1000, "µs"
    if nanoseconds >= 1_000_000_000:
        size, unit = 1_000_000_000, "s"
    elif nanoseconds >= 1_000_000:
        size, unit = 1_000_000, "ms"
    value = nanoseconds / size
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
