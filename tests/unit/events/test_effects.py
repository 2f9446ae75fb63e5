"""Cuts and writes as one line of text."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.events.recording_parts import cut, write

HERE = "at model.py:12 in encoder"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {},
            (f"Tensor.detach {HERE}: 2 parameters lost their path to the loss: a.bias, a.weight"),
        ),
        (
            {"count": 3, "lost": ("a.bias",), "scope": None},
            "Tensor.detach at model.py:12, ×3: 1 parameter lost its path to the loss: a.bias",
        ),
        (
            {"lost": ("a", "b", "c", "d"), "source": None, "scope": ""},
            (
                "Tensor.detach in the outermost module: 4 parameters lost their path to the loss: "
                "a, b, c, …"
            ),
        ),
        (
            {"reason": "Python value", "function": "Tensor.item", "reaches_loss": None},
            (
                f"Tensor.item (a Python value) {HERE}: 2 parameters got no gradient, "
                "maybe because of this, since the value left PyTorch: a.bias, a.weight"
            ),
        ),
        (
            {"reason": "no_grad", "function": "torch.sin", "lost": (), "reaches_loss": False},
            (
                f"torch.sin under no_grad {HERE}: no parameter lost anything, since "
                "no loss was computed from the result"
            ),
        ),
        (
            {"lost": ()},
            (f"Tensor.detach {HERE}: all 3 parameters behind it were reached in another way"),
        ),
        (
            {"lost": (), "parameters": ("v", "w")},
            f"Tensor.detach {HERE}: both parameters behind it were reached in another way",
        ),
        (
            {"lost": (), "parameters": ("w",)},
            (f"Tensor.detach {HERE}: the one parameter behind it was reached in another way"),
        ),
        (
            {"lost": (), "parameters": (), "scope": None},
            "Tensor.detach at model.py:12: no parameter was behind it",
        ),
    ],
)
def test_a_cut_says_what_it_cost(changes: dict[str, Any], text: str) -> None:
    assert str(cut(**changes)) == text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {},
            "torch.optim.SGD.step at train.py:41: wrote w, f32[2, 3], version 3 → 4",
        ),
        (
            {"tensor": "", "view_of": "w", "scope": "head", "version_before": None},
            "torch.optim.SGD.step at train.py:41 in head: wrote a view of w, f32[2, 3]",
        ),
        (
            {"tensor": "", "source": None},
            "torch.optim.SGD.step: wrote a tensor without a name, f32[2, 3], version 3 → 4",
        ),
    ],
)
def test_a_write_says_what_was_written(changes: dict[str, Any], text: str) -> None:
    assert str(write(**changes)) == text
