from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from inspect_autograd.live.tracing.reductions import UnreducedError, reduce_small, reduce_tensor
from tests.conformance.plain_hooks import naive_stats

INF, NAN = math.inf, math.nan
FIELDS = ("l2", "min", "max", "mean", "zero_count", "nan_count", "inf_count")


def reduce(tensor: Tensor, level: Any = "full") -> tuple[list[Any], str]:
    numbers, note = reduce_tensor(tensor, level)
    return [n.item() if isinstance(n, Tensor) else n for n in numbers], note


SMALL: list[tuple[list[float], list[float]]] = [
    ([3.0, -4.0], [5, -4, 3, -0.5, 0, 0, 0]),
    ([0.0, -0.0, 1.0], [1, 0, 1, 1 / 3, 2, 0, 0]),
    ([1.0, NAN, -INF], [NAN, NAN, NAN, NAN, 0, 1, 1]),
    ([NAN], [NAN, NAN, NAN, NAN, 0, 1, 0]),
    ([1.0, INF], [INF, 1, INF, INF, 0, 0, 1]),
    ([INF, -INF], [INF, -INF, INF, NAN, 0, 0, 2]),
    ([1e200, 1e200], [2**0.5 * 1e200, 1e200, 1e200, 1e200, 0, 0, 0]),
]


@pytest.mark.parametrize(("values", "expected"), SMALL)
def test_small(values: list[float], expected: list[float]) -> None:
    assert reduce_small(values, "full") == pytest.approx(expected, nan_ok=True)
    basic = reduce_small(values, "basic")
    assert basic[:3] == pytest.approx(expected[:3], nan_ok=True)
    assert basic[3:] == [None] * 4


floats = st.floats(width=32) | st.sampled_from([0.0, -0.0, INF, -INF, NAN])


@given(st.lists(floats, min_size=1, max_size=60))
def test_both_ways_give_the_same(values: list[float]) -> None:
    tensor = torch.tensor(values, dtype=torch.float64)
    expected = [getattr(naive_stats(tensor), name) for name in FIELDS]
    # Where values cancel out, a mean is as exact as the largest of them allows.
    scale = 1e-9 * max([abs(v) for v in values if math.isfinite(v)], default=0.0)
    for numbers in (reduce(tensor)[0], reduce_small(values, "full")):
        assert numbers == pytest.approx(expected, rel=1e-9, abs=scale, nan_ok=True)


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "transposed": lambda t: t.t(),
    "every other": lambda t: t[::2, 1::2],
    "expanded": lambda t: t[:, None, :1].expand(-1, 7, 5),
    "one element": lambda t: t[0, 0].expand(6, 7),
    "negative bit": lambda t: torch.complex(t, t).conj().imag,
    "of higher dimension": lambda t: t.reshape(2, 1, 3, 1, 8),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_layouts(layout: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    values = torch.randn(6, 8)
    values[1, 2] = 0
    if layout == "negative bit" and dtype in (torch.bfloat16, torch.float16):
        pytest.skip("there is no such complex type")
    tensor = LAYOUTS[layout](values.to(dtype))
    expected = [getattr(naive_stats(tensor), name) for name in FIELDS]
    assert reduce(tensor)[0] == pytest.approx(expected, rel=1e-3 if dtype.itemsize < 4 else 1e-5)


def test_narrow_types_do_not_overflow() -> None:
    numbers, _ = reduce(torch.full((10_000,), 600.0, dtype=torch.float16))
    assert numbers[:4] == pytest.approx([60_000, 600, 600, 600])


def test_complex() -> None:
    numbers, _ = reduce(torch.tensor([3 + 4j, 0j, complex(0, -5)]))
    assert numbers == pytest.approx([50**0.5, -5, 4, None, 1, 0, 0])
    conjugated, _ = reduce(torch.tensor([3 + 4j, 0j, complex(0, -5)]).conj())
    assert conjugated == pytest.approx([50**0.5, -4, 5, None, 1, 0, 0])


def test_empty() -> None:
    assert reduce(torch.ones(0, 3)) == ([0.0, None, None, None, 0, 0, 0], "it has no elements")
    assert reduce(torch.ones(0), "basic")[0] == [0.0, *[None] * 6]


def test_sparse() -> None:
    # The element at 1 is stored in two pieces.
    pieces = torch.sparse_coo_tensor(
        torch.tensor([[1, 1, 4]]), torch.tensor([1.0, 2.0, -4.0]), (9,), check_invariants=True
    )
    numbers, note = reduce(pieces)
    assert numbers == pytest.approx([5, -4, 3, -0.5, 0, 0, 0])
    assert "stored elements" in note


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta state")
def test_rows_of_sparse() -> None:
    rows = torch.tensor([[0.0, 3.0], [-4.0, 0.0]]).to_sparse_csr()
    assert reduce(rows)[0] == pytest.approx([5, -4, 3, -0.5, 0, 0, 0])


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")
def test_refused() -> None:
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)
    with pytest.raises(UnreducedError, match="nested tensors"):
        reduce(nested)
    with pytest.raises(UnreducedError, match="meta device"):
        reduce(torch.ones(3, device="meta"))


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
def test_norm_of_narrow_complex() -> None:
    numbers, _ = reduce(torch.full((90_000,), 300 + 0j, dtype=torch.complex32), "basic")
    assert numbers[0] == pytest.approx(90_000)


@pytest.mark.parametrize("shape", [(3_000_000,), (1000, 3000), (3_000_001,), (100, 3, 10_001)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_norm_of_many_elements_keeps_its_digits(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    tensor = torch.full(shape, 3.0, dtype=dtype)
    expected = 3 * math.sqrt(math.prod(shape))
    # Added up in one go, the norm of as many float32 elements is off by 5e-4.
    for view in (tensor, tensor.transpose(0, -1), tensor.flip(0)):
        numbers, _ = reduce_tensor(view, "basic")
        assert numbers[0].item() == pytest.approx(expected, rel=1e-6)


def test_norm_of_a_tensor_with_gaps() -> None:
    every_other = torch.arange(20_000.0)[::2]
    numbers, _ = reduce_tensor(every_other, "basic")
    expected = math.sqrt(sum(float(value) ** 2 for value in range(0, 20_000, 2)))
    assert numbers[0].item() == pytest.approx(expected, rel=1e-5)
