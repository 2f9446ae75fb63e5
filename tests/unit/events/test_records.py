"""What the records of a trace say of themselves."""

from __future__ import annotations

from math import inf, isnan, nan
from typing import Any

import pytest

from inspect_autograd.events.records import Event, TensorStats
from inspect_autograd.graph.tensor_meta import TensorMeta
from tests.unit.events.trace_parts import backward_pass, full

META = TensorMeta((2, 3), "float32", "cpu", "strided")


def known(**numbers: Any) -> TensorStats:
    return TensorStats(META, **numbers)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({}, None),
        ({"nan_count": 0, "inf_count": 0}, True),
        ({"nan_count": 1, "inf_count": 0}, False),
        ({"nan_count": 0, "inf_count": 1}, False),
        # The squares may overflow though every element is finite: the elements decide.
        ({"l2": inf, "nan_count": 0, "inf_count": 0}, True),
        ({"l2": inf, "min": -1e30, "max": 1e30}, True),
        ({"l2": inf, "min": 0.0, "max": inf}, False),
        ({"l2": nan, "min": nan, "max": nan}, False),
        ({"l2": 1.0}, True),
        ({"l2": nan}, False),
        ({"l2": inf}, None),
        ({"min": -inf}, None),
    ],
)
def test_is_finite(numbers: dict[str, Any], expected: bool | None) -> None:
    assert known(**numbers).is_finite is expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-3.0, 2.0, 3.0), (1.0, 2.0, 2.0), (-inf, 0.0, inf), (None, 2.0, None), (2.0, None, None)],
)
def test_max_abs(low: float | None, high: float | None, expected: float | None) -> None:
    assert known(min=low, max=high).max_abs == expected


def test_max_abs_of_nan() -> None:
    assert isnan(known(min=nan, max=nan).max_abs or 0.0)


def test_zero_share() -> None:
    assert known(zero_count=3).zero_share == 0.5
    assert known(zero_count=0).zero_share == 0.0
    assert known().zero_share is None
    assert TensorStats(TensorMeta((0,), "float32"), zero_count=0).zero_share is None
    assert TensorStats(TensorMeta(None, "float32"), zero_count=1).zero_share is None
    assert TensorStats(TensorMeta(("s0",), "float32"), zero_count=1).zero_share is None


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({}, ""),
        ({"nan_count": 0, "inf_count": 0}, ""),
        ({"nan_count": 2, "inf_count": 0}, "NaN"),
        ({"nan_count": 0, "inf_count": 2}, "Inf"),
        ({"nan_count": 1, "inf_count": 1}, "NaN and Inf"),
        ({"l2": nan, "min": nan, "max": nan}, "NaN"),
        ({"l2": inf, "min": -inf, "max": 0.0}, "Inf"),
        ({"l2": inf, "min": -1e30, "max": 0.0}, ""),
    ],
)
def test_problem(numbers: dict[str, Any], expected: str) -> None:
    assert known(**numbers).problem == expected


def test_text() -> None:
    assert str(known()) == "f32[2, 3]"
    assert str(known(l2=0.23456)) == "f32[2, 3] |0.235|"
    assert str(known(l2=0.0)) == "f32[2, 3] |0|"
    assert str(known(l2=nan, min=nan, max=nan)) == "f32[2, 3] |nan| NaN"
    assert str(known(l2=inf, nan_count=0, inf_count=1)) == "f32[2, 3] |inf| Inf"


def test_an_event_is_as_finite_as_its_gradients() -> None:
    def event(*returned: TensorStats | None) -> bool | None:
        return Event(0, 0, 0, 0, 0, 0, (full(1.0),), returned).is_finite

    assert event() is True
    assert event(None, full(2.0)) is True
    assert event(known(), full(2.0)) is None
    assert event(known(), full(nan)) is False


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("/project/train.py", "train.py:41"),
        ("C:\\project\\train.py", "train.py:41"),
        ("train.py", "train.py:41"),
        (None, "unknown place"),
    ],
)
def test_place(file: str | None, place: str) -> None:
    assert backward_pass(file=file).place == place
