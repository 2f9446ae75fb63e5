"""Every differentiable operator of PyTorch's own list, stepped through.

The order is that of the real engine, and the gradients are the same bit by bit, of first and of
second order.
"""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

import inspect_autograd as ia

from .reference import pair_with_live
from .seen_by_engine import assert_same_gradients, order_of_engine
from .test_op_db import (
    OPERATORS,
    TWICE_DIFFERENTIABLE,
    Program,
    capture,
    gradients_with_graph,
    runs,
)


def compare(program: Program, outputs: list[torch.Tensor]) -> None:
    graph = capture(program, outputs)
    live = pair_with_live(graph, outputs)
    leaves = list(program.leaves.values())
    weights = [torch.ones_like(output) for output in outputs]

    def run() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.autograd.backward(outputs, weights, retain_graph=True)

    try:
        order = order_of_engine(live, run)
    except RuntimeError as error:
        message = str(error)
        # A formula that torch lacks (the second derivative of ctc_loss) is missing here, too.
        with pytest.raises(type(error)) as caught:
            ia.step(outputs, weights).run()
        assert str(caught.value) == message
        return
    expected = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = None
    assert list(ia.execution_order(graph)) == order
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # What the nodes warn of, they warn of in any engine.
        stepper = ia.step(outputs, weights)
        assert [step.id for step in stepper] == order
    assert_same_gradients([stepper.gradient_of(leaf) for leaf in leaves], expected)
    assert all(leaf.grad is None for leaf in leaves)


@pytest.mark.parametrize("op", OPERATORS.values(), ids=OPERATORS)
def test_order_and_gradients(op: Any) -> None:
    for program, outputs in runs(op):
        compare(program, outputs)


@pytest.mark.parametrize("op", TWICE_DIFFERENTIABLE.values(), ids=TWICE_DIFFERENTIABLE)
def test_second_derivatives(op: Any) -> None:
    for program, outputs in runs(op):
        found = gradients_with_graph(program, outputs)
        if found:
            compare(program, found)
