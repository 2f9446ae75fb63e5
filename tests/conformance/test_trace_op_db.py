"""A trace of every differentiable operator in PyTorch's own list of operators.

For each: the gradients are those of a run that nobody looked at, bit by bit, and the events are
what hooks of our own see. At `stats="meta"` a trace does not look at gradients, but reports what
the graph tells of them; that this is what they are is shown here, too.
"""

from __future__ import annotations

import warnings
from typing import Any, get_args

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.events.records import Outcome, StatsLevel

from .reference import assert_same_bits, pair_with_live
from .seen_by_hooks import assert_events_equal, note_events
from .test_op_db import (
    OPERATORS,
    TWICE_DIFFERENTIABLE,
    Program,
    capture,
    gradients_with_graph,
    runs,
)

LEVELS: tuple[StatsLevel, ...] = get_args(StatsLevel)


def trace_program(
    program: Program, level: StatsLevel
) -> tuple[ia.Trace, list[torch.Tensor | None]]:
    """Run a program with a trace around its backward pass, in which every warning is an error."""
    outputs = program.run()
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings():
            # Torch warns of this layout at every detach, and a leaf is detached to be measured.
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            with ia.trace(outputs, params=program.leaves, stats=level) as trace:
                gradients = program.backward(outputs)
    finally:
        torch.set_warn_always(False)
    return trace, gradients


@pytest.mark.parametrize(
    "op",
    [pytest.param(op, id=name) for name, op in OPERATORS.items()],
)
def test_events_are_what_hooks_see(op: Any) -> None:
    for program, outputs in runs(op):
        graph = capture(program, outputs)
        live = pair_with_live(graph, outputs)
        with note_events(live) as seen:
            program.backward(outputs)
        for level in LEVELS:
            trace, _ = trace_program(program, level)
            assert trace.graph.node_table.names == graph.node_table.names
            assert_events_equal(trace, seen, level)
            assert trace.outcome == Outcome("completed")
            assert [p.call for p in trace.passes] == ["backward"]
            assert trace.notes == ()


@pytest.mark.parametrize("op", OPERATORS.values(), ids=OPERATORS)
def test_gradients_are_those_of_an_untraced_run(op: Any) -> None:
    for program, untraced in runs(op):
        expected = program.backward(untraced)
        for level in LEVELS:
            _, found = trace_program(program, level)
            assert_same_bits(found, expected)


@pytest.mark.parametrize("op", TWICE_DIFFERENTIABLE.values(), ids=TWICE_DIFFERENTIABLE)
def test_double_backward(op: Any) -> None:
    for program, untraced in runs(op):
        expected, expected_second = twice(program, untraced)
        outputs = program.run()
        with ia.trace(outputs, params=program.leaves, stats="full") as trace:
            found, found_second = twice(program, outputs)
        assert_same_bits(found, expected)
        if isinstance(found_second, str) or isinstance(expected_second, str):
            assert found_second == expected_second
            continue
        assert_same_bits(found_second, expected_second)

        first = {event.node for event in trace.events if event.backward_pass == 0}
        assert {trace.graph.nodes[id].order for id in first} <= {None, 1}
        for node in trace.graph.nodes:
            assert node.order in (None, 1, 2)
            # Nodes made while a pass that is recorded runs belong to the second derivative.
            assert (node.order == 2) <= (node.id not in first)
        assert trace.outcome.status == "completed"
        assert not any("failed" in note for note in trace.notes)


def twice(
    program: Program, outputs: list[torch.Tensor]
) -> tuple[list[torch.Tensor], list[torch.Tensor | None] | str]:
    """Gradients, and gradients of these; or why there are none."""
    first = gradients_with_graph(program, outputs)
    try:
        return first, program.backward(first) if first else []
    except RuntimeError as error:
        return first, str(error)
