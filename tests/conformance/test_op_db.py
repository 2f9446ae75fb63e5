"""Every differentiable operator in PyTorch's own list of operators.

`op_db` is what PyTorch tests its autograd formulas with. For each operator: the record is the
live graph, the gradients are those of a run that nobody looked at, and no user code runs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

import inspect_autograd as ia

from .reference import (
    assert_equals_live_graph,
    assert_same_bits,
    assert_saved_state,
    received_in_backward,
)

with warnings.catch_warnings():
    # What this module of torch's tests imports, scipy among it, may be too new for it.
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db

SAMPLES = 4
MIN_OPERATORS = 535
MIN_NODE_TYPES = 345
"""torch 2.13 has 543 operators with gradients on the CPU; these calls make 352 types of node."""

NOT_IN_PLACE = {
    "as_strided.partial_views": "its strides reach beyond a copy of its input",
}

NO_SECOND_DERIVATIVE = {
    "nn.functional.linear_cross_entropy.chunked_none": "op_db says it has one, but it raises",
}

DTYPES = (torch.float64, torch.complex128, torch.float32)


def dtype_of(op: Any) -> torch.dtype | None:
    """The widest type that the operator has gradients for on the CPU."""
    supported = op.supported_backward_dtypes("cpu") if op.supports_autograd else ()
    return next((dtype for dtype in DTYPES if dtype in supported), None)


OPERATORS = {op.full_name: op for op in op_db if dtype_of(op) is not None}
TWICE_DIFFERENTIABLE = {
    name: op
    for name, op in OPERATORS.items()
    if op.supports_gradgrad and name not in NO_SECOND_DERIVATIVE
}


@dataclass(frozen=True)
class Program:
    """A call of an operator on given leaves, which can be made any number of times."""

    call: Callable[[], Any]
    leaves: dict[str, torch.Tensor]

    def run(self) -> list[torch.Tensor]:
        """The outputs that have a graph."""
        torch.manual_seed(1)
        np.random.seed(1)  # Some operators draw from this generator.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Some operators are deprecated.
            outputs = tree_leaves(self.call())
        return [t for t in outputs if isinstance(t, torch.Tensor) and t.requires_grad]

    def backward(self, outputs: list[torch.Tensor]) -> list[torch.Tensor | None]:
        """Gradients of the leaves, as `backward()` leaves them in `.grad`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.autograd.backward(outputs, [torch.ones_like(output) for output in outputs])
        gradients = [leaf.grad for leaf in self.leaves.values()]
        for leaf in self.leaves.values():
            leaf.grad = None
        return gradients


def runs(op: Any) -> Iterator[tuple[Program, list[torch.Tensor]]]:
    """Some calls of an operator, and what each returned; those whose result has a graph."""
    torch.manual_seed(0)
    np.random.seed(0)  # Some samples are drawn from this generator.
    for call, sample in calls(op):
        program = Program(partial(call, sample), leaves_of(sample))
        outputs = program.run()
        if outputs:
            yield program, outputs


def calls(op: Any) -> Iterator[tuple[Callable[[Any], Any], Any]]:
    """Ways to call an operator, and on what."""
    dtype = dtype_of(op)
    for index, sample in enumerate(samples_of(op, dtype, SAMPLES)):
        yield partial(call_plain, op), sample
        if index == 0 and works_in_place(op, sample):
            yield partial(call_in_place, op.inplace_variant), sample
            yield partial(call_on_view, op.inplace_variant), sample
    if dtype is not torch.complex128 and torch.complex128 in op.supported_backward_dtypes("cpu"):
        for sample in samples_of(op, torch.complex128, 1):
            yield partial(call_plain, op), sample


def works_in_place(op: Any, sample: Any) -> bool:
    return (
        op.inplace_variant is not None
        and op.supports_inplace_autograd
        and op.full_name not in NOT_IN_PLACE
        and isinstance(sample.input, torch.Tensor)
        and not sample.broadcasts_input
    )


def samples_of(op: Any, dtype: torch.dtype | None, count: int) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Not op.sample_inputs: for every sample it inspects the whole stack, at 0.2 s a time.
        return list(islice(op.sample_inputs_func(op, "cpu", dtype, requires_grad=True), count))


def leaves_of(sample: Any) -> dict[str, torch.Tensor]:
    inputs = tree_leaves((sample.input, sample.args, sample.kwargs))
    tensors = [value for value in inputs if isinstance(value, torch.Tensor)]
    return {f"x{i}": t for i, t in enumerate(tensors) if t.requires_grad and t.is_leaf}


def call_plain(op: Any, sample: Any) -> Any:
    # What is left is what PyTorch takes gradients of: phases of eigenvectors are undefined.
    output = op(sample.input, *sample.args, **sample.kwargs)
    return sample.output_process_fn_grad(output)


