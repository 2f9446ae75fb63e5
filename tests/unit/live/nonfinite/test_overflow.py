"""Overflow: which element, how large it is in double precision, and beyond what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from inspect_autograd.live.nonfinite.overflow import check_overflow
from inspect_autograd.live.nonfinite.scene import Scene
from tests.unit.live.nonfinite.births import births, f16, f32, first_birth

HALF = "65504, the largest float16."
SINGLE = "3.40282e+38, the largest float32."


def full(number: float, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.full(shape, number, dtype=dtype)


def test_a_product_in_half_precision() -> None:
    # The gradient is 300 · 300 = 90000.
    seen = first_birth(((f16(1e-3, 1) * full(300, 2, dtype=torch.half)) * 300).sum())
    assert (seen.node, seen.rule) == ("MulBackward0", "half-overflow")
    assert seen.text == f"The gradient at [0] is 90000, beyond {HALF}"


def test_a_product_in_single_precision() -> None:
    seen = first_birth(((f32(1, 2) * full(1e20, 2)) * full(1e20, 2)).sum())
    assert seen.rule == "overflow"
    assert seen.text == f"The gradient at [0] is 1e+40, beyond {SINGLE}"


def test_a_product_in_half_precision_that_even_a_float_cannot_hold() -> None:
    # A bfloat16 would not help: 6e4 · 1e38 is beyond the largest float32 too.
    seen = first_birth((f16(1) * 1e38).sum() * 6e4)
    assert (seen.rule, seen.node) == ("overflow", "MulBackward0")


def test_bfloat16_names_its_own_limit() -> None:
    x = torch.ones(2, dtype=torch.bfloat16, requires_grad=True)
    seen = first_birth(((x * 1e20) * 1e20).sum())
    assert seen.rule == "overflow"
    assert seen.text.endswith("beyond 3.38953e+38, the largest bfloat16.")


def test_a_cast_to_half_precision() -> None:
    seen = first_birth((f32(1, 1).half().float() * torch.tensor([1.0, 70000.0])).sum())
    assert seen.text == f"The gradient at [1] is 70000, beyond {HALF}"


def test_a_cast_from_double_precision() -> None:
    # Casting the gradient back from double to single precision.
    seen = first_birth((f32(1).double() * 1e39).sum())
    assert seen.rule == "overflow"
    assert "1e+39" in seen.text


Program = Callable[[torch.Tensor], torch.Tensor]


@pytest.mark.parametrize(
    ("node", "shape", "program", "value"),
    [
        # 2 · (2e20 · 1e20): a row of 1e20 + 1e20 times a column of 1e20.
        ("MmBackward0", (2, 2), lambda x: (x @ full(1e20, 2, 2)) @ full(1e20, 2, 2), "4e+40"),
        ("BmmBackward0", (1, 2, 2), lambda x: (x @ full(1e20, 1, 2, 2)) @ full(1e20, 1, 2, 2), 0),
        ("MvBackward0", (2,), lambda x: (full(1e20, 2, 2) @ x) * 1e20, "2e+40"),
        ("DotBackward0", (2,), lambda x: torch.dot(x, full(1e20, 2)) * 1e20, "1e+40"),
        (
            "AddmmBackward0",
            (2, 2),
            lambda x: torch.addmm(torch.zeros(2), x, full(1e20, 2, 2)) * 1e20,
            "2e+40",
        ),
        (
            "BaddbmmBackward0",
            (1, 2, 2),
            lambda x: torch.baddbmm(torch.zeros(1, 2, 2), x, full(1e20, 1, 2, 2)) * 1e20,
            "2e+40",
        ),
        ("DivBackward0", (2,), lambda x: x / full(1e-20, 2) * 1e20, "1e+40"),
        ("ReciprocalBackward0", (2,), lambda x: (x * 1e-15).reciprocal() * 1e10, "-1e+40"),
        ("SqrtBackward0", (2,), lambda x: (x * 1e-30).sqrt() * 1e25, "5e+39"),
        ("LogBackward0", (2,), lambda x: (x * 1e-30).log() * 1e10, "1e+40"),
        ("ExpBackward0", (2,), lambda x: (x + 80).exp() * 1e10, "1.506"),
        ("PowBackward0", (2,), lambda x: (x * 1e13) ** 4 * 1e10, "4e+49"),
        (
            "AddcmulBackward0",
            (2,),
            lambda x: torch.addcmul(torch.zeros(2), x, full(1e20, 2), value=2) * 1e20,
            "2e+40",
        ),
        ("ExpandBackward0", (1,), lambda x: x.expand(4) * 1e38, "4e+38"),
        ("AddBackward0", (1,), lambda x: (x + torch.zeros(4)) * 1e38, "4e+38"),
        ("SubBackward0", (1,), lambda x: (torch.zeros(4) - x) * 1e38, "-4e+38"),
    ],
)
def test_the_value_in_double_precision(
    node: str, shape: tuple[int, ...], program: Program, value: str
) -> None:
    x = torch.ones(shape, requires_grad=True)
    seen = first_birth(program(x).sum())
    assert (seen.node, seen.rule) == (node, "overflow")
    assert f" is {value or '4e+40'}" in seen.text
    assert seen.text.endswith(SINGLE)


def test_the_gradient_of_a_matrix_on_the_left_is_computed_from_columns() -> None:
    # d/dW of sum(A W · 1e20) is Aᵀ (1e20 everywhere): at [0, 0] (1e20 + 3e20) · 1e20.
    weight = torch.ones(2, 2, requires_grad=True)
    left = torch.tensor([[1e20, 1.0], [3e20, 1.0]])
    seen = first_birth(((left @ weight) * 1e20).sum())
    assert seen.node == "MmBackward0"
    assert seen.text == f"The gradient at [0, 0] is 4e+40 (a sum of 2 terms), beyond {SINGLE}"


@pytest.mark.parametrize("name", ["addmm", "baddbmm"])
def test_the_right_factor_of_a_sum_with_a_product(name: str) -> None:
    batch = () if name == "addmm" else (1,)
    weight = torch.ones(*batch, 2, 2, requires_grad=True)
    out = getattr(torch, name)(full(0, *batch, 2, 2), full(1e20, *batch, 2, 2), weight, alpha=3)
    seen = first_birth((out * 1e20).sum())
    assert " is 6e+40 (a sum of 2 terms)" in seen.text


def test_the_first_bad_element_is_not_the_first_element() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    factor = torch.ones(2, 3)
    factor[1, 2] = 1e30
    seen = first_birth((x * factor).sum() * 2e30)
    assert "The gradient at [1, 2] is 2e+60" in seen.text


def test_a_factor_that_was_broadcast_gets_a_sum() -> None:
    # d/dw of sum(x · w) for a w of shape [2, 1]: the sum of a row of x.
    w = torch.ones(2, 1, requires_grad=True)
    x = torch.tensor([[1.0, 1.0, 1.0], [2e38, 1e38, 1e38]])
    seen = first_birth((x * w).sum())
    assert seen.text == f"The gradient at [1, 0] is 4e+38 (a sum of 3 terms), beyond {SINGLE}"


def test_a_sum_whose_terms_cancel_overflows_on_the_way() -> None:
    # 3 · 3e38 - 3 · 3e38 is 0, but each product is Inf in float32, and Inf - Inf is NaN.
    x = torch.ones(1, 2, requires_grad=True)
    product = (x @ torch.tensor([[3e38, -3e38], [3e38, -3e38]])).sum() * 3
    seen = first_birth(product)
    assert (seen.node, seen.rule) == ("MmBackward0", "overflow")
    assert "a sum of 2 terms that is 0 and would fit" in seen.text
    assert "the largest term is 9e+38" in seen.text
    assert "NaN" in seen.values["returned[0]"]


@pytest.mark.parametrize(
    ("node", "program"),
    [
        ("ConvolutionBackward0", lambda x: F.conv1d(x, full(1e20, 1, 1, 2)) * 1e20),
        ("CumsumBackward0", lambda x: x.cumsum(2) * 3e38),
        ("RepeatBackward0", lambda x: x.repeat(1, 1, 2) * 3e38),
        ("IndexBackward0", lambda x: x[:, :, torch.tensor([0, 0])] * 3e38),
        ("IndexSelectBackward0", lambda x: x.index_select(2, torch.tensor([0, 0])) * 3e38),
        ("GatherBackward0", lambda x: x.gather(2, torch.tensor([[[0, 0]]])) * 3e38),
        ("TakeBackward0", lambda x: x.take(torch.tensor([0, 0])) * 3e38),
        ("UnfoldBackward0", lambda x: x.unfold(2, 2, 1) * 3e38),
        ("AsStridedBackward0", lambda x: torch.as_strided(x * 1, (2, 2), (1, 1)) * 3e38),
        ("UpsampleNearest1DBackward0", lambda x: F.interpolate(x, scale_factor=2) * 3e38),
    ],
)
def test_a_node_that_only_multiplies_and_adds(node: str, program: Program) -> None:
    seen = first_birth(program(torch.ones(1, 1, 3, requires_grad=True)).sum())
    assert (seen.node, seen.rule) == (node, "overflow")
    assert "only multiplies and adds" in seen.text
    assert seen.text.endswith(SINGLE)


def test_an_embedding_that_is_looked_up_often() -> None:
    weight = torch.ones(2, 3, dtype=torch.half, requires_grad=True)
    seen = first_birth((F.embedding(torch.tensor([1, 1]), weight) * 4e4).sum())
    assert (seen.node, seen.rule) == ("EmbeddingBackward0", "half-overflow")
    assert "The received gradient (at most 40000) is finite" in seen.text


def test_a_loss_in_half_precision() -> None:
    # 2 · 300 · 300 = 180000.
    loss = F.mse_loss(f16(300, 2), torch.zeros(2, dtype=torch.half), reduction="sum")
    seen = first_birth(loss, torch.tensor(300, dtype=torch.half))
    assert (seen.node, seen.rule) == ("MseLossBackward0", "half-overflow")
    assert "the saved `self` and `target` are finite" in seen.text


def test_a_linear_layer_in_half_precision() -> None:
    layer = torch.nn.Linear(3, 3, bias=False, dtype=torch.half)
    with torch.no_grad():
        layer.weight.fill_(150)
    x = torch.ones(2, 3, dtype=torch.half, requires_grad=True)
    seen = first_birth(layer(layer(x)).sum())
    # Down the second layer 3 · 150 = 450, down the first one 3 · 450 · 150 = 202500.
    assert seen.rule == "half-overflow"
    assert seen.text == f"The gradient at [0, 0] is 202500 (a sum of 3 terms), beyond {HALF}"


def test_complex_numbers_overflow_too() -> None:
    x = torch.ones(2, dtype=torch.complex64, requires_grad=True)
    seen = first_birth(((x * 1e30) * 1e30).real.sum())
    assert (seen.node, seen.rule) == ("MulBackward0", "overflow")
    assert "only multiplies and adds" in seen.text


def test_what_is_not_known_is_not_called_an_overflow() -> None:
    # The derivative of the smooth l1 loss is no sum of products, and nothing here is computed
    # again: only the dtype is known.
    x = f16(1, 2)
    loss = F.smooth_l1_loss(x, torch.zeros(2, dtype=torch.half), reduction="none", beta=1e-4)
    assert births(loss.sum()) == []
    scaled = F.huber_loss(x, torch.zeros(2, dtype=torch.half), reduction="sum", delta=400.0)
    seen = first_birth(scaled, torch.tensor(60000, dtype=torch.half))
    assert seen.rule == ""
    assert "so an overflow is likely" in seen.text


def test_what_was_not_finite_before_is_no_overflow() -> None:
    infinite = torch.tensor([torch.inf, 1.0])
    scene = Scene(None, "CumsumBackward0", "op", (infinite,), (infinite,))
    assert check_overflow(scene) is None
    assert check_overflow(replace(scene, received=(torch.tensor([3e38, 3e38]),))) is not None
