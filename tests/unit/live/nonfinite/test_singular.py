"""Points without a finite derivative: every function of the table, at such a point and masked."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from inspect_autograd.live.nonfinite.singular import RULES, SINGULAR
from tests.unit.live.nonfinite.births import Seen, births, f32, first_birth

special = torch.special
Function = Callable[[torch.Tensor], torch.Tensor]


def reference(function: Function, x: torch.Tensor) -> Seen:
    """The birth in the sum of the function at these points."""
    return first_birth(function(x).sum())


# The node, a function of one argument, a point where its derivative is not finite, one where it
# is, and the rule.
AT_A_POINT: list[tuple[str, Function, float, float, str]] = [
    ("SqrtBackward0", torch.sqrt, 0, 4, "sqrt-at-zero"),
    ("RsqrtBackward0", torch.rsqrt, 0, 4, "rsqrt-at-zero"),
    ("LogBackward0", torch.log, 0, 4, "log-at-zero"),
    ("Log2Backward0", torch.log2, 0, 4, "log-at-zero"),
    ("Log10Backward0", torch.log10, 0, 4, "log-at-zero"),
    ("Log1PBackward0", torch.log1p, -1, 4, "log-at-zero"),
    ("XlogyBackward0", lambda x: torch.xlogy(torch.ones(2), x), 0, 4, "log-at-zero"),
    ("XlogyBackward1", lambda x: torch.xlogy(2.0, x), 0, 4, "log-at-zero"),
    ("SpecialXlog1PyBackward0", lambda x: special.xlog1py(torch.ones(2), x), -1, 4, "log-at-zero"),
    ("SpecialXlog1PyBackward1", lambda x: special.xlog1py(2.0, x), -1, 4, "log-at-zero"),
    ("SpecialEntrBackward0", special.entr, 0, 4, "log-at-zero"),
    ("LogitBackward0", torch.logit, 1, 0.5, "logit-at-bound"),
    ("LogitBackward0", torch.logit, 0, 0.5, "logit-at-bound"),
    ("LogitBackward0", torch.logit, 1.5, 0.5, "outside-domain"),
    ("DivBackward0", lambda x: torch.ones(2) / x, 0, 4, "division-by-zero"),
    ("DivBackward2", lambda x: torch.div(x, x, rounding_mode=None), 0, 4, "division-by-zero"),
    ("FmodBackward1", lambda x: torch.fmod(torch.ones(2), x), 0, 4, "division-by-zero"),
    ("RemainderBackward1", lambda x: torch.remainder(torch.ones(2), x), 0, 4, "division-by-zero"),
    (
        "AddcdivBackward0",
        lambda x: torch.addcdiv(torch.ones(2), torch.ones(2), x),
        0,
        4,
        "division-by-zero",
    ),
    ("ReciprocalBackward0", torch.reciprocal, 0, 4, "division-by-zero"),
    ("ReciprocalBackward0", lambda x: 1 / x, 0, 4, "division-by-zero"),
    ("AcosBackward0", torch.acos, 1, 0.5, "acos-at-one"),
    ("AcosBackward0", torch.acos, 2, 0.5, "outside-domain"),
    ("AsinBackward0", torch.asin, -1, 0.5, "asin-at-one"),
    ("AsinBackward0", torch.asin, -2, 0.5, "outside-domain"),
    ("AtanhBackward0", torch.atanh, 1, 0.5, "atanh-at-one"),
    ("ErfinvBackward0", torch.erfinv, 1, 0.5, "erfinv-at-one"),
    ("AcoshBackward0", torch.acosh, 1, 2, "acosh-at-one"),
    ("AcoshBackward0", torch.acosh, 0, 2, "outside-domain"),
    ("SpecialNdtriBackward0", special.ndtri, 0, 0.25, "ndtri-at-bound"),
    ("HypotBackward0", lambda x: torch.hypot(x, torch.zeros(2)), 0, 4, "hypot-at-origin"),
    (
        "LogaddexpBackward0",
        lambda x: torch.logaddexp(x, torch.full((2,), -math.inf)),
        -math.inf,
        4,
        "logsumexp-all-masked",
    ),
    (
        "Logaddexp2Backward0",
        lambda x: torch.logaddexp2(x, torch.full((2,), -math.inf)),
        -math.inf,
        4,
        "logsumexp-all-masked",
    ),
    ("ExpBackward0", torch.exp, 100, 4, "exp-overflow"),
    ("Exp2Backward0", torch.exp2, 200, 4, "exp-overflow"),
    ("Expm1Backward0", torch.expm1, 100, 4, "exp-overflow"),
    ("SinhBackward0", torch.sinh, -100, 4, "exp-overflow"),
    ("CoshBackward0", torch.cosh, 100, 4, "exp-overflow"),
    ("I0Backward0", torch.i0, 100, 4, "exp-overflow"),
    ("LgammaBackward0", torch.lgamma, 0, 4, "gamma-pole"),
    ("LgammaBackward0", torch.lgamma, -2, 4, "gamma-pole"),
    ("DigammaBackward0", torch.digamma, 0, 4, "gamma-pole"),
    ("PolygammaBackward0", lambda x: torch.polygamma(1, x), 0, 4, "gamma-pole"),
    ("MvlgammaBackward0", lambda x: torch.mvlgamma(x, 2), 0.5, 4, "gamma-pole"),
]
NAMES = [f"{node}-{point}" for node, _, point, _, _ in AT_A_POINT]


def test_every_entry_of_the_table_is_tried_here() -> None:
    assert {node for node, *_ in AT_A_POINT} == set(SINGULAR) == set(RULES)


@pytest.mark.parametrize(("node", "function", "point", "other", "rule"), AT_A_POINT, ids=NAMES)
def test_at_a_point_without_a_finite_derivative(
    node: str, function: Function, point: float, other: float, rule: str
) -> None:
    seen = reference(function, f32(other, point))
    assert (seen.node, seen.rule) == (node, rule)
    assert "1 of 2 elements, the first at [1]" in seen.text
    assert seen.text[0].isupper() or seen.text[0].isdigit()
    assert seen.text.endswith(".")
    assert seen.values["received"] == "f32[2], all 1"


@pytest.mark.parametrize(("node", "function", "point", "other", "rule"), AT_A_POINT, ids=NAMES)
def test_the_same_point_behind_a_mask_is_zero_times_infinity(
    node: str, function: Function, point: float, other: float, rule: str
) -> None:
    x = f32(other, point)
    mask = torch.tensor([True, False])
    found = births(torch.where(mask, function(x), torch.zeros(2)).sum())
    if not found:
        # Where torch masks the formula itself, there is nothing to find.
        assert x.grad is not None
        assert x.grad.isfinite().all()
        assert node in ("XlogyBackward0", "SpecialXlog1PyBackward0", "LgammaBackward0")
        return
    assert (found[0].node, found[0].rule) == (node, "zero-times-inf")
    assert found[0].text.startswith("0 · NaN: " if rule == "outside-domain" else "0 · Inf: ")
    assert "both branches are differentiated" in found[0].text
    assert "1 of 2 elements, the first at [1]" in found[0].text
    assert "NaN, first at [1]" in next(v for k, v in found[0].values.items() if "returned" in k)


def test_the_saved_tensor_is_described_at_the_point() -> None:
    assert reference(torch.sqrt, f32(4, 0, 0)).values["result"] == (
        "f32[3], 2 of 3 are 0, first at [1], from 0 to 2"
    )
    assert reference(torch.log1p, f32(-1, 0)).values["self"] == (
        "f32[2], 1 of 2 is 0, first at [1], 1 of 2 is -1, first at [0], from -1 to 0"
    )
    assert reference(torch.lgamma, f32(-3, 1)).values["self"] == (
        "f32[2], 1 of 2 is at a pole, first at [0], from -3 to 1"
    )


def test_one_point_that_is_not_masked_makes_it_more_than_a_mask() -> None:
    x = f32(0, 0)
    seen = first_birth((torch.tensor([0.0, 1.0]) * x.sqrt()).sum())
    assert seen.rule == "sqrt-at-zero"
    assert "2 of 2 elements, the first at [0]" in seen.text


def test_a_point_whose_gradient_is_finite_is_not_counted() -> None:
    # 1/x has Inf at 0; the second element is 0 too, but 0 · 0 / 1 is finite.
    x, y = f32(1, 0), f32(0, 1)
    seen = first_birth((x / y).sum())
    assert seen.rule == "division-by-zero"
    assert "1 of 2 elements, the first at [0]" in seen.text


def test_zero_by_zero_is_a_division_by_zero_although_it_is_nan() -> None:
    x, y = f32(0.0), f32(0.0)
    seen = first_birth((x / y).sum())
    assert seen.rule == "division-by-zero"
    assert seen.values["returned[1]"] == "f32[1], 1 of 1 is NaN, first at [0]"


def test_a_divisor_that_was_broadcast_is_found() -> None:
    x = f32(1, 2, 3)
    y = torch.tensor(0.0, requires_grad=True)
    seen = first_birth((x / y).sum())
    assert seen.rule == "division-by-zero"
    assert seen.values["other"] == "f32[] = 0"
    assert "3 of 3 elements" in seen.text


def test_a_number_as_divisor_is_found_too() -> None:
    assert reference(lambda x: x / 0, f32(1, 2)).rule == "division-by-zero"


def test_a_scalar_has_no_position() -> None:
    x = torch.tensor(0.0, requires_grad=True)
    assert "(its only element)" in first_birth(x.sqrt()).text


def test_the_variance_of_equal_numbers_has_no_square_root_gradient() -> None:
    seen = first_birth(f32(3, 3, 3).var().sqrt())
    assert (seen.node, seen.rule) == ("SqrtBackward0", "sqrt-at-zero")


def test_complex_numbers() -> None:
    x = torch.zeros(2, dtype=torch.complex64, requires_grad=True)
    seen = first_birth(x.log().real.sum())
    assert seen.rule == "log-at-zero"
    assert seen.values["self"] == "c64[2], 2 of 2 are 0, first at [0]"


def test_the_gradient_of_a_norm_at_zero_is_zero_but_its_second_derivative_is_not_finite() -> None:
    x = f32(0, 0)
    norm = x.norm()
    (gradient,) = torch.autograd.grad(norm, x, create_graph=True)
    assert gradient.tolist() == [0, 0]
    seen = first_birth((gradient.norm() - 1).square())
    assert (seen.node, seen.rule) == ("DivBackward0", "zero-times-inf")
    assert seen.values["other"] == "f32[] = 0"