def call_in_place(in_place: Any, sample: Any) -> Any:
    target = sample.input.clone()  # A leaf must not be written to.
    return in_place(target, *sample.args, **sample.kwargs)


def call_on_view(in_place: Any, sample: Any) -> Any:
    base = sample.input.clone()
    in_place(base.view_as(base), *sample.args, **sample.kwargs)
    return base


def capture(program: Program, outputs: list[torch.Tensor]) -> ia.Graph:
    """Capture, with every warning an error, also one that the program has already caused."""
    torch.set_warn_always(True)
    try:
        return ia.capture(outputs, params=program.leaves)
    finally:
        torch.set_warn_always(False)


@pytest.mark.parametrize("op", OPERATORS.values(), ids=OPERATORS)
def test_record_equals_live_graph(op: Any) -> None:
    for program, outputs in runs(op):
        graph = capture(program, outputs)
        live = assert_equals_live_graph(graph, outputs, program.leaves)
        assert_saved_state(graph, live)

        received, handles = received_in_backward(live)
        program.backward(outputs)
        for handle in handles:
            handle.remove()
        for node in graph.nodes:
            for meta, seen in zip(node.receives, received[node.id], strict=True):
                assert meta is not None
                if seen is not None:
                    assert (meta.shape, f"torch.{meta.dtype}") == (seen[0], str(seen[1]))

        spent = capture(program, outputs)
        assert_saved_state(spent, assert_equals_live_graph(spent, outputs, program.leaves))
        for before, after in zip(graph.nodes, spent.nodes, strict=True):
            assert {saved.state for saved in after.saved} <= {"freed"}
            if after.kind != "custom":  # Of a custom Function torch forgets whether it had any.
                # A list of tensors is freed, and from then on known, as a whole.
                names = {saved.name.partition("[")[0] for saved in before.saved}
                assert {saved.name for saved in after.saved} == names


@pytest.mark.parametrize("op", OPERATORS.values(), ids=OPERATORS)
def test_gradients_are_those_of_an_unobserved_run(op: Any) -> None:
    for program, unobserved in runs(op):
        expected = program.backward(unobserved)
        outputs = program.run()
        capture(program, outputs)
        assert_same_bits(program.backward(outputs), expected)


@pytest.mark.parametrize("op", OPERATORS.values(), ids=OPERATORS)
def test_capture_runs_no_hook(op: Any) -> None:
    calls = {"pack": 0, "unpack": 0}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        calls["pack"] += 1
        return tensor

    def unpack(tensor: torch.Tensor) -> torch.Tensor:
        calls["unpack"] += 1
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        for program, outputs in runs(op):
            before = dict(calls)
            graph = capture(program, outputs)
            assert calls == before
            saved = [tensor for node in graph.nodes for tensor in node.saved]
            # Only a number that became a tensor is kept without packing.
            assert all(s.state == "packed" for s in saved if s.meta is None or s.meta.shape != ())
            program.backward(outputs)
            packed = sum(tensor.state == "packed" for tensor in saved)
            assert calls["unpack"] - before["unpack"] >= packed


@pytest.mark.parametrize("op", TWICE_DIFFERENTIABLE.values(), ids=TWICE_DIFFERENTIABLE)
def test_double_backward(op: Any) -> None:
    for program, outputs in runs(op):
        first = capture(program, outputs)
        # Not so easy: the forward pass of istft, for one, makes an UnfoldBackwardBackward0.
        assert {node.order for node in first.nodes} <= {None, 1}
        forward = set(assert_equals_live_graph(first, outputs, program.leaves))
        found = gradients_with_graph(program, outputs)
        if found:
            graph = capture(program, found)
            live = assert_equals_live_graph(graph, found, program.leaves)
            assert_saved_state(graph, live)
            for record, node in zip(graph.nodes, live, strict=True):
                assert record.order is None or (record.order == 2 and node not in forward)


def gradients_with_graph(program: Program, outputs: list[torch.Tensor]) -> list[torch.Tensor]:
    weights = [torch.ones_like(output, requires_grad=True) for output in outputs]
    leaves = list(program.leaves.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gradients: list[torch.Tensor | None] = list(
            torch.autograd.grad(outputs, leaves, weights, create_graph=True, allow_unused=True)
        )
    return [g for g in gradients if g is not None and g.requires_grad]


def test_enough_is_covered() -> None:
    node_types = set()
    covered = set()
    for name, op in OPERATORS.items():
        for _, outputs in runs(op):
            covered.add(name)
            pending = [output.grad_fn for output in outputs]
            seen = set(pending)
            while pending:
                node = pending.pop()
                if node is not None:
                    node_types.add(node.name())
                    new = {next_node for next_node, _ in node.next_functions} - seen
                    seen |= new
                    pending += new
    assert set(OPERATORS) == covered
    assert len(covered) >= MIN_OPERATORS
    assert len(node_types) >= MIN_NODE_TYPES
