"""Numbers within tolerances."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspect_autograd.events.compare_gradients import Tolerance, compare_stats, format_two
from tests.unit.hand_traces import stats

TIGHT = Tolerance(1e-5, 1e-8)
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


@pytest.mark.parametrize(
    ("x", "y", "scale", "agrees"),
    [
        (1.0, 1.0 + 9e-6, 1.0, True),
        (1.0, 1.0 + 12e-6, 1.0, False),
        (1.0, 1.0 + 9e-4, 100.0, True),
        (1e-3, 1.02e-3, 1e-3, False),  # measured by the scale, and not by 1
        (0.0, 9e-9, 0.0, True),
        (0.0, 2e-8, 0.0, False),
        (math.nan, math.nan, math.nan, True),
        (math.nan, 1.0, 1.0, False),
        (math.inf, math.inf, math.inf, True),
        (math.inf, -math.inf, math.inf, False),
        (math.inf, 1e300, math.inf, False),
    ],
)
def test_tolerance(x: float, y: float, scale: float, agrees: bool) -> None:
    assert TIGHT.agrees(x, y, scale) is agrees
    assert TIGHT.agrees(y, x, scale) is agrees


@given(NUMBERS, NUMBERS)
def test_comparing_is_symmetric_and_everything_equals_itself(x: float, y: float) -> None:
    a, b = stats(x), stats(y)
    assert compare_stats(a, a, Tolerance(0.0, 0.0)) is None
    there, back = compare_stats(a, b, TIGHT), compare_stats(b, a, TIGHT)
    assert (there is None) == (back is None)
    assert there is None or back is None or there[0] == back[0]


def test_elements_are_measured_by_the_larger_gradient() -> None:
    # The largest elements are 10 and 1; the smallest are 5e-5 apart, a share of 5e-6 of 10.
    a = stats(10.0, min=0.0, max=10.0)
    b = stats(10.0, min=5e-5, max=10.0)
    assert compare_stats(a, b, TIGHT) is None
    assert compare_stats(a, stats(10.0, min=2e-4, max=10.0), TIGHT) == ("min", "0", "0.0002")
    one_sided = stats(10.0, min=0.0, max=None)
    assert compare_stats(one_sided, stats(10.0, min=5e-5, max=10.0), TIGHT) is None


def test_the_norm_comes_before_the_elements() -> None:
    found = compare_stats(stats(1.0), stats(2.0), TIGHT)
    assert found == ("l2", "|1|", "|2|")


def test_only_what_both_know_is_compared() -> None:
    assert compare_stats(stats(1.0, mean=0.5, nan_count=0, inf_count=0), stats(1.0), TIGHT) is None
    nan = stats(math.nan, nan_count=2, inf_count=0)
    assert compare_stats(nan, stats(math.nan), TIGHT) is None
    found = compare_stats(nan, stats(math.nan, nan_count=1, inf_count=0), TIGHT)
    assert found == ("non-finite", "2 NaN", "1 NaN")


@pytest.mark.parametrize(
    ("x", "y", "texts"),
    [
        (0.41, 0.52, ("0.41", "0.52")),
        (0.412345, 0.412361, ("0.412345", "0.412361")),
        (1.0, 1.0 + 2**-52, ("1", "1.0000000000000002")),
        (math.inf, 1.0, ("inf", "1")),
    ],
)
def test_two_numbers_are_told_apart(x: float, y: float, texts: tuple[str, str]) -> None:
    assert format_two(x, y) == texts
