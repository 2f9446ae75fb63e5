"""Random programs, stepped through: the order and the gradients of the real engine.

Changes in place, views, several outputs, shared nodes, custom Functions, several roots, inputs,
second derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import inspect_autograd as ia

from .programs import Instruction, instructions, run_program
from .reference import pair_with_live
from .seen_by_engine import assert_same_gradients, assert_steps_equal, order_of_engine
from .test_random_graphs import has_usable_graph, picks, roots_of

wanted = st.lists(st.integers(0, 40), min_size=1, max_size=3)


def weights(roots: Sequence[Tensor]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(root.shape, generator=generator, dtype=root.dtype, layout=root.layout)
        for root in roots
    ]


def test_backward() -> None:
    compared = 0

    @settings(max_examples=1500)
    @given(instructions, picks)
    def compare(program: list[Instruction], picks: list[int]) -> None:
        nonlocal compared
        result = run_program(program)
        roots, leaves = roots_of(result, picks), list(result.leaves.values())
        graph = ia.capture(roots)
        live = pair_with_live(graph, roots)
        given_weights = weights(roots)

        def run() -> None:
            torch.autograd.backward(roots, given_weights, retain_graph=True)

        try:
            order = order_of_engine(live, run)
        except RuntimeError as error:
            message = str(error)
            with pytest.raises(RuntimeError) as caught:
                ia.step(roots, given_weights).run()
            assert str(caught.value) == message
            return
        expected = [leaf.grad for leaf in leaves]
        stepper = ia.step(roots, given_weights)
        assert [step.id for step in stepper] == order
        assert_same_gradients([stepper.gradient_of(leaf) for leaf in leaves], expected)
        assert all(leaf.grad is grad for leaf, grad in zip(leaves, expected, strict=True))
        assert list(ia.execution_order(graph)) == order
        compared += 1

    compare()
    assert compared >= 1000


def test_inputs_of_grad() -> None:
    found = {"compared": 0, "pruned": 0, "inner": 0, "unreached": 0}

    @settings(max_examples=1000)
    @given(instructions, picks, wanted)
    def compare(program: list[Instruction], picks: list[int], wanted: list[int]) -> None:
        result = run_program(program)
        roots = roots_of(result, picks)
        graph = ia.capture(roots)
        live = pair_with_live(graph, roots)
        able = [t for t in [*result.pool, *result.leaves.values()] if has_usable_graph(t)]
        able = [tensor for tensor in able if tensor.requires_grad]
        inputs = [able[pick % len(able)] for pick in wanted]
        gradients: list[Any] = []

        def run() -> None:
            gradients.extend(
                torch.autograd.grad(
                    roots, inputs, weights(roots), retain_graph=True, allow_unused=True
                )
            )

        try:
            order = order_of_engine(live, run)
        except RuntimeError:
            return
        stepper = ia.step(roots, weights(roots), inputs)
        assert_steps_equal(stepper, order, gradients)
        edges = map(torch.autograd.graph.get_gradient_edge, inputs)
        ids = [live.index(edge.node) for edge in edges if edge.node in live]
        if ids:
            foretold = ia.execution_order(graph, inputs=ids)
            assert list(foretold) == order
            assert set(foretold.pruned).isdisjoint(order)
            assert len({*foretold.pruned, *order, *foretold.captured}) == len(graph)
            found["pruned"] += bool(foretold.pruned)
        found["compared"] += 1
        found["inner"] += any(not tensor.is_leaf for tensor in inputs)
        found["unreached"] += None in [None if g is None else 0 for g in gradients]

    compare()
    assert found["compared"] >= 700
    assert min(found.values()) >= 20, found


@settings(max_examples=300)
@given(instructions, picks)
def test_inputs_of_backward(program: list[Instruction], picks: list[int]) -> None:
    result = run_program(program)
    roots = roots_of(result, picks)
    leaves = [result.leaves["matrix"], result.leaves["vector"]]
    graph = ia.capture(roots, params=result.leaves)
    live = pair_with_live(graph, roots)

    def run() -> None:
        torch.autograd.backward(roots, weights(roots), retain_graph=True, inputs=leaves)

    try:
        order = order_of_engine(live, run)
    except RuntimeError:
        return
    expected = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = None
    names = set(graph.parameters()) & {"matrix", "vector"}
    if names:
        assert list(ia.execution_order(graph, inputs=sorted(names), call="backward")) == order
    stepper = ia.step(roots, weights(roots), leaves, accumulate=True)
    assert [step.id for step in stepper if step.ran] == order
    assert_same_gradients([leaf.grad for leaf in leaves], expected)


@settings(max_examples=300)
@given(instructions, picks)
def test_double_backward(program: list[Instruction], picks: list[int]) -> None:
    result = run_program(program)
    roots, leaves = roots_of(result, picks), list(result.leaves.values())
    try:
        first = torch.autograd.grad(
            roots, leaves, weights(roots), create_graph=True, allow_unused=True
        )
    except RuntimeError:
        return
    stepper = ia.step(roots, weights(roots), leaves, create_graph=True).run()
    assert_same_gradients(stepper.gradients, first)
    able = [g for g in list[Tensor | None](first) if g is not None and g.requires_grad]
    ours = [g for g in stepper.gradients if g is not None and g.requires_grad]
    assert len(ours) == len(able)
    if not able:
        return
    live = pair_with_live(ia.capture(able), able)
    second: list[Any] = []

    def run() -> None:
        second.extend(
            torch.autograd.grad(able, leaves, weights(able), retain_graph=True, allow_unused=True)
        )

    try:
        order = order_of_engine(live, run)
    except RuntimeError:
        return
    assert_steps_equal(ia.step(able, weights(able), leaves), order, second)
    # And the graph that the stepper's nodes have made gives the same second derivatives.
    again = torch.autograd.grad(ours, leaves, weights(ours), allow_unused=True)
    assert_same_gradients(again, second)


@settings(max_examples=200)
@given(instructions, picks, st.lists(st.integers(1, 6), min_size=1, max_size=8))
def test_back_and_on_again(program: list[Instruction], picks: list[int], moves: list[int]) -> None:
    """Wherever one goes back to, the state is that of a stepper that went there straight."""
    result = run_program(program)
    roots = roots_of(result, picks)
    stepper = ia.step(roots, weights(roots))
    try:
        total = len(stepper.run().steps)
    except RuntimeError:
        return
    for move in moves:
        stepper.back(move)
        straight = ia.step(roots, weights(roots))
        for _ in range(stepper.position):
            straight.next()
        assert stepper.state.queue == straight.state.queue
        assert stepper.state.waiting == straight.state.waiting
        assert stepper.state.leaves == straight.state.leaves
        assert (stepper.state.buffers, stepper.state.buffer_bytes) == (
            straight.state.buffers,
            straight.state.buffer_bytes,
        )
        assert_same_gradients(stepper.gradients, straight.gradients)
    assert len(stepper.run().steps) == total
