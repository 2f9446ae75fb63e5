"""Functions are called what users call them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from inspect_autograd.live.recording.function_kinds import Kind, kind_of
from inspect_autograd.live.recording.function_names import name_of_call

Tensor: Any = torch.Tensor


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (torch.add, "torch.add"),
        (Tensor.add_, "Tensor.add_"),
        (Tensor.data.__get__, "Tensor.data"),
        (Tensor.data.__set__, "Tensor.data.__set__"),
        (torch.linalg.inv_ex, "torch.linalg.inv_ex"),
        (torch.special.erf, "torch.special.erf"),
        (F.linear, "torch.nn.functional.linear"),
        (F.relu, "torch.nn.functional.relu"),
        (torch.nn.init.zeros_, "torch.nn.init.zeros_"),
    ],
)
def test_name(function: Any, name: str) -> None:
    assert name_of_call(function) == name


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (torch.zeros_like, Kind.PLAIN),
        (Tensor.new_zeros, Kind.PLAIN),
        (Tensor.new_tensor, Kind.NORMAL),
        (Tensor.type, Kind.NORMAL),
        (Tensor.__iadd__, Kind.WRITES),
        (Tensor.__iter__, Kind.NORMAL),
        (Tensor.grad.__set__, Kind.PLAIN),
        (F.batch_norm, Kind.STATISTICS),
        # With `inplace=True`, which the call tells; no other code of torch writes unsaid.
        (F.relu, Kind.NORMAL),
        (F.embedding, Kind.MAY_WRITE),
        (F.layer_norm, Kind.NORMAL),
        (Tensor.item, Kind.LEAVES),
        (test_name, Kind.MAY_WRITE),
    ],
)
def test_kind(function: Any, kind: Kind) -> None:
    assert kind_of(function) is kind
