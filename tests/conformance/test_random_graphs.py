"""Random programs: what holds for the operators one by one holds for any way to combine them.

Shared nodes, several outputs, views, changes in place, detached parts, custom Functions, several
roots, second derivatives, and captures in the middle of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import inspect_autograd as ia

from .programs import Instruction, Result, instructions, run_program
from .reference import assert_equals_live_graph, assert_same_bits, assert_saved_state

picks = st.lists(st.integers(0, 30), min_size=1, max_size=4)


def roots_of(result: Result, picks: Sequence[int]) -> list[Tensor]:
    """Some of the tensors that have a graph: the last ones most often."""
    able = [tensor for tensor in result.pool if tensor.requires_grad and has_usable_graph(tensor)]
    return [able[-1 - pick % len(able)] for pick in picks]


def has_usable_graph(tensor: Tensor) -> bool:
    """False for one of several views made at once, after a change in place of their base."""
    try:
        return tensor.grad_fn is not None or tensor.is_leaf
    except RuntimeError:
        return False


def capture_if_usable(tensor: Tensor) -> None:
    if has_usable_graph(tensor):
        ia.capture(tensor)


def gradients(
    roots: Sequence[Tensor], leaves: Sequence[Tensor], *, create_graph: bool = False
) -> list[Tensor | None] | str:
    """Gradients of the leaves; the error if backward refuses, which it does for changed tensors."""
    loss = torch.stack([root.sum() for root in roots]).sum()
    try:
        return list(torch.autograd.grad(loss, leaves, create_graph=create_graph, allow_unused=True))
    except RuntimeError as error:
        return str(error)


def assert_same_gradients(
    found: list[Tensor | None] | str, expected: list[Tensor | None] | str
) -> None:
    if isinstance(found, str) or isinstance(expected, str):
        assert found == expected
    else:
        assert_same_bits(found, expected)


@settings(max_examples=500)
@given(instructions, picks)
def test_record_equals_live_graph(program: list[Instruction], picks: list[int]) -> None:
    result = run_program(program)
    roots = roots_of(result, picks)
    graph = ia.capture(roots, params=result.leaves)
    live = assert_equals_live_graph(graph, roots, result.leaves)
    assert_saved_state(graph, live)

    gradients(roots, list(result.leaves.values()))
    spent = ia.capture(roots, params=result.leaves)
    assert_saved_state(spent, assert_equals_live_graph(spent, roots, result.leaves))


@settings(max_examples=500)
@given(instructions, picks)
def test_capture_changes_no_gradient(program: list[Instruction], picks: list[int]) -> None:
    unobserved = run_program(program)
    expected = gradients(roots_of(unobserved, picks), list(unobserved.leaves.values()))

    observed = run_program(program, observe=capture_if_usable)
    roots = roots_of(observed, picks)
    ia.capture(roots, params=observed.leaves)
    assert_same_gradients(gradients(roots, list(observed.leaves.values())), expected)


@settings(max_examples=300)
@given(instructions, picks)
def test_double_backward(program: list[Instruction], picks: list[int]) -> None:
    def first_gradients(*, observe: bool) -> tuple[Result, list[Tensor | None] | str]:
        result = run_program(program)
        roots = roots_of(result, picks)
        if observe:
            ia.capture(roots)
        return result, gradients(roots, list(result.leaves.values()), create_graph=True)

    def second_gradients(result: Result, with_graph: list[Tensor]) -> list[Tensor | None] | str:
        return gradients(with_graph, list(result.leaves.values()))

    unobserved, first_expected = first_gradients(observe=False)
    observed, first = first_gradients(observe=True)
    assert_same_gradients(first, first_expected)
    if isinstance(first, str) or isinstance(first_expected, str):
        return
    able = [gradient for gradient in first if gradient is not None and gradient.requires_grad]
    if able:
        graph = ia.capture(able, params=observed.leaves)
        assert_saved_state(graph, assert_equals_live_graph(graph, able, observed.leaves))
        able_expected = [g for g in first_expected if g is not None and g.requires_grad]
        assert_same_gradients(
            second_gradients(observed, able), second_gradients(unobserved, able_expected)
        )


@settings(max_examples=300)
@given(instructions, picks)
def test_same_program_gives_the_same_graph(program: list[Instruction], picks: list[int]) -> None:
    graphs = []
    for _ in range(2):
        result = run_program(program)
        roots = roots_of(result, picks)
        graphs.append(ia.capture(roots, params=result.leaves))
        assert ia.capture(roots, params=result.leaves) == graphs[-1]
    assert relative(graphs[0]) == relative(graphs[1])


def relative(graph: ia.Graph) -> ia.Graph:
    """The graph with sequence numbers that count from its lowest one."""
    numbers = graph.node_table.sequence_nrs
    lowest = min((number for number in numbers if number is not None), default=0)
    counted = [None if number is None else number - lowest for number in numbers]
    return replace(graph, node_table=replace(graph.node_table, sequence_nrs=counted))


@settings(max_examples=150)
@given(instructions, picks)
def test_save_and_load(program: list[Instruction], picks: list[int]) -> None:
    result = run_program(program)
    graph = ia.capture(roots_of(result, picks), params=result.leaves)
    with TemporaryDirectory() as folder:
        loaded = ia.load(graph.save(Path(folder) / "graph.json"), ia.Graph)
    assert loaded == graph
    assert list(loaded.nodes) == list(graph.nodes)
    assert list(loaded.edges) == list(graph.edges)


def test_view_whose_base_was_changed() -> None:
    weight = torch.ones(2, 3, requires_grad=True)
    first, second = weight.unbind(0)
    with torch.no_grad():
        weight.mul_(2)
    assert not has_usable_graph(first)
    with pytest.raises(ia.InspectAutogradError):
        ia.capture(first)
    # One such member does not take away the graph of the others.
    graph = ia.capture([weight.sum(), second])
    assert [node.name for node in graph.nodes] == ["SumBackward0", "AccumulateGrad"]
    assert [note.path for note in graph.notes] == ["[1]"]


def test_saved_view_whose_base_was_changed() -> None:
    # Torch has a message of its own for this one.
    weight = torch.ones(2, 3, requires_grad=True)
    first, second = weight.unbind(0)
    product = first * second.exp()
    with torch.no_grad():
        weight.mul_(2)
    graph = ia.capture(product)
    found = {(node.name, s.name): s.state for node in graph.nodes for s in node.saved}
    assert found == {
        ("MulBackward0", "self"): "modified",
        ("MulBackward0", "other"): "available",
        ("ExpBackward0", "result"): "available",
    }
    with pytest.raises(RuntimeError, match="modified inplace"):
        product.sum().backward()


def test_programs_reach_what_they_are_meant_to_reach() -> None:
    """The strategy makes the regimes that the other tests rely on, or they would test nothing."""
    names: set[str] = set()
    states: set[str] = set()

    @settings(max_examples=800)
    @given(instructions, picks)
    def collect(program: list[Instruction], picks: list[int]) -> None:
        result = run_program(program)
        graph = ia.capture(roots_of(result, picks))
        names.update(node.name for node in graph.nodes)
        states.update(saved.state for node in graph.nodes for saved in node.saved)

    collect()
    assert {"CopySlices", "SinAndProductBackward", "DoublesInPlaceBackward"} <= names
    assert {"UnbindBackward0", "SplitBackward0", "MaxBackward0", "LinalgSvdBackward0"} <= names
    assert {"AsStridedBackward0", "AccumulateGrad"} <= names
    assert states == {"available", "modified"}
