"""Traces of random programs: shared nodes, views, changes in place, several roots, and so on.

What holds for the operators one by one holds for any way to combine them, for second derivatives,
and for backward passes that fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import inspect_autograd as ia
from inspect_autograd.events.records import StatsLevel

from . import programs
from .programs import Instruction, Result, instructions, run_program
from .reference import assert_same_bits, pair_with_live
from .seen_by_hooks import Seen, assert_events_equal, note_events
from .test_random_graphs import gradients, picks, roots_of

LARGE = {"matrix": (8, 6), "other": (8, 6), "vector": (6,), "unused": (4,)}


@pytest.fixture(scope="module", params=["small", "large"], autouse=True)
def leaves_of_programs(request: pytest.FixtureRequest) -> Iterator[None]:
    """Gradients of few elements are measured in another way than those of many."""
    small = dict(programs.LEAVES)
    if request.param == "large":
        programs.LEAVES.update(LARGE)
    yield
    programs.LEAVES.update(small)


levels = st.sampled_from(get_args(StatsLevel))
Gradients = list[Tensor | None] | str


def backward(roots: Sequence[Tensor], leaves: Sequence[Tensor]) -> Gradients:
    """What `backward` accumulates in the leaves; the error if it refuses."""
    try:
        torch.autograd.backward(roots, [torch.ones_like(root) for root in roots])
    except RuntimeError as error:
        return str(error)
    return [leaf.grad for leaf in leaves]


def assert_same(found: Gradients, expected: Gradients) -> None:
    if isinstance(found, str) or isinstance(expected, str):
        assert found == expected
    else:
        assert_same_bits(found, expected)


def run_with_hooks(
    program: list[Instruction], picks: list[int]
) -> tuple[list[str], list[Seen], Gradients]:
    result = run_program(program)
    roots = roots_of(result, picks)
    graph = ia.capture(roots)
    with note_events(pair_with_live(graph, roots)) as seen:
        found = backward(roots, list(result.leaves.values()))
    return list(graph.node_table.names), seen, found


@settings(max_examples=300)
@given(instructions, picks, levels)
def test_events_are_what_hooks_see(
    program: list[Instruction], picks: list[int], level: StatsLevel
) -> None:
    names, seen, expected = run_with_hooks(program, picks)
    result = run_program(program)
    roots = roots_of(result, picks)
    with ia.trace(roots, params=result.leaves, stats=level) as trace:
        found = backward(roots, list(result.leaves.values()))
    assert_same(found, expected)
    assert trace.graph.node_table.names == names
    assert_events_equal(trace, seen, level)
    assert trace.notes == ()
    if isinstance(found, str):
        # What ran before the error is there, and so is the node that refused.
        assert (trace.outcome.status, trace.outcome.message) == ("raised", found)
        assert trace.outcome.node is not None
        assert trace.outcome.node not in {event.node for event in trace.events}
    else:
        assert trace.outcome.status == "completed"


@settings(max_examples=300)
@given(instructions, picks, levels)
def test_gradients_are_those_of_an_untraced_run(
    program: list[Instruction], picks: list[int], level: StatsLevel
) -> None:
    untraced = run_program(program)
    expected = backward(roots_of(untraced, picks), list(untraced.leaves.values()))
    result = run_program(program)
    roots = roots_of(result, picks)
    with ia.trace(
        roots, params=result.leaves, stats=level, keep="Mul*" if has_mul(roots) else None
    ):
        found = backward(roots, list(result.leaves.values()))
    assert_same(found, expected)


def has_mul(roots: list[Tensor]) -> bool:
    return bool(ia.capture(roots, saved=False).find("Mul*"))


@settings(max_examples=150)
@given(instructions, picks, levels)
def test_double_backward(program: list[Instruction], picks: list[int], level: StatsLevel) -> None:
    def first_and_second(result: Result) -> tuple[Gradients, Gradients]:
        leaves = list(result.leaves.values())
        first = gradients(roots_of(result, picks), leaves, create_graph=True)
        if isinstance(first, str):
            return first, first
        able = [gradient for gradient in first if gradient is not None and gradient.requires_grad]
        return first, (gradients(able, leaves) if able else [])

    expected, expected_second = first_and_second(run_program(program))
    result = run_program(program)
    roots = roots_of(result, picks)
    with ia.trace(roots, params=result.leaves, stats=level) as trace:
        found, found_second = first_and_second(result)
    assert_same(found, expected)
    assert_same(found_second, expected_second)
    assert not any("failed" in note for note in trace.notes)
    for event in trace.events:
        if event.backward_pass == 0:
            assert trace.graph.nodes[event.node].order in (None, 1)


@settings(max_examples=100)
@given(instructions, picks)
def test_a_trace_is_deterministic(program: list[Instruction], picks: list[int]) -> None:
    def trace() -> list[tuple[object, ...]]:
        result = run_program(program)
        roots = roots_of(result, picks)
        with ia.trace(roots, params=result.leaves, stats="full") as trace:
            backward(roots, list(result.leaves.values()))
        # repr, because one NaN is not equal to another.
        return [(e.node, repr(e.received), repr(e.returned)) for e in trace.events]

    assert trace() == trace()


@settings(max_examples=150)
@given(instructions, picks)
def test_look_while_it_runs(program: list[Instruction], picks: list[int]) -> None:
    """A trace that is looked at between two passes says what was there, and goes on."""
    result = run_program(program)
    roots = roots_of(result, picks)
    leaves = list(result.leaves.values())
    total = torch.stack([root.sum() for root in roots]).sum()
    with ia.trace(roots, params=result.leaves) as trace:
        assert (len(trace), trace.outcome.status) == (0, "nothing ran")
        try:
            torch.autograd.grad(total, leaves, allow_unused=True, retain_graph=True)
        except RuntimeError:
            return
        once = len(trace)
        assert [event.order for event in trace.events] == list(range(once))
        torch.autograd.grad(total, leaves, allow_unused=True)
        assert len(trace) == 2 * once
    halves = [[e.node for e in trace.events if e.backward_pass == id] for id in (0, 1)]
    assert halves[0] == halves[1]


def test_programs_reach_what_they_are_meant_to_reach() -> None:
    """Without failing passes, None gradients and NaN the other tests would show less."""
    found = {"raised": 0, "completed": 0, "none": 0, "nonfinite": 0, "shared": 0}

    @settings(max_examples=500)
    @given(instructions, picks)
    def collect(program: list[Instruction], picks: list[int]) -> None:
        result = run_program(program)
        roots = roots_of(result, picks)
        with ia.trace(roots, params=result.leaves) as trace:
            backward(roots, list(result.leaves.values()))
        found[trace.outcome.status] += 1
        found["none"] += any(None in event.received for event in trace.events)
        found["nonfinite"] += any(event.is_finite is False for event in trace.events)
        found["shared"] += len(trace.data.table.stats) < sum(
            len(e.received) + len(e.returned) for e in trace.events
        )

    collect()
    assert min(found.values()) >= 5, found


def test_error_in_the_block_is_not_changed() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x.exp()
    z = (y * 2).sum()
    with torch.no_grad():
        y.mul_(2)  # `exp` kept its output.
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward(retain_graph=True)
    with (
        pytest.raises(RuntimeError, match="modified by an inplace operation"),
        ia.trace(z, params={"x": x}) as trace,
    ):
        z.backward()
    assert trace.outcome.node is not None
    assert trace.graph.nodes[trace.outcome.node].name == "ExpBackward0"
