"""Stepping by hand: what each step shows, going on, going back, looking."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentError, ArgumentTypeError, NoGraphError


def quadratic() -> tuple[Tensor, Tensor]:
    x = torch.arange(4.0, requires_grad=True)
    return x, 2 * torch.dot(x, x)


def shared() -> tuple[Tensor, Tensor]:
    """Ids: 0 add, 1 sum of the square, 2 sum of x, 3 mul, 4 x, 5 sin."""
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    h = x.sin()
    return x, (h * h).sum() + x.sum()


def values(tensors: Any) -> list[Any]:
    return [None if t is None else t.tolist() for t in tensors]


def test_each_step_of_the_quadratic() -> None:
    x, y = quadratic()
    steps = list(ia.step(y, params={"x": x}))
    assert [step.node.name for step in steps] == ["MulBackward0", "DotBackward0", "AccumulateGrad"]
    assert [step.index for step in steps] == [0, 1, 2]
    assert [values(step.received) for step in steps] == [[1.0], [2.0], [[0.0, 4.0, 8.0, 12.0]]]
    half = [0.0, 2.0, 4.0, 6.0]
    assert [values(step.returned) for step in steps] == [[2.0, None], [half, half], []]
    assert [[node.id for node in step.ready] for step in steps] == [[1], [2], []]
    # dot has x twice, so half of the gradient comes over each edge.
    assert [(p.slot, p.source, p.source_slot) for p in steps[2].parts] == [(0, 1, 0), (0, 1, 1)]
    assert values(p.gradient for p in steps[2].parts) == [half, half]
    assert [(p.slot, p.source, p.source_slot) for p in steps[0].parts] == [(0, None, 0)]
    assert x.grad is None
    y.backward()
    assert values([x.grad]) == [[0.0, 4.0, 8.0, 12.0]]


def test_a_step_reads_well() -> None:
    x, y = quadratic()
    first, second, third = ia.step(y, params={"x": x})
    assert str(first) == (
        "step 0: #0 MulBackward0\n"
        "  received f32[] |1| = 1 from the start of the pass\n"
        "  returned f32[] |2| = 2 to #1 DotBackward0\n"
        "  ready now: #1 DotBackward0"
    )
    assert str(second) == (
        "step 1: #1 DotBackward0\n"
        "  received f32[] |2| = 2 from #0 MulBackward0\n"
        "  returned f32[4] |7.48| = 0 2 4 6 to #2 AccumulateGrad x\n"
        "  returned f32[4] |7.48| = 0 2 4 6 to #2 AccumulateGrad x\n"
        "  ready now: #2 AccumulateGrad x"
    )
    assert str(third) == (
        "step 2: #2 AccumulateGrad x\n"
        "  received f32[4] |15| = 0 4 8 12, the sum of\n"
        "    f32[4] |7.48| = 0 2 4 6 from #1 DotBackward0\n"
        "    f32[4] |7.48| = 0 2 4 6 from #1 DotBackward0\n"
        "  this is the gradient of the leaf"
    )
    assert repr(third) == "<Step 2: #2 x>"


def test_state_between_steps() -> None:
    x, y = shared()
    stepper = ia.step(y, params={"x": x})
    state = stepper.state
    assert (state.position, state.queue, state.waiting, state.leaves) == (0, (0,), (), ())
    assert (state.buffers, state.buffer_bytes, state.next_node) == (1, 4, 0)
    stepper.next()
    # The sum of x was made last.
    assert stepper.state.queue == (2, 1)
    stepper.next()
    state = stepper.state
    assert state.queue == (1,)
    (waiting,) = state.waiting
    assert (waiting.node, waiting.arrived, waiting.missing) == (4, 1, 1)
    assert waiting.missing_from == (5,)
    # Both look at the one number that the pass started with.
    assert (state.buffers, state.buffer_bytes) == (2, 4)
    assert str(state) == (
        "after 2 steps\n"
        "  queue    #1 SumBackward0\n"
        "  waits    #4 AccumulateGrad x for 1 of 2 gradients, from #5 SinBackward0\n"
        "  held     2 gradients, 4 B\n"
        "  leaves   none yet"
    )
    stepper.run()
    state = stepper.state
    assert (state.queue, state.leaves, state.buffers, state.is_over) == ((), (4,), 0, True)
    assert stepper.next() is None
    assert list(stepper) == []


def test_peek() -> None:
    x, y = shared()
    stepper = ia.step(y, params={"x": x})
    assert stepper.peek(0).status == "ready"
    status = stepper.peek("SinBackward0")
    assert (status.status, status.missing, status.missing_from) == ("not reached", 2, (3,))
    stepper.next()
    stepper.next()
    status = stepper.peek("x")
    assert (status.status, status.missing, status.missing_from) == ("waiting", 1, (5,))
    assert [part.source for part in status.parts] == [2]
    assert str(status) == (
        "#4 AccumulateGrad x: waiting\n"
        "  received f32[2] |1.41| = 1 1 from #2 SumBackward0\n"
        "  waits for 1 gradient from #5 SinBackward0"
    )
    assert str(stepper.peek(0)).startswith("#0 AddBackward0: executed in step 0\n")
    stepper.run()
    status = stepper.peek(y.grad_fn)
    assert (status.status, status.step, status.missing) == ("executed", 0, 0)


def test_back_costs_no_node_a_second_run() -> None:
    runs = []

    class Counts(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Tensor:
            runs.append(1)
            return grads[0] * 2

    x = torch.ones(2, requires_grad=True)
    apply: Any = Counts.apply
    stepper = ia.step(apply(x).sum())
    stepper.run()
    assert values(stepper.gradients) == [[2.0, 2.0]]
    last = stepper.back()
    assert last is not None
    assert (last.node.name, stepper.position) == ("CountsBackward", 2)
    assert values(stepper.gradients) == [None]
    assert stepper.back(7) is None
    assert stepper.position == 0
    assert stepper.state.queue == (0,)
    stepper.run()
    assert values(stepper.gradients) == [[2.0, 2.0]]
    assert runs == [1]


def test_run_until() -> None:
    x, y = shared()
    stepper = ia.step(y, params={"x": x})
    step = stepper.run_until("Mul*")
    assert step is not None
    assert (step.id, stepper.position) == (3, 4)
    step = stepper.run_until("x")
    assert step is not None
    assert step.id == 4
    assert stepper.run_until("x") is None
    stepper.back(6)
    step = stepper.run_until(lambda step: len(step.parts) == 2)
    assert step is not None
    assert step.node.name == "SinBackward0"
    stepper.back(6)
    for target in (y.grad_fn, stepper.graph.nodes[0], 0):
        step = stepper.run_until(target)
        assert step is not None
        assert step.id == 0
        stepper.back()


def test_modules_and_lines_of_a_recording() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
    with ia.record(model):
        loss = model(torch.ones(2, 3)).sum()
        stepper = ia.step(loss, params=model)
    step = stepper.run_until("1")
    assert step is not None
    assert (step.node.name, step.node.scope) == ("TanhBackward0", "1")
    assert "made at" in str(step)


def test_gradient_weighs_the_elements() -> None:
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    stepper = ia.step(2 * x * x, torch.tensor([1.0, 0.0, -1.0])).run()
    assert values(stepper.gradients) == [[4.0, 0.0, -12.0]]


def test_a_gradient_of_another_type_is_cast_as_backward_does() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    weights = torch.tensor([0.1, 0.2], dtype=torch.float64)
    y.backward(weights, retain_graph=True)
    stepper = ia.step(y, weights).run()
    (gradient,) = stepper.gradients
    assert gradient is not None
    assert x.grad is not None
    assert gradient.dtype is torch.float32
    assert torch.equal(gradient, x.grad)


def test_several_roots() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    roots = {"a": x.sum(), "b": [x * x]}
    stepper = ia.step(roots, [None, torch.ones(2)]).run()
    assert values(stepper.gradients) == [[3.0, 5.0]]
    starts = [part for step in stepper.steps for part in step.parts if part.source is None]
    assert sorted(part.source_slot for part in starts) == [0, 1]


def test_inputs() -> None:
    x, w = torch.ones(2, requires_grad=True), torch.full((2,), 3.0, requires_grad=True)
    unused = torch.ones(1, requires_grad=True)
    h = x * w
    loss = (h * w).sum()
    stepper = ia.step(loss, inputs=[h, unused, w])
    steps = list(stepper)
    assert values(stepper.gradients) == [[3.0, 3.0], None, [6.0, 6.0]]
    # w is behind h as well, so the node of h runs; x is not wanted.
    assert [(step.node.name, step.ran) for step in steps] == [
        ("SumBackward0", True),
        ("MulBackward0", True),
        ("MulBackward0", True),
        ("AccumulateGrad", False),
    ]
    (x_node,) = (n.id for n in stepper.graph.leaves() if stepper.peek(n).status == "pruned")
    assert "which does not run" in str(steps[2])
    assert stepper.peek(x_node).missing == 0
    assert "not run: what it received is the gradient that was asked for" in str(steps[3])


def test_accumulate_adds_to_grad_as_backward_does() -> None:
    x, y = quadratic()
    x.grad = torch.ones(4)
    seen = []
    x.register_post_accumulate_grad_hook(lambda leaf: seen.append(leaf.grad is not None))
    stepper = ia.step(y, accumulate=True).run()
    assert values([x.grad]) == [[1.0, 5.0, 9.0, 13.0]]
    assert seen == [True]
    with pytest.raises(ArgumentError, match=r"accumulate=True, which adds to \.grad"):
        stepper.back()


def test_hooks_of_the_program_do_not_run() -> None:
    x, y = quadratic()
    seen: list[Any] = []
    x.register_hook(seen.append)
    assert y.grad_fn is not None
    y.grad_fn.register_prehook(seen.append)
    stepper = ia.step(y, params={"x": x}).run()
    assert seen == []
    assert stepper.notes == ("x has hooks, which backward() runs and step() does not",)
    assert ia.step(quadratic()[1]).notes == ()


def test_an_error_of_a_node_passes_and_the_stepper_stands_before_it() -> None:
    x = torch.ones(2, requires_grad=True)
    h = x.exp()
    loss = (h * 3).sum()
    with torch.no_grad():
        h.mul_(2)
    stepper = ia.step(loss)
    with pytest.raises(RuntimeError, match="modified by an inplace operation") as caught:
        stepper.run()
    assert caught.value.__notes__ == ["raised by node #2 ExpBackward0, step 2 of the pass"]
    assert (stepper.position, stepper.state.queue) == (2, (2,))
    assert stepper.peek("Exp*").status == "ready"
    assert x.grad is None


def test_wrong_gradients_of_a_custom_function() -> None:
    class Wrong(torch.autograd.Function):
        result: Any = None

        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 1

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Any:
            return Wrong.result

    x = torch.ones(2, 3, requires_grad=True)
    apply: Any = Wrong.apply
    for result, message in (
        ((torch.ones(2, 3), torch.ones(1)), "returned 2 gradients; expected 1"),
        ("text", "returned a str at position 0; expected a tensor or None"),
        (torch.ones(5), r"has shape \[5\]; expected one that can be summed to \[2, 3\]"),
        (torch.ones(2, 3, dtype=torch.int64), "is of type torch.int64"),
    ):
        Wrong.result = result
        if isinstance(result, Tensor) and result.dtype is torch.int64:
            x = torch.ones(2, 3, dtype=torch.complex64, requires_grad=True)
        with pytest.raises(ia.InspectAutogradError, match=message):
            ia.step(apply(x), torch.ones_like(x)).run()
    x = torch.ones(2, 3, requires_grad=True)
    Wrong.result = (torch.ones(7, 2, 3), None, None)  # Too many, but None: allowed.
    assert values(ia.step(apply(x), torch.ones(2, 3)).run().gradients) == [[[7.0] * 3] * 2]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ArgumentError, r"gradient is None, but outputs has 3 elements \(shape \[3\]\)"),
        ({"gradient": 1.0}, ArgumentTypeError, "gradient is of type float"),
        ({"gradient": torch.ones(2)}, ArgumentError, r"has shape \[2\]; expected \[3\]"),
        ({"gradient": [torch.ones(3)] * 2}, ArgumentError, "holds 2 gradients; expected 1"),
        ({"gradient": ["a"]}, ArgumentTypeError, "for outputs is of type str"),
        ({"gradient": torch.ones(3) + 0j}, ArgumentError, "is of type torch.complex64"),
        ({"gradient": torch.ones(3), "inputs": []}, ArgumentError, "inputs is empty"),
        ({"gradient": torch.ones(3), "inputs": 3}, ArgumentTypeError, "inputs is of type int"),
        (
            {"gradient": torch.ones(3), "inputs": torch.ones(1)},
            ArgumentError,
            r"inputs\[0\] does not require grad",
        ),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    x = torch.ones(3, requires_grad=True)
    with pytest.raises(error, match=message):
        ia.step(x * 2, **arguments)


def test_more_bad_arguments() -> None:
    _, y = quadratic()
    with pytest.raises(NoGraphError):
        ia.step(y.detach())
    with pytest.raises(ArgumentError, match=r"one can be implied only for\s+a real number"):
        ia.step(y * 1j)
    with pytest.raises(ArgumentError, match=r"inputs\[0\] is no leaf"):
        ia.step(y, inputs=[y * 1], accumulate=True)
    stepper = ia.step(y)
    with pytest.raises(ArgumentError, match="matches none of the 3 nodes"):
        stepper.run_until("Softmax*")
    with pytest.raises(ArgumentTypeError, match="target is of type float"):
        stepper.run_until(1.5)
    with pytest.raises(ArgumentError, match=r"matches 3 nodes \(#0, #1, #2\); expected one"):
        stepper.peek("*")
    with pytest.raises(ArgumentError, match="count is 0"):
        stepper.back(0)
    with pytest.raises(ArgumentTypeError, match="count is True"):
        stepper.back(True)
    assert stepper.position == 0


def test_nothing_is_kept_alive() -> None:
    """By reference counts alone."""
    gc.collect()
    gc.disable()
    try:
        x, y = quadratic()
        stepper = ia.step(y, params={"x": x})
        steps = list(stepper)
        text = [str(step) for step in steps]
        state = stepper.state
        died = weakref.ref(x)
        gradient = weakref.ref(steps[1].returned[0])
        del x, y, stepper, steps
        assert (died(), gradient()) == (None, None)
        assert text
        assert state.is_over
    finally:
        gc.enable()


def test_create_graph() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (gradient,) = ia.step((x**3).sum(), inputs=x, create_graph=True).run().gradients
    assert gradient is not None
    assert values(torch.autograd.grad(gradient.sum(), x)) == [[6.0, 12.0]]
    (plain,) = ia.step((x**3).sum(), inputs=x).run().gradients
    assert plain is not None
    assert not plain.requires_grad
