"""Every mistake gets an error of ours that names the value and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentError, ArgumentTypeError, NoGraphError


def under_no_grad() -> torch.Tensor:
    with torch.no_grad():
        return torch.ones(3, requires_grad=True) * 2


def under_inference_mode() -> torch.Tensor:
    with torch.inference_mode():
        return torch.ones(3) * 2


@pytest.mark.parametrize(
    ("make", "shape", "reason"),
    [
        (under_no_grad, "f32[3]", "under torch.no_grad()"),
        (under_inference_mode, "f32[3]", "torch.inference_mode()"),
        (lambda: torch.ones(3, requires_grad=True).exp().detach(), "f32[3]", "detach()"),
        (lambda: torch.ones(3, requires_grad=True).argmax(), "i64[]", "dtype int64"),
        (lambda: torch.ones(3, requires_grad=True) > 0, "b8[3]", "dtype bool"),
        (lambda: torch.ones(3), "f32[3]", "does not require grad"),
        (
            lambda: torch.nn.Parameter(torch.ones(2), requires_grad=False),
            "f32[2]",
            "frozen parameter",
        ),
    ],
)
def test_a_tensor_without_a_graph_says_why(
    make: Callable[[], torch.Tensor], shape: str, reason: str
) -> None:
    with pytest.raises(NoGraphError) as caught:
        ia.capture(make())
    assert shape in caught.value.message
    assert reason in caught.value.message
    assert "requires_grad=True" in caught.value.remedy


def test_inside_a_function_transform() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        y = x.sin()
        with pytest.raises(NoGraphError, match="inside a function transform"):
            ia.capture(y)
        return y

    torch.func.vmap(function)(torch.ones(2, 3))


def test_disabled_gradients_are_mentioned() -> None:
    with torch.no_grad(), pytest.raises(NoGraphError, match="disabled right here"):
        ia.capture(torch.ones(3, requires_grad=True) * 2)


def test_every_member_of_a_nest_gets_its_reason() -> None:
    with pytest.raises(NoGraphError) as caught:
        ia.capture({"loss": torch.ones(2), "index": torch.tensor([1])})
    assert "outputs['loss'], f32[2]" in str(caught.value)
    assert "outputs['index'], i64[1]" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "found", "remedy"),
    [
        (torch.nn.Linear(2, 2), "Linear module", "params=model"),
        ([1.0, 2.0], "list and holds no tensor", "requires_grad=True"),
        (3.0, "float", "requires_grad=True"),
        (None, "NoneType", "requires_grad=True"),
        ("loss", "str", "requires_grad=True"),
        (len, "'len', which is callable", "Call it"),
        (torch.Tensor, "callable", "Call it"),
    ],
)
def test_what_is_no_tensor_is_refused(value: Any, found: str, remedy: str) -> None:
    with pytest.raises(ArgumentTypeError) as caught:
        ia.capture(value)
    assert found in caught.value.message
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("params", "found"),
    [
        (3, "int"),
        ("weights", "str"),
        (torch.ones(2), "Tensor"),
        ([torch.ones(2)], "without a name at position 0"),
        ([("a", torch.ones(2)), 5], "int at position 1"),
        ([("a", 5)], "('a', int) at position 0"),
        ({1: torch.ones(2)}, "tuple at position 0"),
    ],
)
def test_params_of_the_wrong_kind_are_refused(params: Any, found: str) -> None:
    loss = torch.ones(2, requires_grad=True).sum()
    with pytest.raises(ArgumentTypeError) as caught:
        ia.capture(loss, params=params)
    assert found in caught.value.message
    assert "Module" in caught.value.message


@pytest.mark.parametrize(
    ("max_nodes", "error"),
    [(0, ArgumentError), (-1, ArgumentError), (True, ArgumentTypeError), (2.5, ArgumentTypeError)],
)
def test_max_nodes_is_checked(max_nodes: Any, error: type[Exception]) -> None:
    loss = torch.ones(2, requires_grad=True).sum()
    with pytest.raises(error, match="max_nodes is"):
        ia.capture(loss, max_nodes=max_nodes)
