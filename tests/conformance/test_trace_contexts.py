"""Traces where backward passes are called in every way that PyTorch has, and go every way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.autograd.graph import get_gradient_edge
from torch.utils.checkpoint import checkpoint

import inspect_autograd as ia
from inspect_autograd.events.records import BackwardPass, Outcome

from .reference import assert_same_bits
from .ways_through_a_trace import leaves_no_trace


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    with leaves_no_trace():
        yield


def names_of(trace: ia.Trace, backward_pass: int = 0) -> list[str]:
    names = trace.graph.node_table.names
    return [names[e.node] for e in trace.events if e.backward_pass == backward_pass]


def exp_sum() -> tuple[Tensor, Tensor, Tensor]:
    x = torch.tensor([0.0, 1.0], requires_grad=True)
    y = x.exp()
    return x, y, y.sum()


EXP_SUM = ["SumBackward0", "ExpBackward0", "AccumulateGrad"]


# -- how a pass is called ----------------------------------------------------------------------


def test_several_passes_and_roots() -> None:
    x, y, loss = exp_sum()
    other = (y * 2).sum()
    with ia.trace([loss, other], params={"x": x}) as trace:
        loss.backward(retain_graph=True)
        other.backward(retain_graph=True)
        torch.autograd.backward([loss, other])
    assert names_of(trace, 0) == EXP_SUM
    assert names_of(trace, 1) == ["SumBackward0", "MulBackward0", "ExpBackward0", "AccumulateGrad"]
    assert sorted(names_of(trace, 2)) == sorted(["SumBackward0", *names_of(trace, 1)])
    assert [p.retain_graph for p in trace.passes] == [True, True, False]
    roots = [[(root.node, root.slot) for root in p.roots] for p in trace.passes]
    ids = [root.node for root in trace.graph.roots]
    assert roots == [[(ids[0], 0)], [(ids[1], 0)], [(ids[0], 0), (ids[1], 0)]]
    assert all(p.line and p.place.startswith("test_trace_contexts.py:") for p in trace.passes)
    assert {p.function for p in trace.passes} == {"test_several_passes_and_roots"}
    assert len({p.graph_task for p in trace.passes}) == 3


Call = Callable[[Tensor, Tensor, Tensor], object]

CALLS: dict[str, tuple[Call, str, list[bool], list[str]]] = {
    "backward": (lambda x, y, z: z.backward(), "backward", [True], EXP_SUM),
    "with a gradient": (
        lambda x, y, z: z.backward(torch.tensor(2.0)),
        "backward",
        [False],
        EXP_SUM,
    ),
    "some gradients": (
        lambda x, y, z: torch.autograd.backward([z, z], [None, torch.tensor(2.0)]),
        "backward",
        [True, False],
        EXP_SUM,
    ),
    "limited to a leaf": (lambda x, y, z: z.backward(inputs=[x]), "backward", [True], EXP_SUM),
    "limited to another": (
        lambda x, y, z: z.backward(inputs=[y]),
        "backward",
        [True],
        # What accumulates into a tensor that is no leaf is its own node, which then does not run.
        EXP_SUM[:2],
    ),
    "from an edge": (
        lambda x, y, z: torch.autograd.backward(get_gradient_edge(z), torch.tensor(1.0)),
        "backward",
        [False],
        EXP_SUM,
    ),
    "grad": (lambda x, y, z: torch.autograd.grad(z, x), "grad", [True], EXP_SUM[:2]),
    "grad with a gradient": (
        lambda x, y, z: torch.autograd.grad(z, x, torch.tensor(2.0)),
        "grad",
        [False],
        EXP_SUM[:2],
    ),
    "grad of an edge": (
        lambda x, y, z: torch.autograd.grad(z, get_gradient_edge(y)),
        "grad",
        [True],
        EXP_SUM[:1],
    ),
    "the engine itself": (
        lambda x, y, z: torch.autograd.Variable._execution_engine.run_backward(
            (z,), (torch.tensor(1.0),), False, False, (), True, accumulate_grad=True
        ),
        "engine",
        [],
        EXP_SUM,
    ),
}


@pytest.mark.parametrize("how", CALLS)
def test_calls(how: str) -> None:
    call, kind, implicit, names = CALLS[how]
    x, y, loss = exp_sum()
    with ia.trace(loss, params={"x": x}, stats="full") as trace:
        call(x, y, loss)
    (found,) = trace.passes
    assert (found.call, [root.is_implicit for root in found.roots]) == (kind, implicit)
    assert names_of(trace) == names
    assert trace.outcome == found.outcome == Outcome("completed")
    assert trace.notes == ()


def test_what_grad_returned() -> None:
    x, y, loss = exp_sum()
    unused = torch.ones(3, requires_grad=True)
    with ia.trace(loss, params={"x": x, "unused": unused}) as trace:
        torch.autograd.grad(loss, [x, unused, y], allow_unused=True, retain_graph=True)
        torch.autograd.grad(
            loss, [x, unused], allow_unused=True, materialize_grads=True, retain_graph=True
        )
        loss.backward(inputs=[x])

    def inputs_of(found: BackwardPass) -> list[tuple[int | None, tuple[str, ...], str]]:
        return [(i.node, i.names, str(i.stats)) for i in found.inputs or ()]

    norm = "f32[2] |2.9|"  # Of (1, e).
    assert inputs_of(trace.passes[0]) == [
        (2, ("x",), norm),
        (None, ("unused",), "None"),
        (1, (), "f32[2] |1.41|"),
    ]
    # Zeros for what is not reached are made outside of the engine.
    assert inputs_of(trace.passes[1]) == [(2, ("x",), norm), (None, ("unused",), "None")]
    assert inputs_of(trace.passes[2]) == [(2, ("x",), "None")]
    assert [p.names for p in trace.parameters] == [("x",), ("unused",)]
    assert [p.node for p in trace.parameters] == [2, None]


def test_batched_gradients() -> None:
    x, y, _ = exp_sum()
    with ia.trace(y, stats="full") as trace:
        (found,) = torch.autograd.grad(y, x, torch.eye(2), is_grads_batched=True)
    assert torch.equal(found, y.detach().diag())
    (event,) = trace.events
    assert str(event.received[0]) == str(event.returned[0]) == "f32[2]"
    assert event.received[0] is not None
    assert event.received[0].note
    assert trace.passes[0].roots[0].is_implicit is False


def test_higher_derivatives() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    loss = (x**3).sum()
    with ia.trace(loss, params={"x": x}) as trace:
        (first,) = torch.autograd.grad(loss, x, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), x, create_graph=True)
        (third,) = torch.autograd.grad(second.sum(), x)
    assert third.tolist() == [6.0, 6.0]
    assert [p.create_graph for p in trace.passes] == [True, True, False]
    orders = [
        {trace.graph.nodes[e.node].order or 1 for e in trace.events if e.backward_pass == id}
        for id in range(3)
    ]
    # The sums are made outside of any pass; the second pass begins with one of them.
    assert orders == [{1}, {1, 2}, {1, 3}]
    assert [str(i.stats) for i in trace.passes[2].inputs or ()] == ["f32[2] |8.49|"]


def test_closure_of_an_optimizer() -> None:
    model = nn.Linear(2, 1)
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)
    traces = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = model(x).square().sum()
        with ia.trace(loss, params=model) as trace:
            loss.backward()
        traces.append(trace)
        return loss

    optimizer.step(closure)
    assert len(traces) >= 2
    assert {trace.outcome.status for trace in traces} == {"completed"}
    assert all(len(trace) == len(trace.graph) for trace in traces)


def test_nothing_ran() -> None:
    _, _, loss = exp_sum()
    _, _, other = exp_sum()
    with ia.trace(loss) as trace:
        other.backward()
    assert trace.outcome == Outcome("nothing ran")
    assert (len(trace), trace.passes) == (0, ())
    assert len(trace.notes) == 1


# -- what runs in a pass -----------------------------------------------------------------------


# Inside a reentrant checkpoint gradients are off, of which the inner one warns.
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True")
@pytest.mark.parametrize("reentrant", [True, False])
def test_nested_checkpoints(reentrant: bool) -> None:
    model = nn.Linear(3, 3)
    x = torch.ones(2, 3, requires_grad=True)

    def inner(y: Tensor) -> Tensor:
        return nn.functional.dropout(model(y).tanh(), 0.5)

    def outer(y: Tensor) -> Any:
        return checkpoint(inner, y * 2, use_reentrant=reentrant)

    def gradients(observe: bool) -> tuple[list[Tensor | None], ia.Trace | None]:
        torch.manual_seed(0)
        loss = checkpoint(outer, x, use_reentrant=reentrant).sum()
        trace = None
        if observe:
            with ia.trace(loss, params={"x": x, **dict(model.named_parameters())}) as trace:
                loss.backward()
        else:
            loss.backward()
        found = [x.grad, *(p.grad for p in model.parameters())]
        x.grad = None
        model.zero_grad()
        return found, trace

    expected, _ = gradients(observe=False)
    found, trace = gradients(observe=True)
    assert trace is not None
    assert_same_bits(found, expected)
    assert trace.notes == ()
    reached = {name for p in trace.parameters if p.node is not None for name in p.names}
    assert reached == {"x", "weight", "bias"}
    assert len(trace.passes) == (3 if reentrant else 1)
    assert names_of(trace, len(trace.passes) - 1)[-1] == "AccumulateGrad"
    for inside, outside in zip(trace.passes[1:], trace.passes, strict=False):
        assert inside.parent is not None
        assert trace.graph.nodes[inside.parent].name == "CheckpointFunctionBackward"
        (event,) = trace.of(inside.parent)
        assert event.backward_pass == outside.id
        first = next(e for e in trace.events if e.backward_pass == inside.id)
        assert event.start_ns <= first.start_ns
        assert first.start_ns <= event.start_ns + event.duration_ns


class TwoInputs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        return x * 2, y * 3

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        return tuple(None if grad is None else grad * 5 for grad in grads)


class ReturnsNone(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> None:
        return None


def apply(function: Any, *inputs: Any) -> Any:
    return function.apply(*inputs)


@pytest.mark.parametrize("level", ["meta", "full"])
def test_custom_functions(level: Any) -> None:
    x, y = (torch.ones(3, requires_grad=True) for _ in range(2))
    first, second = apply(TwoInputs, x * 1, y * 1)
    loss = first.sum() + apply(ReturnsNone, second).sum()
    with ia.trace(loss, stats=level) as trace:
        loss.backward()
    (two,) = trace.find("TwoInputsBackward")
    norms = {"meta": ("f32[3]", "f32[3]"), "full": ("f32[3] |1.73|", "f32[3] |8.66|")}[level]
    assert [str(s) for s in two.received] == [norms[0], "None"]
    assert [str(s) for s in two.returned] == [norms[1], "None"]
    (none,) = trace.find("ReturnsNoneBackward")
    assert none.returned == (None,)
    leaves = trace.find("AccumulateGrad")  # Nodes run even if no gradient reaches them.
    assert sorted(str(leaf.received[0]) for leaf in leaves)[0] == "None"


class WrongShapeAndType(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0].double().expand(3, 40)


@pytest.mark.parametrize("level", ["meta", "full"])
def test_returned_gradient_is_the_one_that_the_engine_makes_of_it(level: Any) -> None:
    x = torch.ones(40, requires_grad=True)
    loss = apply(WrongShapeAndType, x * 1).sum()
    with ia.trace(loss, stats=level) as trace:
        loss.backward()
    (event,) = trace.find("WrongShape*")
    # Summed over the dimension that was added, and cast.
    assert str(event.returned[0]).startswith("f32[40]")


def test_reentrant_passes_deeper_than_the_engine_goes_in_one_thread() -> None:
    class Nested(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, depth: int) -> Tensor:
            ctx.depth = depth
            return x * 2

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
            if ctx.depth:
                with torch.enable_grad():
                    inner = apply(Nested, torch.ones(3, requires_grad=True), ctx.depth - 1).sum()
                inner.backward()
            return grads[0] * 2, None

    loss = apply(Nested, torch.ones(3, requires_grad=True), 80).sum()
    with ia.trace(loss) as trace:
        loss.backward()
    assert (len(trace), len(trace.passes), trace.notes) == (3 * 81, 81, ())
    assert len(trace.threads) == 2
    assert {p.outcome.status for p in trace.passes} == {"completed"}
    assert [p.parent is None for p in trace.passes] == [True] + [False] * 80
