"""The shorthand for tensors and for bytes."""

from __future__ import annotations

import pytest
import torch
from torch.utils._dtype_abbrs import dtype_abbrs

from inspect_autograd.graph.tensor_meta import SHORT_DTYPES, TensorMeta, format_bytes


@pytest.mark.parametrize(
    ("meta", "text", "numel"),
    [
        (TensorMeta((), "float32"), "f32[]", 1),
        (TensorMeta((2, 3), "float64"), "f64[2, 3]", 6),
        (TensorMeta((2, 0), "bool"), "b8[2, 0]", 0),
        (TensorMeta((4,), "bfloat16", "cuda:0"), "bf16[4] cuda:0", 4),
        (TensorMeta((4,), "float32", "cpu", "sparse_coo"), "f32[4] sparse_coo", 4),
        (TensorMeta((4,), "float8_e4m3fn"), "float8_e4m3fn[4]", 4),
        (TensorMeta(None, "float32"), "f32[?]", None),
        (TensorMeta((2, "s0"), "float32"), "f32[2, s0]", None),
    ],
)
def test_shorthand(meta: TensorMeta, text: str, numel: int | None) -> None:
    assert str(meta) == text
    assert meta.numel == numel


def test_the_shorthand_is_that_of_torch() -> None:
    ours = {getattr(torch, name): short for name, short in SHORT_DTYPES.items()}
    assert {dtype: dtype_abbrs[dtype] for dtype in ours} == ours


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (150 * 1024, "150 KiB"),
        (3 * 1024**3, "3.0 GiB"),
        (5 * 1024**5, "5120 TiB"),
    ],
)
def test_format_bytes(count: int, text: str) -> None:
    assert format_bytes(count) == text
