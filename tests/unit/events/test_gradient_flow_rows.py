"""Rows: the sums of a module, and what is unknown in them."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspect_autograd.events.gradient_deliveries import Delivery
from inspect_autograd.events.gradient_flow_rows import (
    NO_NAME,
    SEVERITY,
    Flag,
    FlowRow,
    group_by_module,
    make_row,
)
from inspect_autograd.events.records import TensorStats, TracedParameter
from inspect_autograd.graph.tensor_meta import TensorMeta
from tests.unit.hand_traces import stats


def row(name: str, l2: float | None = 1.0, **fields: Any) -> FlowRow:
    """The row of a parameter with four elements."""
    known: dict[str, Any] = {
        "names": (name,) if name else (),
        "meta": TensorMeta((4,), "float32"),
        "parameters": 1,
        "missing": int(l2 is None),
        "numel": 4,
        "l2": l2,
        "max_abs": l2,
        "zero_share": 0.0,
        "parameter_l2": 1.0,
        "update_ratio": None,
        "deliveries": int(l2 is not None),
    }
    return FlowRow(name=name or "leaf #1", **(known | fields))


def joined(*rows: FlowRow, rate: float | None = None) -> FlowRow:
    (module,) = group_by_module(rows, rate)
    return module


# -- one parameter -----------------------------------------------------------------------------


def made(gradient: TensorStats | None, count: int = 1, l2: float | None = 2.0) -> FlowRow:
    parameter = TracedParameter(("w", "tied"), TensorMeta((4,), "float32"), 1, l2)
    return make_row(parameter, Delivery(gradient, count, 0, ""), 0.5)


def test_a_row_has_the_numbers_of_its_gradient() -> None:
    found = made(stats(4.0, min=-3.0, max=1.0, zero_count=1))
    assert (found.name, found.names) == ("w", ("w", "tied"))
    assert (found.l2, found.max_abs, found.zero_share) == (4.0, 3.0, 0.25)
    assert (found.rms, found.update_ratio) == (2.0, 1.0)
    assert (found.parameters, found.missing, found.note) == (1, 0, "")


def test_no_gradient_has_no_numbers() -> None:
    found = made(None, 0)
    assert found.missing == 1
    numbers = (found.l2, found.max_abs, found.zero_share, found.update_ratio, found.rms)
    assert numbers == (None,) * 5
    assert found.parameter_l2 == 2.0


@pytest.mark.parametrize("norm", [0.0, None])
def test_a_parameter_of_zeros_or_of_unknown_norm_has_no_ratio(norm: float | None) -> None:
    assert made(stats(4.0), l2=norm).update_ratio is None


def test_notes_of_a_gradient_are_kept() -> None:
    assert made(stats(4.0, note="about the values"), 3).note == (
        "largest of 3 deliveries; about the values"
    )
    assert made(TensorStats(TensorMeta((4,), "float32"))).note == "its norm was not computed"


@pytest.mark.parametrize(
    ("l2", "max_abs", "magnitude"),
    [
        (2.0, 1.0, 2.0),
        (0.0, 1e-30, 1e-30),  # The squares of float32 numbers of this size are 0.
        (math.inf, 1e30, math.inf),
        (3.0, None, 3.0),
        (None, 2.0, 2.0),
        (None, None, None),
    ],
)
def test_the_magnitude_survives_squares_that_underflow(
    l2: float | None, max_abs: float | None, magnitude: float | None
) -> None:
    found = row("w", l2, max_abs=max_abs)
    assert found.magnitude == magnitude
    assert found.rms == (None if magnitude is None else magnitude / 2)


def test_nan_stays_nan() -> None:
    for l2, max_abs in ((math.nan, 1.0), (1.0, math.nan), (math.nan, None)):
        magnitude = row("w", l2, max_abs=max_abs).magnitude
        assert magnitude is not None
        assert math.isnan(magnitude)


@pytest.mark.parametrize("numel", [0, None])
def test_without_elements_there_is_no_mean_square(numel: int | None) -> None:
    assert row("w", 0.0, numel=numel).rms is None


# -- a module ----------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1e200), min_size=1, max_size=6))
def test_norms_are_joined_as_those_of_one_vector(norms: list[float]) -> None:
    found = joined(*[row(f"m.p{i}", norm, parameter_l2=norm) for i, norm in enumerate(norms)])
    assert found.l2 == pytest.approx(math.hypot(*norms))
    assert found.parameter_l2 == pytest.approx(math.hypot(*norms))
    assert found.max_abs == max(norms)


def test_what_is_unknown_of_one_is_unknown_of_all() -> None:
    assert joined(row("m.a"), row("m.b", parameter_l2=None), rate=0.1).parameter_l2 is None
    assert joined(row("m.a"), row("m.b", parameter_l2=None), rate=0.1).update_ratio is None
    assert joined(row("m.a"), row("m.b", numel=None)).numel is None
    assert joined(row("m.a"), row("m.b", zero_share=None)).zero_share is None


def test_shares_of_zeros_are_weighted_by_size() -> None:
    found = joined(row("m.a", zero_share=0.5, numel=4), row("m.b", zero_share=1.0, numel=12))
    assert found.zero_share == pytest.approx((2 + 12) / 16)
    # A missing gradient has no elements that could be 0.
    found = joined(row("m.a", zero_share=0.5), row("m.b", None, zero_share=None))
    assert found.zero_share == 0.5
    empty = row("m.e", 0.0, numel=0, zero_share=None)
    assert joined(row("m.a", zero_share=0.5), empty).zero_share == 0.5
    assert joined(empty).zero_share is None


def test_nan_in_one_is_nan_in_all_even_beside_an_infinity() -> None:
    found = joined(row("m.a", math.inf), row("m.b", math.nan))
    assert found.l2 is not None
    assert math.isnan(found.l2)
    assert found.max_abs is not None
    assert math.isnan(found.max_abs)
    assert joined(row("m.a", math.inf), row("m.b", 1.0)).l2 == math.inf


def test_missing_and_unknown_are_counted_apart() -> None:
    unknown = row("m.c", None, missing=0, deliveries=1)
    found = joined(row("m.a", 3.0), row("m.b", None), unknown, row("m.d", 4.0, deliveries=2))
    assert found.l2 == 5.0
    assert (found.parameters, found.missing, found.deliveries) == (4, 1, 4)
    assert found.note == (
        "1 of 4 gradients missing; 1 of 4 without a norm, left out; "
        "1 of 4 show the largest of several deliveries"
    )
    assert joined(row("m.a", None)).l2 is None


def test_the_update_ratio_is_that_of_the_joined_norms() -> None:
    found = joined(row("m.a", 3.0, parameter_l2=6.0), row("m.b", 4.0, parameter_l2=8.0), rate=0.1)
    assert found.update_ratio == pytest.approx(0.1 * 5 / 10)


def test_modules_come_in_the_order_of_their_first_parameter() -> None:
    rows = [row(name) for name in ("b.w", "a.x.w", "top", "b.b", "a.w")] + [row("")]
    groups = group_by_module(rows, None)
    assert [group.name for group in groups] == ["b", "a.x", "", "a", NO_NAME]
    assert groups[0].names == ("b.w", "b.b")


@pytest.mark.parametrize(
    ("depth", "names"),
    [(None, ["a.x.y", "a.x", "b"]), (2, ["a.x", "b"]), (1, ["a", "b"])],
)
def test_outer_modules(depth: int | None, names: list[str]) -> None:
    rows = [row(name) for name in ("a.x.y.w", "a.x.w", "b.w")]
    assert [group.name for group in group_by_module(rows, None, depth)] == names


def test_flags_are_counted_and_name_the_first_parameter() -> None:
    dead, missing = Flag("dead", "every element is 0"), Flag("missing", "no reason")
    both = (Flag("exploding", "huge"), Flag("mostly zero", "97%"))
    found = joined(
        row("m.a", flags=(dead,)), row("m.b", flags=both), row("m.c", flags=(dead,)),
        row("m.d", None, flags=(missing,)),
    )  # fmt: skip
    assert [(flag.kind, flag.count, flag.text) for flag in found.flags] == [
        ("exploding", 1, "b: huge"),
        ("missing", 1, "d: no reason"),
        ("dead", 2, "a: every element is 0, and 1 more"),
        ("mostly zero", 1, "b: 97%"),
    ]
    assert [str(flag) for flag in found.flags] == ["exploding", "missing", "dead ×2", "mostly zero"]
    assert len({*SEVERITY}) == 8
