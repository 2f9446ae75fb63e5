"""Gradients and times in a cell."""

from __future__ import annotations

from math import inf, nan

import pytest

from inspect_autograd.events.records import TensorStats
from inspect_autograd.graph.tensor_meta import TensorMeta
from inspect_autograd.render.gradient_text import format_duration, gradient_text, gradients_text
from tests.unit.events.trace_parts import full

META = TensorMeta((2, 3), "float32", "cpu", "strided")


@pytest.mark.parametrize(
    ("stats", "text"),
    [
        (None, "none"),
        (TensorStats(META), "f32[2, 3]"),
        (TensorStats(META, 0.5), "f32[2, 3] |0.5|"),
        (full(nan, (2, 3)), "f32[2, 3] |nan| NaN"),
        (full(-inf, (2, 3)), "f32[2, 3] |-inf| Inf"),
        (TensorStats(META, nan_count=1, inf_count=1), "f32[2, 3] NaN and Inf"),
        (TensorStats(META, inf, nan_count=0, inf_count=0), "f32[2, 3] |inf| norm overflows"),
        (TensorStats(META, note="not\nstrided"), "f32[2, 3] (not␊strided)"),
        (TensorStats(META, 0.5, note="of the dense form"), "f32[2, 3] |0.5|"),
    ],
)
def test_one_gradient(stats: TensorStats | None, text: str) -> None:
    assert gradient_text(stats) == text


def test_slots_that_read_the_same_are_counted() -> None:
    assert gradients_text([]) == ""
    assert gradients_text([full(1.0)] * 3) == "f32[2] |1| ×3"
    assert gradients_text([None, None, full(1.0), None]) == "none ×2, f32[2] |1|, none"
    assert gradients_text([full(1.0), full(2.0)]) == "f32[2] |1|, f32[2] |2|"


def test_what_does_not_fit_is_left_out_and_said() -> None:
    slots = [full(float(i)) for i in range(10)]
    whole = ", ".join(f"f32[2] |{i}|" for i in range(10))
    assert gradients_text(slots, len(whole)) == whole
    assert gradients_text(slots, 40) == "f32[2] |0|, f32[2] |1|, … 10 in all"
    assert gradients_text(slots, 25) == "f32[2] |0|, … 10 in all"
    assert gradients_text(slots, 20) == "… 10 in all"


def test_what_is_not_finite_is_never_left_out() -> None:
    slots = [*(full(float(i)) for i in range(10)), full(nan), full(inf)]
    assert gradients_text(slots, 40) == "f32[2] |0|, … 12 in all, NaN in slot 10"
    assert gradients_text(slots, 20) == "… 12 in all, NaN in slot 10"
    assert gradients_text([full(inf), *slots], 20) == "… 13 in all, Inf in slot 0"
    assert gradients_text([full(inf), *slots[:8]], 31) == "f32[2] |inf| Inf, … 9 in all"


def test_a_single_long_gradient_loses_its_middle() -> None:
    stats = full(0.5, (1234,) * 10)
    text = gradients_text([stats], 30)
    assert len(text) == 30
    assert text.startswith("f32[1234, 12")
    assert text.endswith("|0.5|")


def test_a_single_long_gradient_keeps_that_it_is_not_finite() -> None:
    assert gradients_text([full(nan, (1234,) * 10)], 20).endswith("|nan| NaN")


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0.0 µs"),
        (400, "0.4 µs"),
        (9_949, "9.9 µs"),
        (9_951, "10 µs"),
        (12_345, "12 µs"),
        (999_400, "999 µs"),
        (1_000_000, "1.0 ms"),
        (23_400_000, "23 ms"),
        (1_000_000_000, "1.0 s"),
        (75_000_000_000, "75 s"),
    ],
)
def test_times(nanoseconds: int, text: str) -> None:
    assert format_duration(nanoseconds) == text
