"""The criteria of the flags, at and around their thresholds."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from inspect_autograd.events import gradient_flow_flags as module
from inspect_autograd.events.gradient_deliveries import Delivery
from inspect_autograd.events.gradient_flow_flags import (
    SMALLEST_NORMAL,
    NearLoss,
    find_looked_up,
    find_near_loss,
    flag_rows,
    format_share,
)
from inspect_autograd.events.gradient_flow_rows import FlowRow, make_row
from inspect_autograd.events.records import TensorStats, TracedParameter
from inspect_autograd.graph.tensor_meta import TensorMeta
from tests.unit.hand_traces import stats
from tests.unit.render.graphs import make_graph

NEAR = NearLoss(weights=1.0, biases=1.0)


def parts(
    gradient: TensorStats | None,
    *,
    name: str = "fc.weight",
    shape: tuple[int, ...] = (2, 2),
    l2: float | None = 1.0,
    dtype: str = "float32",
    rate: float | None = None,
    rank: int = 0,
) -> tuple[FlowRow, Delivery]:
    parameter = TracedParameter((name,), TensorMeta(shape, dtype), 1, l2)
    found = None if gradient is None else rank
    delivery = Delivery(gradient, int(gradient is not None), found, "" if gradient else "because")
    return make_row(parameter, delivery, rate), delivery


def flagged(gradient: TensorStats | None, near: NearLoss = NEAR, **fields: Any) -> FlowRow:
    row, delivery = parts(gradient, **fields)
    (found,) = flag_rows([row], [delivery], near, [False])
    return found


def kinds(gradient: TensorStats | None, near: NearLoss = NEAR, **fields: Any) -> list[str]:
    return [flag.kind for flag in flagged(gradient, near, **fields).flags]


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        (0.0, ["dead"]),
        # Four elements: the RMS is half the norm.
        (1.9e-6, ["vanishing"]),
        (2.1e-6, []),
        (1.0, []),
        (0.99e6, []),
        (1.01e6, ["exploding"]),  # against the norm of the parameter, 1
        (math.inf, ["exploding"]),
    ],
)
def test_sizes_of_a_weight(norm: float, expected: list[str]) -> None:
    largest = min(norm, 1e30)
    assert kinds(stats(norm, (2, 2), min=-largest, max=largest)) == expected


def test_a_bias_is_not_compared_with_its_own_values() -> None:
    bias: dict[str, Any] = {"shape": (4,), "name": "fc.bias"}
    assert kinds(stats(1.01e6), **bias) == []
    assert kinds(stats(1.9e6), **bias) == []
    assert kinds(stats(2.1e6), **bias) == ["exploding"]  # against the RMS near the loss
    assert flagged(stats(1.0), **bias).exploding_above == pytest.approx(2e6)
    assert flagged(stats(1.0, (2, 2))).exploding_above == pytest.approx(1e6)


def test_thresholds_of_the_row_are_those_that_flag() -> None:
    cases: list[dict[str, Any]] = [{}, {"shape": (4,), "name": "b"}, {"l2": None}, {"l2": 0.0}]
    for fields in cases:
        row = flagged(stats(1.0, (4,)), **fields)
        assert row.vanishing_below is not None
        assert row.exploding_above is not None
        low, high = row.vanishing_below, row.exploding_above
        assert kinds(stats(low * 0.99), **fields) == ["vanishing"]
        assert kinds(stats(low * 1.01), **fields) == []
        assert kinds(stats(high * 0.99), **fields) == []
        assert kinds(stats(high * 1.01), **fields) == ["exploding"]


def test_weights_and_biases_have_their_own_measure() -> None:
    near = NearLoss(weights=1e10, biases=1.0)
    assert kinds(stats(1.0), near) == ["vanishing"]
    assert kinds(stats(1.0), near, shape=(4,)) == []
    assert kinds(stats(1.0), NearLoss(None, None)) == []
    assert kinds(stats(1e-30), NearLoss(None, 1.0)) == []


@pytest.mark.parametrize("dtype", SMALLEST_NORMAL)
def test_smallest_normal_numbers_are_those_of_torch(dtype: str) -> None:
    smallest = torch.finfo(getattr(torch, dtype)).smallest_normal
    assert SMALLEST_NORMAL[dtype] == smallest
    near = NearLoss(None, None)
    if dtype != "float64":  # Half of its smallest normal number has no exact square root.
        assert kinds(stats(smallest * 1.9, (2, 2)), near, dtype=dtype) == ["vanishing"]
        text = flagged(stats(smallest * 1.9, (2, 2)), near, dtype=dtype).flags[0].text
        assert text.endswith(f"below the normal numbers of {dtype}")
    assert kinds(stats(smallest * 2.1, (2, 2)), near, dtype=dtype) == []


def test_a_norm_that_overflowed_is_told_from_infinite_elements() -> None:
    overflowed = stats(math.inf, (2, 2), min=-1e30, max=1e30)
    (flag,) = flagged(overflowed).flags
    assert (flag.kind, flag.text) == (
        "exploding", "every element is finite, but its norm is not"
    )  # fmt: skip
    assert kinds(stats(math.inf)) == ["non-finite"]


def test_a_norm_that_underflowed_is_not_dead() -> None:
    assert kinds(stats(0.0, (2, 2), min=-1e-30, max=1e-30)) == ["vanishing"]
    assert kinds(stats(0.0, (2, 2), min=0.0, max=0.0)) == ["dead"]
    assert kinds(stats(0.0, (2, 2), min=None, max=None)) == ["dead"]


@pytest.mark.parametrize(
    ("gradient", "text"),
    [
        (stats(math.nan, nan_count=1, inf_count=0), "NaN in 1 of 4 elements"),
        (stats(math.nan, nan_count=1, inf_count=2), "NaN in 1 and Inf in 2 of 4 elements"),
        (stats(math.nan), "NaN"),
        (stats(math.inf), "Inf"),
    ],
)
def test_what_is_not_finite_is_counted_where_it_is_known(gradient: TensorStats, text: str) -> None:
    (flag,) = flagged(gradient).flags
    assert (flag.kind, flag.text) == ("non-finite", text)


@pytest.mark.parametrize(
    ("zeros", "expected"), [(94, []), (95, []), (96, ["mostly zero"]), (100, ["mostly zero"])]
)
def test_mostly_zero(zeros: int, expected: list[str]) -> None:
    gradient = stats(1.0, (10, 10), zero_count=zeros)
    assert kinds(gradient, shape=(10, 10)) == expected
    row, delivery = parts(gradient, shape=(10, 10))
    (found,) = flag_rows([row], [delivery], NEAR, [True])
    assert found.flags == ()
    assert bool(found.note) == bool(expected)


def test_a_row_may_have_two_flags_worst_first() -> None:
    gradient = stats(1e7, (10, 10), zero_count=99)
    assert kinds(gradient, shape=(10, 10)) == ["exploding", "mostly zero"]
    row, delivery = parts(gradient, shape=(10, 10))
    (found,) = flag_rows([row], [delivery], NEAR, [True])
    assert [flag.kind for flag in found.flags] == ["exploding"]


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (0.9e-6, ["update too small"]),
        (1.1e-6, []),
        (1e-3, []),
        (0.09, []),
        (0.11, ["update too large"]),
    ],
)
def test_update_ratios(ratio: float, expected: list[str]) -> None:
    assert kinds(stats(1.0, (2, 2)), rate=ratio) == expected
    assert kinds(stats(1.0), rate=ratio, shape=(4,)) == []
    assert kinds(stats(1.0, (2, 2)), rate=ratio, l2=0.0) == []


def test_an_update_is_not_judged_where_the_gradient_is_flagged() -> None:
    assert kinds(stats(0.0), rate=0.1) == ["dead"]
    assert kinds(stats(1e-9), rate=0.1) == ["vanishing"]
    assert kinds(stats(1e9), rate=0.1) == ["exploding"]
    assert kinds(None, rate=0.1) == ["missing"]
    assert flagged(None).flags[0].text == "because"


def test_empty_parameters_and_unknown_sizes_are_not_judged() -> None:
    empty = TensorStats(TensorMeta((0, 4), "float32"), 0.0)
    assert kinds(empty, shape=(0, 4)) == []
    assert kinds(TensorStats(TensorMeta((2, 2), "float32"))) == []
    row, delivery = parts(stats(1e-30))
    row = replace(row, numel=None, meta=TensorMeta(("s0", 2), "float32"))
    (found,) = flag_rows([row], [delivery], NEAR, [False])
    assert found.flags == ()
    assert found.vanishing_below is None


# -- what cancels out --------------------------------------------------------------------------


def pair(
    weight: float, bias: float, *, prefix: str = "fc.", near: NearLoss = NEAR
) -> tuple[list[str], str]:
    both = [
        parts(stats(weight, (2, 2)), name=f"{prefix}weight"),
        parts(stats(bias), name=f"{prefix}bias", shape=(4,)),
    ]
    rows = flag_rows([row for row, _ in both], [d for _, d in both], near, [False, False])
    return [flag.kind for row in rows for flag in row.flags], rows[1].note


def test_a_bias_of_noise_beside_a_healthy_weight_is_no_alarm() -> None:
    assert pair(1.0, 1e-8) == ([], "only rounding noise, as of a bias before a normalisation")
    # With the weight next to vanishing, the bias is on the same way down.
    assert pair(1e-4, 1e-6) == (["vanishing"], "")
    assert pair(1e-8, 1e-8) == (["vanishing", "vanishing"], "")
    assert pair(1e-8, 1.0) == (["vanishing"], "")


def test_parameters_of_the_outermost_module_need_not_be_of_one_layer() -> None:
    assert pair(1.0, 1e-8, prefix="") == (["vanishing"], "")


def test_without_weights_near_the_loss_nothing_is_known_of_noise() -> None:
    assert pair(1.0, 1e-8, near=NearLoss(None, 1.0)) == (["vanishing"], "")


# -- near the loss -----------------------------------------------------------------------------


def near_loss(*gradients: TensorStats | None, shape: tuple[int, ...] = (4,)) -> NearLoss:
    both = [parts(g, shape=shape, rank=rank) for rank, g in enumerate(gradients)]
    return find_near_loss([row for row, _ in both], [delivery for _, delivery in both])


def test_the_largest_of_the_first_three_counts() -> None:
    assert near_loss(stats(2.0), stats(6.0), stats(4.0), stats(100.0)) == NearLoss(None, 3.0)
    assert near_loss(stats(2.0), shape=(2, 2)) == NearLoss(1.0, None)
    assert near_loss() == NearLoss(None, None)


def test_what_tells_nothing_is_passed_over() -> None:
    gradients = (stats(0.0), stats(math.nan), stats(math.inf), None, TensorStats(NAN_META))
    assert near_loss(*gradients) == NearLoss(None, None)
    assert near_loss(*gradients, stats(2.0), stats(4.0), stats(6.0), stats(8.0)) == (
        NearLoss(None, 3.0)
    )


NAN_META = TensorMeta((4,), "float32")


def test_the_order_of_arrival_counts_and_not_that_of_the_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_NEAREST", 1)
    both = [parts(stats(2.0), shape=(4,), rank=9), parts(stats(8.0), shape=(4,), rank=4)]
    near = find_near_loss([row for row, _ in both], [delivery for _, delivery in both])
    assert near.biases == 4.0


# -- tables of which rows are looked up --------------------------------------------------------


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        (["EmbeddingBackward0"], True),
        (["SliceBackward0", "SliceBackward0"], True),
        (["EmbeddingBackward0", "TBackward0"], False),  # A tied output layer uses all of it.
        (["AddmmBackward0"], False),
        ([], False),
    ],
)
def test_looked_up(users: list[str], expected: bool) -> None:
    leaf = len(users)
    graph = make_graph(
        [*users, "AccumulateGrad"], [(i, leaf) for i in range(leaf)], leaves={leaf: "table"}
    )
    is_looked_up = find_looked_up(graph)
    assert is_looked_up(leaf) is expected
    assert is_looked_up(None) is False


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0%"),
        (1.0, "100%"),
        (0.5, "50%"),
        (0.9999999, "99.9%"),
        (1e-9, "0.1%"),
        (0.995, "99.5%"),
        (0.004, "0.4%"),
    ],
)
def test_a_share_is_all_or_nothing_only_where_it_is(share: float, text: str) -> None:
    assert format_share(share) == text
